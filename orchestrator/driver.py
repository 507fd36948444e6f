"""The driver's desk: hands out trials, takes outcomes in, and is the only writer of rows.

Backends see `next`, `report`, `done` and `lost`; they know neither studies nor files.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from statistics import fmean

from optuna.study import StudyDirection

from orchestrator.assignments import Assignment, RacedOut, Recorded, SearchRules
from orchestrator.callbacks.base import CellSummary, Observers
from orchestrator.journal import StudyJournal
from orchestrator.plan import Cell, SweepPlan, TrialPlan
from orchestrator.problems import without_keys
from orchestrator.results import Cell as Value
from orchestrator.results import scores_are_whole
from orchestrator.rows import SweepFacts, cell_key, draw_of, make_row, observe, read_back, refuse_edited
from orchestrator.search import SweepSearch
from orchestrator.storage import RunFolder
from orchestrator.summary import FAILED
from orchestrator.winners import DrawKey, Winners
from trainables.metrics import METRICS
from trainables.trial import Phase, TrialOutcome

logger = logging.getLogger(__name__)

Row = dict[str, Value]


@dataclass(frozen=True, slots=True)
class _Standing:
    """The row of a draw, in short."""

    phase: Phase
    status: str
    value: float | None


@dataclass(slots=True)
class _CellState:
    """Rows of a cell, and when its first trial of this start was handed out."""

    rows: dict[DrawKey, _Standing] = field(default_factory=dict)
    started: float | None = None
    announced: bool = False


class Driver:
    """One start of a sweep.

    Parameters
    ----------
    plan
        What to run.
    folder
        Where; open and locked.
    facts
        What all rows have in common.
    observers
        Who is told.
    retry_failed
        Draws whose last row is failed, timeout, oom or interrupted run again, and those that lost their scores.
    force
        The plan may be another than the one that rows were made by.

    Raises
    ------
    RunFolderError
        A row was edited: its settings are not those that its trial is named after.
    """

    def __init__(
        self,
        plan: SweepPlan,
        folder: RunFolder,
        facts: SweepFacts,
        observers: Observers,
        *,
        retry_failed: bool = False,
        force: bool = False,
    ) -> None:
        self.plan = plan
        self._folder = folder
        self._facts = facts
        self._observers = observers
        self._metric = plan.spec.objective.metric
        self._winners = Winners(folder, facts)
        self._cells = {cell.name: _CellState() for cell in plan.cells}
        self._attempts: Counter[DrawKey] = Counter()
        self._losses: Counter[DrawKey] = Counter()
        rules = _rules(plan)
        direction = StudyDirection.MAXIMIZE if rules.direction == "max" else StudyDirection.MINIMIZE
        self._journal = StudyJournal(folder.path, direction, rebuild=retry_failed or force)
        self._search = SweepSearch(plan.cells, rules, self._read_back(retry_failed=retry_failed), self._journal.add)
        for cell in plan.cells:
            over = self._search.cell(cell.name).is_over
            self._cells[cell.name].announced = over and not self._refit_for_winner(cell)

    def start(self) -> None:
        """Begin to write; until here the folder is untouched."""
        self._journal.open()
        self._winners.start()
        for raced_out in self._search.raced_out:
            self._write_raced_out(raced_out)
        for cell in self.plan.cells:
            if self._cells[cell.name].announced:
                self._set_aside_stale(cell)

    @property
    def is_over(self) -> bool:
        """True if nothing is waiting, running or still to come."""
        return self._search.is_over

    @property
    def statuses(self) -> dict[str, int]:
        """Rows of the plan by status."""
        return dict(Counter(row.status for name in self._cells for row in self._counted(name)))

    @property
    def missing(self) -> int:
        """Planned rows that do not exist."""
        return sum(self.left.values())

    @property
    def left(self) -> dict[str, int]:
        """Name of each cell that is not complete -> its planned rows that do not exist."""
        planned = {cell.name: self.plan.selection_rows(cell) + len(cell.report_draws) for cell in self.plan.cells}
        lacking = {name: rows - len(self._counted(name)) for name, rows in planned.items()}
        return {name: rows for name, rows in lacking.items() if rows}

    @property
    def failures(self) -> dict[str, str]:
        """Name of each cell whose report draws cannot run -> the reason."""
        reasons = {name: self._search.cell(name).failure for name in self._cells}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def next(self, fits: Callable[[Cell, bool], bool] = lambda _cell, _large: True) -> Assignment | None:
        """Return a trial to run now, or None if there is none that fits a free slot; `fits` as in `SweepSearch`."""
        assignment = self._search.next(fits)
        if assignment is None or assignment.refit:
            return assignment
        plan = assignment.plan
        state = self._cells[plan.cell.name]
        state.started = state.started or time.monotonic()
        self._observers.on_trial_start(plan)
        return replace(assignment, keep=plan.phase == "report" and assignment.draws[0] == plan.cell.report_draws[0])

    def report(self, assignment: Assignment, draw: int, outcome: TrialOutcome) -> bool:
        """Write the row of a draw; return False if the remaining draws of its trial were raced out."""
        plan = assignment.plan
        if assignment.refit:
            self._refitted(plan, outcome)
            return True
        row = self._write(plan, draw, outcome)
        raced_out = self._search.record(plan, draw, observe(row, self._metric))
        if raced_out is not None:
            self._write_raced_out(raced_out)
        return raced_out is None

    def done(self, assignment: Assignment) -> None:
        """Note that a trial has ended: each of its draws was reported, or it was raced out."""
        cell = assignment.plan.cell
        self._search.done(assignment)
        state = self._cells[cell.name]
        if not state.announced and self._search.cell(cell.name).is_over and not self._refit_for_winner(cell):
            state.announced = True
            self._set_aside_stale(cell)
            self._observers.on_cell_done(cell, self._summary(cell))

    def enlarged(self, assignment: Assignment, draws: tuple[int, ...], reason: str) -> None:
        """Take back draws, the first of which ran out of memory: they run once more in a larger slot."""
        plan = assignment.plan
        logger.warning("%s draw %d: %s; it runs once more in a larger slot", plan.cell.name, draws[0], reason)
        self._attempts[plan.id, draws[0]] += 1
        self._search.requeue(replace(assignment, draws=draws, large=True))

    def moved(self, assignment: Assignment, draws: tuple[int, ...]) -> None:
        """Take back draws of a trial that did not start: its node is gone."""
        self._search.requeue(replace(assignment, draws=draws))

    def lost(self, assignment: Assignment, draws: tuple[int, ...], outcome: TrialOutcome, *, most: int) -> None:
        """Note that a worker died before it reported these draws, the first of them being under way.

        That draw runs at most `most` times in all before it has this outcome; the others run in any case.
        """
        plan = assignment.plan
        key = (plan.id, draws[0])
        self._losses[key] += 1
        if self._losses[key] < most:
            logger.warning("%s draw %d: %s; it runs once more", plan.cell.name, draws[0], outcome.reason)
            self._attempts[key] += 1
            self._search.requeue(replace(assignment, draws=draws))
            return
        go_on = self.report(assignment, draws[0], outcome)
        if go_on and len(draws) > 1:
            self._search.requeue(replace(assignment, draws=draws[1:]))
        else:
            self.done(assignment)

    def _write(self, plan: TrialPlan, draw: int, outcome: TrialOutcome) -> Row:
        """Put a draw on disk, tell the observers, and return its row."""
        key = (plan.id, draw)
        self._attempts[key] += 1
        row = make_row(plan, draw, outcome, self._facts, self._attempts[key])
        scores = outcome.scores if row["status"] == "ok" else None
        if plan.phase == "report" and row["status"] == "ok":
            self._winners.put(plan, outcome)
        if row["status"] in FAILED:
            self._folder.write_trace(plan.id, draw, without_keys(outcome.trace or str(row["reason"])))
        self._folder.append(row, scores)
        self._keep(plan.cell, row)
        _log(plan, row)
        self._observers.on_row(plan, row, scores)
        return row

    def _refit_for_winner(self, cell: Cell) -> bool:
        """Hand a report draw of a finished cell out once more if the run folder lacks the cell's winner."""
        rows = self._cells[cell.name].rows
        search = self._search.cell(cell.name)
        ok = {key for key, row in rows.items() if row.phase == "report" and row.status == "ok"}
        plans = [plan for plan in search.report_plans() if (plan.id, plan.draws[0]) in ok]
        missing = self._winners.missing(cell.name, plans)
        if missing is None:
            return False
        search.add(Assignment(missing, missing.draws, keep=True, refit=True))
        return True

    def _refitted(self, plan: TrialPlan, outcome: TrialOutcome) -> None:
        if outcome.status != "ok":
            logger.warning("%s: there is no winner, its second fit failed: %s", plan.cell.name, outcome.reason)
        self._winners.put(plan, outcome)

    def _write_raced_out(self, raced_out: RacedOut) -> None:
        for draw in raced_out.draws:
            self._write(raced_out.plan, draw, TrialOutcome(status="pruned", reason=raced_out.reason))

    def _counted(self, name: str) -> list[_Standing]:
        """Return the rows of a cell; report rows of a shorter search do not count while it is extended.

        Nor do selection rows on data or settings that a forced resume has replaced.
        """
        search = self._search.cell(name)
        ours = search.selection_ids
        rows = self._cells[name].rows.items()
        return [row for key, row in rows if (key[0] in ours if row.phase == "select" else not search.unsearched)]

    def _keep(self, cell: Cell, row: Row) -> None:
        seen = observe(row, self._metric)
        phase: Phase = "report" if row["phase"] == "report" else "select"
        self._cells[cell.name].rows[str(row["trial"]), draw_of(row)] = _Standing(phase, seen.status, seen.value)

    def _read_back(self, *, retry_failed: bool) -> dict[str, list[Recorded]]:
        """Return the rows of earlier starts by cell; rows of cells that are not in the plan are left alone."""
        cells: dict[tuple[Value, ...], Cell] = {(c.detector, c.source, c.fold, c.shots): c for c in self.plan.cells}
        recorded: dict[str, list[Recorded]] = {cell.name: [] for cell in self.plan.cells}
        for row in self._folder.records:
            self._attempts[str(row["trial"]), draw_of(row)] = int(row.get("attempts") or 1)
            cell = cells.get(cell_key(row))
            if cell is None:
                continue
            if row["fingerprint"] == self._facts.fingerprint:
                refuse_edited(row, cell, self._folder.path)
            again = retry_failed and self._is_unfinished(row)
            recorded[cell.name].append(read_back(row, cell, self._metric, again=again))
            if row["phase"] == "select" or row["status"] != "pruned":
                self._keep(cell, row)
        return recorded

    def _is_unfinished(self, row: Row) -> bool:
        """Say whether a draw failed, or lost its scores."""
        if row["status"] == "ok":
            return not scores_are_whole(self._folder.path, str(row["trial"]), draw_of(row))
        return row["status"] not in {"ok", "pruned"}

    def _set_aside_stale(self, cell: Cell) -> None:
        """Mark rows that the plan no longer has, so that nobody pools them.

        Report rows of a configuration that lost the lead to a longer search, and whatever a forced resume did again
        on other data.
        """
        search = self._search.cell(cell.name)
        current = {plan.id for plan in search.report_plans()} | search.selection_ids
        rows = self._cells[cell.name].rows
        stale = {key for key, row in rows.items() if key[0] not in current and row.status != "pruned"}
        for row in self._folder.records:
            key = (str(row["trial"]), draw_of(row))
            if key in stale:
                kept = {name: value for name, value in row.items() if name not in METRICS}
                what = "another configuration won" if row["phase"] == "report" else "data or settings changed"
                reason = f"set aside: {what} since"
                self._folder.append({**kept, "status": "pruned", "reason": reason, "threshold": None})
                del rows[key]

    def _summary(self, cell: Cell) -> CellSummary:
        state = self._cells[cell.name]
        values = [row.value for row in state.rows.values() if row.phase == "report" and row.status == "ok"]
        defined = [value for value in values if value is not None]
        winner = self._search.cell(cell.name).winner
        return CellSummary(
            statuses=dict(Counter(row.status for row in state.rows.values())),
            metric=self._metric,
            parameters=winner[0] if winner else {},
            selection=winner[1] if winner else None,
            report=fmean(defined) if defined else None,
            seconds=time.monotonic() - state.started if state.started is not None else 0.0,
        )


def _rules(plan: SweepPlan) -> SearchRules:
    search = plan.spec.search
    return SearchRules(
        sampler=search.sampler,
        seed=search.seed,
        direction=METRICS[plan.spec.objective.metric].direction,
        racing=search.racing,
        draws_are_searched=plan.spec.few_shot.seeds == "searched",
    )


def _log(plan: TrialPlan, row: Row) -> None:
    """One line a draw."""
    cell = plan.cell
    logger.info(
        "%s %s: detector %s, source %s, %d shots, draw %s, seed %s: %s%s",
        plan.phase, plan.id, cell.detector, cell.source, cell.shots, row["draw"], row["seed"], row["status"],
        f": {row['reason']}" if row["reason"] else "",
    )  # fmt: skip
