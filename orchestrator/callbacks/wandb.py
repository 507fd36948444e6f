"""Weights & Biases as an observer: one run a trial, written by a thread of its own.

The sweep never waits for it. A finished trial goes into a queue; the thread opens a run, logs one step a draw
and closes the run. What the thread raises is raised again by the next call, so that the guard in `base.py` warns once.
"""

import contextlib
import netrc
import os
import queue
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal
from urllib.parse import urlsplit

import psutil

from orchestrator.callbacks.base import CellSummary, Row, SweepSummary
from orchestrator.errors import TrackingError
from orchestrator.plan import Cell, SweepPlan, TrialPlan
from orchestrator.results import COLUMNS
from orchestrator.results import Cell as Value
from orchestrator.spec import WandbSettings
from trainables.trial import WindowScores

EXIT_SECONDS = 10.0
"""Longest that the end of a sweep waits for the tracker."""

INTERRUPTED_SECONDS = 3.0
"""The same after Ctrl-C or SIGTERM: whoever stops a sweep wants it to stop."""

LOGGED = (
    "threshold", "fit_seconds", "threshold_seconds", "score_seconds", "peak_host_mb", "peak_device_mb",
    "support_events", "prevalence",
)  # fmt: skip
"""Fixed columns that are logged with each draw, beside the metrics."""

Mode = Literal["online", "offline"]


def wandb_observer(settings: WandbSettings, run: Path) -> "WandbObserver | None":
    """Return the observer that the sweep file asks for; None when it is disabled, and wandb is then never imported.

    Mode auto obeys `WANDB_MODE` where that is set, else it is online with a key and offline without.

    Raises
    ------
    TrackingError
        Mode online without a key.
    """
    mode = settings.mode
    if mode == "auto":
        wanted = os.environ.get("WANDB_MODE", "")
        if wanted not in {"", "online", "offline", "disabled"}:
            raise TrackingError(f"WANDB_MODE must be online, offline or disabled, got {wanted!r}")
        mode = wanted or ("online" if has_key() else "offline")  # type: ignore[assignment]
    if mode == "disabled":
        return None
    if mode == "online" and not has_key():
        raise TrackingError(
            "tracking.wandb.mode is online, but there is no API key: run `wandb login`, set WANDB_API_KEY, "
            "or choose mode offline"
        )
    return WandbObserver(settings, run, "online" if mode == "online" else "offline")


def has_key() -> bool:
    """Return True if W&B's key is in the environment or in the netrc file, where `wandb login` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    places = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    for place in places:
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            if netrc.netrc(str(Path(place).expanduser())).authenticators(host):
                return True
    return False


class WandbObserver:
    """Writes one W&B run a trial: group = run folder, job type = phase, one step a draw.

    Parameters
    ----------
    settings
        Project and entity.
    run
        The run folder; local files go to its `wandb/`.
    mode
        "offline" needs neither key nor network.
    """

    def __init__(self, settings: WandbSettings, run: Path, mode: Mode) -> None:
        self._settings = settings
        self._run = run
        self._mode: Mode = mode
        self._earlier: dict[str, dict[int, Row]] = defaultdict(dict)
        self._open: dict[str, tuple[TrialPlan, dict[int, Row]]] = {}
        self._queue: queue.SimpleQueue[tuple[TrialPlan, list[Row]] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._dropped = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="wandb")

    def on_start(self, plan: SweepPlan, rows: Sequence[Row] = ()) -> None:  # noqa: ARG002
        """Start the thread; a trial that goes on after an interruption is written with its earlier rows."""
        for row in rows:
            self._earlier[str(row["trial"])][_draw(row)] = row
        self._thread.start()

    def on_trial_start(self, trial: TrialPlan) -> None:
        """Nothing: a run is opened when its trial has ended."""

    def on_row(self, trial: TrialPlan, row: Row, scores: WindowScores | None = None) -> None:  # noqa: ARG002
        """Keep the row; with the last one of a trial, hand the trial to the thread."""
        self._raise_error()
        if trial.id not in self._open:
            self._open[trial.id] = (trial, self._earlier.pop(trial.id, {}))
        rows = self._open[trial.id][1]
        rows[_draw(row)] = row
        if len(rows) >= len(trial.draws):
            self._hand_over(trial.id)

    def on_cell_done(self, cell: Cell, summary: CellSummary) -> None:  # noqa: ARG002
        """Hand over trials of the cell that ended before all their draws ran."""
        self._raise_error()
        for key in [key for key, (trial, _) in self._open.items() if trial.cell.name == cell.name]:
            self._hand_over(key)

    def on_finish(self, summary: SweepSummary) -> None:
        """Wait for the thread, at most `EXIT_SECONDS`, then drop what is left."""
        self._raise_error()
        for key in list(self._open):
            self._hand_over(key)
        self._queue.put(None)
        limit = min(EXIT_SECONDS, INTERRUPTED_SECONDS) if summary.interrupted else EXIT_SECONDS
        self._thread.join(limit)
        if self._thread.is_alive():
            left = self._queue.qsize()  # the one being written and those waiting; the end mark makes up for it
            self._drop()
            raise TrackingError(f"about {left} trials are not in W&B after {limit:g} s; rows.jsonl has them all")
        self._raise_error()

    def _hand_over(self, key: str) -> None:
        trial, rows = self._open.pop(key)
        self._queue.put((trial, [rows[draw] for draw in sorted(rows)]))

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            for entry in iter(self._queue.get, None):
                if self._dropped.is_set():
                    return
                self._write(*entry)
        except Exception as err:  # this thread's part of the observer guard: `_raise_error` passes it on
            self._error = err

    def _write(self, trial: TrialPlan, rows: Sequence[Row]) -> None:
        import wandb  # noqa: PLC0415  (seconds to import; not at all when disabled)

        wandb.setup(wandb.Settings(silent=True))
        run = wandb.init(
            project=self._settings.project,
            entity=self._settings.entity,
            group=self._run.name,
            job_type=trial.phase,
            id=_identifier(self._run.name, trial),
            name=_name(trial),
            config=configuration(trial, rows[0]),
            dir=str(self._run),
            mode=self._mode,
            resume="allow" if self._mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                init_timeout=30,
                finish_timeout=EXIT_SECONDS,
            ),
        )
        run.define_metric("*", step_metric="draw")
        for row in rows:
            run.log({"draw": row["draw"], **measured(row)})
        good = [row for row in rows if row["status"] == "ok"]
        run.summary.update(summarised(rows))
        run.finish(exit_code=0 if good else 1)

    def _drop(self) -> None:
        """End W&B's own process: at exit wandb would wait for it without a limit."""
        self._dropped.set()
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if child.name().startswith("wandb-core"):
                    child.kill()
        closing = threading.Thread(target=_close_connection, daemon=True, name="wandb-close")
        closing.start()
        closing.join(1.0)


