"""What the engine costs a trial, beside Ray Tune as its documentation teaches it: `make bench`.

Not a test: it prints what one run on this machine took, with the bound that we hold ourselves to.
    ours          2,000 empty trials (20 cells x 100) through the engine: rows, score files, searcher
    tracked       200 of them with Weights & Biases on, offline; what that delays a trial
    reuse         200 empty trials of a class trainable with reuse_actors=True, nothing stored
    documented    20 trials of a function trainable with OptunaSearch and WandbLoggerCallback, Ray Tune's defaults
    commands      from `python -m orchestrator.sweep` to its first row: a fresh start, and a resume of 1,000 rows
    busy          share of the time in which two workers run trials of 2 s
Seconds are wall clock; `driver` is processor seconds of the driver's process, which other programs leave alone.
"""

import argparse
import contextlib
import io
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

CELLS = 20
OURS, TRACKED, REUSE, DOCUMENTED, RESUMED, SLOW = 2000, 200, 200, 20, 1000, 20
WARM_UP = 20
"""Trials before these do not count: workers start and import."""

SLOW_S = 2.0


@dataclass
class Times:
    """An observer that notes when rows arrive, and what the driver has taken until then."""

    rows: list[float] = field(default_factory=list)
    driver: list[float] = field(default_factory=list)
    memory_kb: list[float] = field(default_factory=list)
    started: float | None = None
    folders: int = 0

    def on_trial_start(self, *arguments: object) -> None:
        self.started = self.started or time.perf_counter()

    def on_row(self, *arguments: object) -> None:
        self.rows.append(time.perf_counter())
        self.driver.append(time.process_time())
        self.memory_kb.append(psutil.Process().memory_info().rss / 1024)
        places = Path(tempfile.gettempdir()).glob("sweep-tune-*/**/")
        self.folders = len(list(places)) if len(self.rows) % 100 == 0 else self.folders

    def __getattr__(self, name: str):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *arguments: None


def sweep_text(trials: int, detector: str, cells: int) -> tuple[str, list[str]]:
    """Detectors of a sweep of so many trials without labels, and what it overrides."""
    detectors = "".join(f'\n  d{cell}: {{class: "tests.fakes.detectors:{detector}"}}' for cell in range(cells))
    return detectors, [f"few_shot.report_seeds={{first: 100, count: {trials // cells}}}", "few_shot.shots=[0]"]


def ours(
    folder: Path, trials: int, *, tracked: bool = False, detector: str = "InstantNone", cells: int = CELLS
) -> Times:
    """What an engine run looked like from its observer."""
    from orchestrator.callbacks.wandb import wandb_observer
    from orchestrator.engine import run
    from orchestrator.options import RunOptions
    from tests.fakes.sweeps import plan_of

    plan, series = plan_of(folder, *sweep_text(trials, detector, cells))
    times = Times()
    tracker = wandb_observer(plan.spec.tracking.wandb.model_copy(update={"mode": "offline"}), folder / "run")
    observers = [times, tracker] if tracked else [times]
    run(plan, series, folder / "run", RunOptions(quiet=True), observers=observers, with_report=False)
    assert len(times.rows) == trials
    return times


def reuse(folder: Path, trials: int) -> list[float]:
    """Times at which bare Ray Tune, actors reused, completed its trials."""
    from ray import tune

    class Empty(tune.Trainable):
        def step(self) -> dict[str, object]:
            return {"score": 1.0, "done": True}

        def reset_config(self, new_config: dict[str, object]) -> bool:
            return True

    return tuned(
        Empty,
        tune.TuneConfig(num_samples=trials, reuse_actors=True, metric="score", mode="max"),
        folder,
        checkpoint_at_end=False,
    )


def documented(folder: Path, trials: int) -> list[float]:
    """Times at which Ray Tune as documented completed its trials."""
    from ray import tune
    from ray.air.integrations.wandb import WandbLoggerCallback
    from ray.tune.search.optuna import OptunaSearch

    def empty(config: dict[str, float]) -> None:
        tune.report({"score": config["x"]})

    return tuned(
        empty,
        tune.TuneConfig(num_samples=trials, search_alg=OptunaSearch(), metric="score", mode="max"),
        folder,
        space={"x": tune.uniform(0.0, 1.0)},
        callbacks=[WandbLoggerCallback(project="bench")],
    )


def tuned(trainable, config, folder: Path, *, space=None, callbacks=(), **checkpoints: bool) -> list[float]:
    from ray import init, shutdown, tune

    done: list[float] = []

    class Done(tune.Callback):
        def on_trial_complete(self, iteration, trials, trial, **info) -> None:
            done.append(time.perf_counter())

    init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        tune.Tuner(
            trainable,
            param_space=space or {},
            tune_config=config,
            run_config=tune.RunConfig(
                storage_path=str(folder),
                callbacks=[Done(), *callbacks],
                verbose=0,
                checkpoint_config=tune.CheckpointConfig(**checkpoints),
            ),
        ).fit()
    finally:
        shutdown()
    return done


