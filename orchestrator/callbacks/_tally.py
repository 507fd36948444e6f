"""What a sweep has done so far, cell by cell, and how long the rest may take."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from orchestrator.callbacks.base import Row
from orchestrator.plan import Cell, SweepPlan, TrialPlan
from trainables.metrics import METRICS

FAILURES = ("failed", "timeout", "oom")
"""Statuses that count as failed; pruned and interrupted draws are neither good nor bad."""


class CellTally:
    """Counts of one cell."""

    def __init__(self, cell: Cell, planned: int) -> None:
        self.cell = cell
        self.planned = planned
        self.finished = False
        self.statuses: Counter[str] = Counter()
        self.running: set[str] = set()
        self.timed = 0
        self.seconds = 0.0
        self._rows: dict[str, dict[int, str]] = defaultdict(dict)
        self._selection: dict[str, dict[int, float | None]] = defaultdict(dict)
        self._report: dict[int, float] = {}

    @property
    def done(self) -> int:
        """Rows of the cell."""
        return sum(self.statuses.values())

    @property
    def failed(self) -> int:
        """Rows that count as failed."""
        return sum(self.statuses[status] for status in FAILURES)

    @property
    def left(self) -> int:
        """Rows still to come; 0 once the cell is finished, however many were raced out."""
        return 0 if self.finished else max(self.planned - self.done, 0)

    def best(self, metric: str, block: int) -> float | None:
        """Return the best mean of a whole block of selection draws; where nothing is searched, the report mean so far.

        Parameters
        ----------
        metric
            The objective.
        block
            Selection draws of a configuration.
        """
        if not self.cell.space:
            return fmean(self._report.values()) if self._report else None
        good = [[value for value in draws.values() if value is not None] for draws in self._selection.values()]
        means = [fmean(values) for values in good if len(values) == block]
        if not means:
            return None
        return max(means) if METRICS[metric].direction == "max" else min(means)

    def add(self, row: Row, metric: str) -> float:
        """Count one row, in place of an earlier one of the same draw; return its seconds, 0 if it is not ok."""
        trial, draw, status = str(row["trial"]), int(row["draw"] or 0), str(row["status"])
        earlier = self._rows[trial].get(draw)
        if earlier is not None:
            self.statuses[earlier] -= 1
        self._rows[trial][draw] = status
        self.statuses[status] += 1
        value = row.get(metric) if status == "ok" else None
        number = float(value) if isinstance(value, int | float) else None
        if row["phase"] == "select":
            self._selection[trial][draw] = number
        elif number is not None:
            self._report[draw] = number
        if status != "ok":
            return 0.0
        parts = [row.get(name) for name in ("fit_seconds", "threshold_seconds", "score_seconds")]
        spent = sum(float(part) for part in parts if isinstance(part, int | float))
        self.timed += 1
        self.seconds += spent
        return spent

    def trial_ended(self, trial: TrialPlan) -> bool:
        """Return True if no further row of the trial is to come."""
        return len(self._rows[trial.id]) >= len(trial.draws)


class Tally:
    """Counts of a whole sweep.

    Parameters
    ----------
    plan
        The plan of the sweep.
    rows
        Rows that exist already.
    clock
        Seconds, monotonic.
    """

    def __init__(self, plan: SweepPlan, rows: Sequence[Row] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.plan = plan
        self.metric = plan.spec.objective.metric
        self.cells: Mapping[str, CellTally] = {
            cell.name: CellTally(cell, plan.selection_rows(cell) + len(cell.report_draws)) for cell in plan.cells
        }
        self._clock = clock
        self._started = clock()
        self._busy = 0.0
        by_identity = {(c.detector, c.source, c.fold, c.shots): self.cells[c.name] for c in plan.cells}
        for row in rows:
            cell = by_identity.get((row["detector"], row["source"], row["fold"], row["shots"]))  # type: ignore[arg-type]
            if cell is not None:
                cell.add(row, self.metric)
        for cell in self.cells.values():
            cell.finished = not cell.left

    @property
    def done(self) -> int:
        """Rows of the sweep."""
        return sum(tally.done for tally in self.cells.values())

    @property
    def failed(self) -> int:
        """Rows that count as failed."""
        return sum(tally.failed for tally in self.cells.values())

    @property
    def finished_cells(self) -> int:
        """Cells whose last row is there."""
        return sum(tally.finished for tally in self.cells.values())

    def best(self, tally: CellTally) -> float | None:
        """Return the best value of a cell so far, see `CellTally.best`."""
        block = 1 if self.plan.spec.few_shot.seeds == "searched" else len(tally.cell.selection_draws)
        return tally.best(self.metric, block)

    def started(self, trial: TrialPlan) -> None:
        """Count a trial as running; a cell that was complete is open again."""
        tally = self.cells[trial.cell.name]
        tally.finished = False
        tally.running.add(trial.id)

    def add(self, trial: TrialPlan, row: Row) -> None:
        """Count a row and, with its last one, end its trial."""
        tally = self.cells[trial.cell.name]
        self._busy += tally.add(row, self.metric)
        if tally.trial_ended(trial):
            tally.running.discard(trial.id)

    def finish(self, cell: Cell) -> CellTally:
        """Mark a cell as finished and return it."""
        tally = self.cells[cell.name]
        tally.finished = True
        tally.running.clear()
        return tally

    def seconds_left(self) -> float | None:
        """Return the expected seconds to the end; None before the first row of this start.

        A cell without a row yet is expected to cost what its detector costs elsewhere, else the mean of all;
        the sum is divided by how many rows ran at the same time so far.
        """
        elapsed = self._clock() - self._started
        if self._busy <= 0 or elapsed <= 0:
            return None
        timed = [tally for tally in self.cells.values() if tally.timed]
        of_all = sum(tally.seconds for tally in timed) / sum(tally.timed for tally in timed)
        of_detector: defaultdict[str, list[float]] = defaultdict(list)
        for tally in timed:
            of_detector[tally.cell.detector].append(tally.seconds / tally.timed)
        expected = 0.0
        for tally in self.cells.values():
            similar = of_detector[tally.cell.detector]
            cost = tally.seconds / tally.timed if tally.timed else fmean(similar) if similar else of_all
            expected += tally.left * cost
        return expected / (self._busy / elapsed)


def spoken(seconds: float) -> str:
    """Return seconds in the words of a person: `8 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
