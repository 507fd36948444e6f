"""Runs a small sweep that dies at its n-th touch of the run folder, then goes on; one forked child for each.

`python -m tests.faults.crash_points FOLDER new|resumed|extended N [N ...]` prints one JSON line a point: what the
dying touch was, and what is wrong after the resume.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from orchestrator.plan import SweepPlan
from tests.fakes.sweeps import comparable, plan_of, rows_of, run_sweep
from tests.faults.small_sweep import SmallSweep, detectors

AUDITED = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}


class Dying:
    """Counts touches of a folder; the process ends without a word at number `last`, the first being 1.

    Of a write that it dies at, the first half is done.
    """

    def __init__(self, folder: Path, last: int, said: Path) -> None:
        self._folder = str(folder)
        self._last = last
        self._said = said
        self._count = 0
        sys.addaudithook(self._audit)
        for name in ("write", "fsync", "ftruncate"):
            setattr(os, name, self._dying(name, getattr(os, name)))

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        if event not in AUDITED or not str(arguments[0]).startswith(self._folder):
            return
        if event != "open" or int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR):
            self._touch(f"{event} {Path(str(arguments[0])).relative_to(self._folder)}")

    def _dying(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def touching(descriptor: int, *more: bytes) -> object:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if str(path).startswith(self._folder):
                self._touch(f"{name} {path.name}", lambda: name == "write" and real(descriptor, _half(more[0])))
            return real(descriptor, *more)

        return touching

    def _touch(self, what: str, last_words: Callable[[], object] = lambda: None) -> None:
        self._count += 1
        if self._count == self._last:
            self._said.write_text(what)
            last_words()
            os.kill(os.getpid(), signal.SIGKILL)


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def forked(work: Callable[[], int]) -> int:
    """Do something in a child; its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            code = work()
        except BaseException as err:  # whatever it is, the child must not go on as its parent
            sys.stderr.write(f"{type(err).__name__}: {err}\n")
            code = 99
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def what_is_wrong(whole: Path, run: Path, ended: int) -> Iterator[str]:
    """Yield what is not as in the uninterrupted run."""
    if ended:
        yield f"the resume ended with {ended}"
        return
    if comparable(rows_of(whole)) != comparable(rows_of(run)):
        yield "other rows"
    if len((run / "rows.jsonl").read_text().splitlines()) != len((whole / "rows.jsonl").read_text().splitlines()):
        yield "a row twice"
    if _studies(whole) != _studies(run):
        yield "other studies in the journal"
    theirs, ours = ({str(path.relative_to(top)) for path in top.rglob("*")} for top in (whole, run))
    yield from sorted(theirs ^ ours)


def _studies(run: Path) -> dict[str, list[tuple[str, float | None]]]:
    """State and value of every configuration in the journal, by study."""
    storage = JournalStorage(JournalFileBackend(str(run / "optuna.journal")))
    summaries = optuna.get_all_study_summaries(storage)
    studies = {each.study_name: optuna.load_study(study_name=each.study_name, storage=storage) for each in summaries}
    return {name: [(trial.state.name, trial.value) for trial in study.trials] for name, study in studies.items()}


@dataclass(frozen=True)
class Scene:
    """What dies: `prepared` makes the run folder as it is before, `plan` is what the dying start and the next run."""

    plan: SweepPlan
    whole: Path
    prepared: Callable[[Path], object]
    options: Mapping[str, object]


def new(small: SmallSweep) -> Scene:
    """A new run."""
    return Scene(small.plan, small.whole, lambda run: None, {})


def resumed(small: SmallSweep) -> Scene:
    """The resume of a run that was interrupted."""

    def half(run: Path) -> None:
        lines = (small.copy_of_whole(run) / "rows.jsonl").read_bytes().splitlines(keepends=True)
        (run / "rows.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:40])

    return Scene(small.plan, small.whole, half, {"resume": True})


def extended(small: SmallSweep) -> Scene:
    """A longer search of a run that is complete."""
    longer, _ = plan_of(small.folder, detectors(small.pace), ["search.candidates=6"])
    whole = small.folder / "extended"

    def extend() -> int:
        small.copy_of_whole(whole)
        return run_sweep(longer, small.series, whole, backend="inline", resume=True)[0]

    forked(extend)
    return Scene(longer, whole, small.copy_of_whole, {"resume": True})


SCENES = {"new": new, "resumed": resumed, "extended": extended}


def try_point(small: SmallSweep, scene: Scene, run: Path, point: int) -> dict[str, object]:
    """Die at a touch, go on, and look at what is there."""
    said = run.with_name("said")
    scene.prepared(run)

    def die() -> int:
        Dying(run, point, said)
        return run_sweep(scene.plan, small.series, run, backend="inline", **scene.options)[0]

    def go_on() -> int:
        resume = (run / "spec.yaml").is_file()
        return run_sweep(scene.plan, small.series, run, backend="inline", resume=resume)[0]

    at = said.read_text() if forked(die) < 0 else "the end"
    wrong = list(what_is_wrong(scene.whole, run, forked(go_on)))
    shutil.rmtree(run)
    return {"point": point, "at": at, "wrong": wrong}


if __name__ == "__main__":
    folder, chosen, points = Path(sys.argv[1]), sys.argv[2], map(int, sys.argv[3:])
    small = SmallSweep(folder, pace=0.0)
    forked(lambda: int(not small.whole))  # nothing runs in this process: its threads would not survive a fork
    small.whole = folder / "whole"
    scene = SCENES[chosen](small)
    for point in points:
        print(json.dumps(try_point(small, scene, folder / "run", point)), flush=True)
