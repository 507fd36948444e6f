"""Plain ask/tell over all cells of a sweep: selection first, then report trials. No Ray, no files.

Each searched cell has an Optuna study in memory. A trial of the study is one configuration on its block of
selection draws; the study is told the mean of the objective only if the whole block is ok, FAIL if a draw
failed, PRUNED if it was raced out. When the last configuration is told, the best one runs on the report draws.

Rows do not depend on the number of workers, nor on an interruption: configuration n is suggested by a sampler
made anew from (search seed, cell, n), and only when all configurations before n are told. The first few
(`startup_candidates`) are random, hence independent of history; they may run at the same time.
"""

from collections.abc import Callable, Mapping, Sequence

from orchestrator.assignments import Assignment, Observation, RacedOut, Recorded, SearchRules
from orchestrator.cell_search import CellSearch, Told
from orchestrator.plan import Cell, TrialPlan


class SweepSearch:
    """All cells at once: no cell waits for another, and small cells fill the gaps.

    Parameters
    ----------
    cells
        In the order of the plan.
    rules
        How they are searched.
    recorded
        Draws that already have a row, in the order of the rows, by cell name.
    on_told
        See `Told`.
    """

    def __init__(
        self,
        cells: Sequence[Cell],
        rules: SearchRules,
        recorded: Mapping[str, Sequence[Recorded]] | None = None,
        on_told: Told = lambda _cell, _trial: None,
    ) -> None:
        rows = recorded or {}
        self._searches = {cell.name: CellSearch(cell, rules, rows.get(cell.name, ()), on_told) for cell in cells}

    @property
    def raced_out(self) -> list[RacedOut]:
        """Draws that racing decided against, and that have no row yet: an interruption fell between the two."""
        return [raced for search in self._searches.values() for raced in search.raced_out]

    @property
    def is_over(self) -> bool:
        """True if nothing is waiting, running or still to come."""
        return all(search.is_over for search in self._searches.values())

    def cell(self, name: str) -> CellSearch:
        """Return the search of a cell."""
        return self._searches[name]

    def next(self, fits: Callable[[Cell, bool], bool] = lambda _cell, _large: True) -> Assignment | None:
        """Return a trial to run now, or None if there is none that fits a free slot.

        `fits` is asked for the cell, and whether its next trial needs a larger slot.
        Selection goes before report, and long searches before short ones: their configurations follow one
        another, while report draws can fill any gap.
        """
        ready = [
            search for search in self._searches.values() if search.has_work and fits(search.cell, search.next_is_large)
        ]
        if not ready:
            return None
        return max(ready, key=lambda search: search.unsearched).next()

    def record(self, plan: TrialPlan, draw: int, observation: Observation) -> RacedOut | None:
        """Take in a finished draw; return the draws of its trial that racing decides against, if it does."""
        return self._searches[plan.cell.name].record(plan, draw, observation)

    def done(self, assignment: Assignment) -> None:
        """Note that an assignment has ended."""
        self._searches[assignment.plan.cell.name].done()

    def requeue(self, assignment: Assignment) -> None:
        """Take back an assignment whose worker was lost; it is handed out again first."""
        self._searches[assignment.plan.cell.name].requeue(assignment)