def _close_connection() -> None:
    """Take wandb's exit hook away; its process is gone, so the connection ends in an error that says just that."""
    module = sys.modules.get("wandb")
    if module is not None:
        with contextlib.suppress(OSError, SystemExit):
            module.teardown()


def configuration(trial: TrialPlan, row: Row) -> dict[str, Value]:
    """Return what identifies a trial: no telemetry, no secrets."""
    cell = trial.cell
    return {
        "detector": cell.detector,
        "source": cell.source,
        "fold": cell.fold,
        "shots": cell.shots,
        "unit": row.get("unit"),
        "phase": trial.phase,
        "trial": trial.id,
        "candidate": trial.candidate,
        "simulated": row.get("simulated"),
        "fingerprint": row.get("fingerprint"),
        **{f"param.{name}": value for name, value in trial.request(trial.draws[0]).settings.items()},
    }


def measured(row: Row) -> dict[str, float]:
    """Return the numbers of one draw: every metric that is defined on it, and what it cost."""
    names = [name for name in row if name in LOGGED or (name not in COLUMNS and not name.startswith("param."))]
    return {
        name: float(value)
        for name in names
        if isinstance(value := row[name], int | float) and not isinstance(value, bool)
    }


def summarised(rows: Sequence[Row]) -> Mapping[str, Value]:
    """Return the mean over draws of every number, and how many draws ended how."""
    good = [measured(row) for row in rows if row["status"] == "ok"]
    names = dict.fromkeys(name for values in good for name in values)
    means: dict[str, Value] = {name: fmean(values[name] for values in good if name in values) for name in names}
    failed = [row for row in rows if row["status"] != "ok"]
    means |= {
        "draws_ok": len(good),
        "draws_not_ok": len(failed),
        "status": "ok" if not failed else failed[-1]["status"],
    }
    if failed:
        means["reason"] = failed[-1].get("reason")
    return means


def _draw(row: Row) -> int:
    return int(row["draw"] or 0)


def _identifier(group: str, trial: TrialPlan) -> str:
    """Return the same for a trial whenever it is written, so that a resumed sweep adds no second run."""
    return f"{group}-{trial.id}"[-100:].strip("-")


def _name(trial: TrialPlan) -> str:
    what = f"candidate {trial.candidate}" if trial.phase == "select" else f"draw {trial.draws[0]}"
    return f"{trial.cell.name} {trial.phase} {what}"
