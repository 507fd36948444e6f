"""The contract of observers: they watch a sweep from the driver and can never hurt it."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from orchestrator.plan import Cell, SweepPlan, TrialPlan
from orchestrator.results import Cell as Value
from trainables.protocol import Scalar
from trainables.trial import WindowScores

logger = logging.getLogger(__name__)

Row = Mapping[str, Value]
"""A row as `rows.jsonl` holds it."""


@dataclass(frozen=True, slots=True)
class CellSummary:
    """What a finished cell has to show.

    Attributes
    ----------
    statuses
        Rows of the cell by status, both phases.
    metric
        Name of the objective.
    parameters
        Searched settings of the winner; empty where nothing is searched or no candidate succeeded.
    selection
        Mean of the objective over the winner's selection draws; None where nothing is searched.
    report
        Mean of the objective over the report draws that succeeded; None if none did.
    seconds
        Wall clock from the first trial of the cell to its last.
    """

    statuses: Mapping[str, int]
    metric: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    selection: float | None = None
    report: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """How a sweep ended.

    Attributes
    ----------
    run
        The run folder.
    statuses
        Rows by status, those of earlier starts included.
    missing
        Planned rows that do not exist, because the sweep was interrupted or a search was cut short.
    interrupted
        True after SIGINT or SIGTERM, or if an error ended the sweep.
    seconds
        Wall clock of this start.
    report
        `index.html` of the report, if it was made.
    """

    run: Path
    statuses: Mapping[str, int]
    missing: int = 0
    interrupted: bool = False
    seconds: float = 0.0
    report: Path | None = None

    @property
    def rows(self) -> int:
        """Rows of the run folder."""
        return sum(self.statuses.values())


class Observer(Protocol):
    """Watches a sweep; called on the driver, from one thread, in the order of events.

    An observer returns quickly: slow work belongs in a thread of its own. What it raises is caught by `Observers`.
    """

    def on_start(self, plan: SweepPlan, rows: Sequence[Row] = ()) -> None:
        """Take note that the sweep starts; `rows` are those that a resumed run folder holds already."""
        ...

    def on_trial_start(self, trial: TrialPlan) -> None:
        """Take note that a trial was handed to a worker."""
        ...

    def on_row(self, trial: TrialPlan, row: Row, scores: WindowScores | None = None) -> None:
        """Take note of a draw whose row is on disk; `scores` come with those that succeeded."""
        ...

    def on_cell_done(self, cell: Cell, summary: CellSummary) -> None:
        """Take note that the last row of a cell is on disk."""
        ...

    def on_finish(self, summary: SweepSummary) -> None:
        """Take note that the sweep is over, complete, interrupted or broken off by an error; the last call."""
        ...


class Observers:
    """Several observers as one. One that raises is warned about once, switched off, and the sweep goes on."""

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._active = list(observers)

    def on_start(self, plan: SweepPlan, rows: Sequence[Row] = ()) -> None:
        """See `Observer`."""
        self._tell("on_start", plan, rows)

    def on_trial_start(self, trial: TrialPlan) -> None:
        """See `Observer`."""
        self._tell("on_trial_start", trial)

    def on_row(self, trial: TrialPlan, row: Row, scores: WindowScores | None = None) -> None:
        """See `Observer`."""
        self._tell("on_row", trial, row, scores)

    def on_cell_done(self, cell: Cell, summary: CellSummary) -> None:
        """See `Observer`."""
        self._tell("on_cell_done", cell, summary)

    def on_finish(self, summary: SweepSummary) -> None:
        """See `Observer`."""
        self._tell("on_finish", summary)

    def _tell(self, event: str, *arguments: object) -> None:
        for observer in tuple(self._active):
            try:
                getattr(observer, event)(*arguments)
            except Exception as err:  # the observer guard: a broken tracker must not cost a row
                self._active.remove(observer)
                name = type(observer).__name__
                logger.warning("%s is switched off: %s failed with %s: %s", name, event, type(err).__name__, err)
                logger.debug("trace of the failed observer", exc_info=err)


def count_statuses(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many rows have each status."""
    return dict(Counter(str(row["status"]) for row in rows))
