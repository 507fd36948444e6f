"""Weights & Biases as an observer: one run a trial and one of the sweep, written by a thread of its own.

The sweep never waits for it. A finished trial goes into a queue; the thread opens a run, logs one step a draw
and closes the run. What the thread raises is raised again by the next call, so that the guard in `base.py` warns once.
"""

import contextlib
import itertools
import queue
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import psutil

from orchestrator.callbacks.base import CellSummary, Row, SweepSummary
from orchestrator.callbacks.wandb_account import Mode, mode_of
from orchestrator.callbacks.wandb_runs import FINISH_SECONDS, RunWriter, load_wandb
from orchestrator.errors import TrackingError
from orchestrator.plan import Cell, SweepPlan, TrialPlan
from orchestrator.rows import draw_of
from orchestrator.spec import WandbSettings
from trainables.trial import WindowScores

EXIT_SECONDS = FINISH_SECONDS
"""Longest that the end of a sweep waits for the tracker."""

INTERRUPTED_SECONDS = 3.0
"""The same after Ctrl-C or SIGTERM: whoever stops a sweep wants it to stop."""

PAUSE = 3.0
"""Times that the thread rests for as long as a run took, while the sweep goes on: a core belongs to the trials."""

_FIRST, _NEXT, _LATE, _LAST = range(4)
"""Order in the queue: the overview, trials of this start, trials that an earlier start left out, the end."""

_Job = Sequence[Row] | str | None
"""Rows of a trial, the metric of the overview run, or the end."""


def wandb_observer(settings: WandbSettings, run: Path) -> "WandbObserver | None":
    """Return the observer that the sweep file asks for; None when it is disabled, and wandb is then never imported.

    Raises
    ------
    TrackingError
        As `mode_of`.
    """
    mode = mode_of(settings)
    return None if mode == "disabled" else WandbObserver(settings, run, mode)


class WandbObserver:
    """Hands trials to a thread that writes W&B runs: group = run folder, job type = phase, one step a draw.

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
        self.mode = mode
        self._settings = settings
        self._run = run
        self._metric = ""
        self._earlier: dict[str, dict[int, Row]] = defaultdict(dict)
        self._open: dict[str, dict[int, Row]] = {}
        self._queue: queue.PriorityQueue[tuple[int, int, _Job]] = queue.PriorityQueue()
        self._numbers = itertools.count()
        self._error: Exception | None = None
        self._finishing, self._dropped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True, name="wandb")

    def on_start(self, plan: SweepPlan, rows: Sequence[Row] = ()) -> None:
        """Start the thread; a trial that goes on after an interruption is written with its earlier rows."""
        self._metric = plan.spec.objective.metric
        for row in rows:
            self._earlier[str(row["trial"])][draw_of(row)] = row
        self._thread.start()

    def on_trial_start(self, trial: TrialPlan) -> None:
        """Nothing: a run is opened when its trial has ended."""

    def on_row(self, trial: TrialPlan, row: Row, scores: WindowScores | None = None) -> None:  # noqa: ARG002
        """Keep the row; with the last one of a trial, hand the trial to the thread."""
        self._raise_error()
        if trial.id not in self._open:
            self._open[trial.id] = self._earlier.pop(trial.id, {})
        rows = self._open[trial.id]
        rows[draw_of(row)] = row
        if len(rows) >= len(trial.draws):
            self._hand_over(self._open.pop(trial.id))

    def on_cell_done(self, cell: Cell, summary: CellSummary) -> None:  # noqa: ARG002
        """Hand over trials of the cell that ended before all their draws ran."""
        self._raise_error()
        for key, rows in list(self._open.items()):
            row = next(iter(rows.values()))
            if (row["detector"], row["source"], row["fold"], row["shots"]) == (
                cell.detector, cell.source, cell.fold, cell.shots,
            ):  # fmt: skip
                self._hand_over(self._open.pop(key))

    def on_finish(self, summary: SweepSummary) -> None:
        """Hand over the rest, wait for the thread, at most `EXIT_SECONDS`, then drop what is left.

        After an interruption, trials that did not end and the overview are left to the start that goes on.
        """
        self._raise_error()
        if not summary.interrupted:
            self._put(_FIRST, self._metric)
            for rows in self._open.values():
                self._hand_over(rows)
        for rows in self._earlier.values():
            self._hand_over(rows, _LATE)
        self._put(_LAST, None)
        self._finishing.set()
        limit = min(EXIT_SECONDS, INTERRUPTED_SECONDS) if summary.interrupted else EXIT_SECONDS
        try:
            self._thread.join(limit)
        except BaseException:  # a signal: whoever waits for the tracker has had enough
            self._drop()
            raise
        if self._thread.is_alive():
            left = self._queue.qsize()  # the one being written and those waiting; the end mark makes up for it
            self._drop()
            raise TrackingError(
                f"about {left} runs are not in W&B after {limit:g} s; rows.jsonl has them all, "
                f"and `python -m orchestrator.sync {self._run}` makes them"
            )
        self._raise_error()

    def _hand_over(self, rows: dict[int, Row], priority: int = _NEXT) -> None:
        self._put(priority, [rows[draw] for draw in sorted(rows)])

    def _put(self, priority: int, job: _Job) -> None:
        self._queue.put((priority, next(self._numbers), job))

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            writer = RunWriter(self._settings, self._run, self.mode)
            while True:
                job = self._queue.get()[2]
                if job is None or self._dropped.is_set():
                    return
                started = time.monotonic()
                self._write(writer, job)
                self._finishing.wait(PAUSE * (time.monotonic() - started))
        except Exception as err:  # this thread's part of the observer guard: `_raise_error` passes it on
            self._error = err

    def _write(self, writer: RunWriter, job: Sequence[Row] | str) -> None:
        load_wandb()
        if self._dropped.is_set():
            return  # the sweep ended meanwhile: start no process that nobody would end
        if isinstance(job, str):
            writer.overview(job)
        else:
            writer.trial(job)

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
    teardown = getattr(sys.modules.get("wandb"), "teardown", None)  # None while the module is still being imported
    if teardown is not None:
        with contextlib.suppress(OSError, SystemExit):
            teardown()