def first_row(run: Path, rows: int, *arguments: str) -> float:
    """Seconds from a command to the row after `rows`."""
    root = Path(__file__).parents[1]
    started = time.perf_counter()
    command = subprocess.Popen(
        [sys.executable, "-m", "orchestrator.sweep", *arguments, "--quiet"],
        cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    path = run / "rows.jsonl"
    while not path.exists() or path.read_bytes().count(b"\n") <= rows:
        assert command.poll() is None, "the sweep ended before"
        time.sleep(0.05)
    seconds = time.perf_counter() - started
    command.terminate()
    command.wait()
    return seconds


def commands(folder: Path, rows: int) -> tuple[float, float]:
    """Seconds to the first row of a fresh start, and of a resume with so many rows."""
    from tests.fakes.sweeps import plan_of, run_sweep

    detectors, overrides = sweep_text(rows + 40, "InstantNone", 4)
    plan, series = plan_of(folder, detectors, overrides)
    (folder / "bench.yaml").write_text(plan.spec.to_yaml(), encoding="utf-8")
    fresh = first_row(folder / "fresh", 0, str(folder / "bench.yaml"), "--output", str(folder / "fresh"))
    run_sweep(plan, series, folder / "whole", backend="inline")
    lines = (folder / "whole" / "rows.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "whole" / "rows.jsonl").write_text("".join(lines[:rows]), encoding="utf-8")
    return fresh, first_row(folder / "whole", rows, "--resume", str(folder / "whole"))


def busy_share(folder: Path) -> float:
    """Share of the time from the first start to the last row in which two workers ran trials of `SLOW_S`."""
    times = ours(folder, SLOW, detector="TwoSeconds", cells=1)
    first = times.rows[1] - SLOW_S  # workers have started by then
    return (SLOW - 2) * SLOW_S / (2 * (times.rows[-1] - first - SLOW_S))


def mean_gap(times: list[float]) -> float:
    return (times[-1] - times[0]) / (len(times) - 1)


def in_a_folder(function: Callable[..., object], *arguments: object):
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        return function(Path(folder), *arguments)


def line(what: str, value: str, bound: str = "") -> None:
    print(f"{what:58} {value:>12}   {bound}", flush=True)


def engine_lines(trials: int) -> float:
    """Print what the engine takes; seconds a trial."""
    started = time.perf_counter()
    times = in_a_folder(ours, trials)
    rows = times.rows[WARM_UP:]
    seconds, driver = mean_gap(rows), mean_gap(times.driver[WARM_UP:])
    line(f"ours, {trials} trials in {CELLS} cells: s a trial", f"{seconds:.4f}", "under 0.05")
    line("  driver's processor seconds a trial", f"{driver:.4f}")
    if len(rows) >= 200:
        first, last = mean_gap(rows[:101]), mean_gap(rows[-101:])
        line("  last hundred against the first, wall clock", f"{last / first - 1:+.0%}", "within 10 %")
        cpu = [mean_gap(part) for part in (times.driver[WARM_UP:][:101], times.driver[-101:])]
        line("  last hundred against the first, driver", f"{cpu[1] / cpu[0] - 1:+.0%}", "within 10 %")
    grown = (times.memory_kb[-1] - times.memory_kb[WARM_UP]) / len(rows)
    line("  driver's memory a trial, kB", f"{grown:.1f}", "at most 60")
    line("  folders of Tune on disk during the sweep", str(times.folders), "not one a trial")
    line("  first row after the call, s", f"{times.rows[0] - started:.1f}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=OURS, help="of ours (default: 2000)")
    parser.add_argument("--rows", type=int, default=RESUMED, help="that are resumed (default: 1000)")
    given = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ["WANDB_MODE"] = "offline"
    print(f"load before: {psutil.getloadavg()[0]:.1f} on {psutil.cpu_count()} cores")
    seconds = engine_lines(given.trials)
    tracked = in_a_folder(lambda folder, count: ours(folder, count, tracked=True), min(TRACKED, given.trials))
    line("tracked, offline: s a trial", f"{mean_gap(tracked.rows[WARM_UP:]):.4f}", f"untracked {seconds:.4f}")
    line("reuse: bare Ray Tune, s a trial", f"{mean_gap(in_a_folder(reuse, min(REUSE, given.trials))):.4f}")
    line("documented: Ray Tune as taught, s a trial", f"{mean_gap(in_a_folder(documented, DOCUMENTED)):.4f}")
    fresh, resumed = in_a_folder(commands, given.rows)
    line("command to first row, s", f"{fresh:.1f}", "12")
    line(f"resume of {given.rows} rows to the next one, s", f"{resumed:.1f}", "5 more than fresh")
    line("two workers busy with trials of 2 s", f"{in_a_folder(busy_share):.1%}", "95 %")


if __name__ == "__main__":
    main()
