"""The search of one cell: an Optuna study that is told whole blocks of draws, then the report draws of its winner."""

import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from orchestrator.assignments import Assignment, Observation, RacedOut, Recorded, SearchRules
from orchestrator.plan import Cell, TrialPlan
from orchestrator.racing import make_pruner, racing_is_on, running_order
from orchestrator.recent_trials import RecentTrials
from trainables.protocol import Scalar

SEARCHED_DRAW = "few_shot.seeds"
"""Name of the draw among the parameters of a study where `few_shot.seeds: searched`."""

MOST_STARTUP_CANDIDATES = 8
"""Below the 10 random trials that Optuna's TPE starts with by default: our searches are short."""


def startup_candidates(candidates: int) -> int:
    """Return how many configurations of a search are random: a quarter, at least 2, at most 8."""
    return min(candidates, MOST_STARTUP_CANDIDATES, max(2, candidates // 4))


@dataclass(slots=True)
class _Candidate:
    """A configuration under way."""

    plan: TrialPlan
    order: tuple[int, ...]
    trial: Trial
    seen: dict[int, Observation] = field(default_factory=dict)

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(draw for draw in self.order if draw not in self.seen)

    @property
    def failure(self) -> str | None:
        """Why the study cannot be told a value, or None; draws in their own order, so that it is reproducible."""
        for draw in sorted(self.seen):
            seen = self.seen[draw]
            if seen.status not in {"ok", "pruned"}:
                return f"draw {draw}: {seen.status}: {seen.reason}"
            if seen.status == "ok" and (seen.value is None or not math.isfinite(seen.value)):
                return f"draw {draw}: the objective is undefined"
        return None

    @property
    def was_raced_out(self) -> bool:
        return any(seen.status == "pruned" for seen in self.seen.values())

    @property
    def mean(self) -> float:
        values = [seen.value for _, seen in sorted(self.seen.items()) if seen.value is not None]
        return math.fsum(values) / len(values)


Told = Callable[[Cell, FrozenTrial], None]
"""Receives each configuration when it is told, in the order of their numbers within a cell."""


class CellSearch:
    """The search of one cell and its report draws.

    Parameters
    ----------
    cell
        What is searched.
    rules
        How.
    recorded
        Draws of this cell that already have a row, in the order of the rows.
    on_told
        See `Told`.
    """

    def __init__(self, cell: Cell, rules: SearchRules, recorded: Iterable[Recorded], on_told: Told) -> None:
        self.cell = cell
        self.raced_out: list[RacedOut] = []
        """Draws that racing decided against while rows were read back, and that have no row yet."""
        self._rules = rules
        self._on_told = on_told
        self._draws_per_trial = 1 if rules.draws_are_searched else len(cell.selection_draws)
        self._racing = racing_is_on(rules.racing, self._draws_per_trial)
        self._startup = startup_candidates(cell.candidates)
        self._study = optuna.create_study(
            study_name=cell.name,
            direction="maximize" if rules.direction == "max" else "minimize",
            pruner=make_pruner(self._racing),
        )
        self._recent = RecentTrials(self._study.direction)
        self._distributions = _distributions(cell, rules)
        self._candidates: dict[int, _Candidate] = {}
        self._told: dict[int, FrozenTrial] = {}
        self._announced = 0
        self._waiting: deque[Assignment] = deque()
        self._in_flight = 0
        rows = list(recorded)
        self._reported = {r.trial for r in rows if r.phase == "report" and _is_kept(r)}
        self._read_back([row for row in rows if row.phase == "select" and self._is_ours(row)])
        if not cell.candidates:
            self._plan_report()

    @property
    def unsearched(self) -> int:
        """Configurations that are not told yet."""
        return self.cell.candidates - len(self._told)

    @property
    def failure(self) -> str | None:
        """Why no report draw can run, or None."""
        if self.unsearched or not self.cell.candidates or self._best() is not None:
            return None
        reasons = {trial.user_attrs.get("reason", trial.state.name) for trial in self._told.values()}
        return f"all {self.cell.candidates} configurations failed: {min(reasons)}"

    @property
    def selection_ids(self) -> set[str]:
        """Ids of the selection trials so far."""
        return {candidate.plan.id for candidate in self._candidates.values()}

    @property
    def has_work(self) -> bool:
        """True if `next` returns an assignment now."""
        return bool(self._waiting) or self._may_ask

    @property
    def next_is_large(self) -> bool:
        """True if `next` returns an assignment that needs a larger slot."""
        return bool(self._waiting) and self._waiting[0].large

    @property
    def is_over(self) -> bool:
        """True if nothing is waiting, running or still to come."""
        return not self.has_work and not self._in_flight and not self.unsearched

    def next(self) -> Assignment:
        """Return the next trial to run; `has_work` must be true."""
        if not self._waiting:
            candidate = self._ask(len(self._candidates))
            self._waiting.append(Assignment(candidate.plan, candidate.missing))
        self._in_flight += 1
        return self._waiting.popleft()

    def requeue(self, assignment: Assignment) -> None:
        """Take back an assignment whose worker was lost; it is handed out again first."""
        self._in_flight -= 1
        self._waiting.appendleft(assignment)

    def add(self, assignment: Assignment) -> None:
        """Take in one more assignment, which is handed out like any other."""
        self._waiting.append(assignment)

    def done(self) -> None:
        """Note that an assignment has ended."""
        self._in_flight -= 1

    def record(self, plan: TrialPlan, draw: int, observation: Observation) -> RacedOut | None:
        """Take in a finished draw; return the draws of its trial that racing decides against, if it does."""
        if plan.phase == "report":
            return None
        if plan.candidate is None:
            raise ValueError(f"selection trial {plan.id} has no candidate number")
        candidate = self._candidates[plan.candidate]
        candidate.seen[draw] = observation
        raced_out = self._race(candidate, draw, observation)
        if raced_out is not None:
            for other in raced_out.draws:
                candidate.seen[other] = Observation("pruned", None, raced_out.reason)
        if not candidate.missing:
            self._tell(plan.candidate, candidate)
        return raced_out

    @property
    def _may_ask(self) -> bool:
        number = len(self._candidates)
        return number < self.cell.candidates and (number < self._startup or len(self._told) == number)

    def _ask(self, number: int) -> _Candidate:
        recent = self._recent.study(number, self._told)
        if recent is None:
            self._study.sampler = self._sampler(number)
            trial = self._study.ask(self._distributions)
            return self._add(number, dict(trial.params), trial)
        recent.sampler = self._sampler(number)
        parameters = dict(recent.ask(self._distributions).params)
        return self._add(number, dict(parameters), self._ask_for(parameters))

    def _ask_for(self, parameters: dict[str, Scalar]) -> Trial:
        """Put given parameters into the study."""
        self._study.sampler = RandomSampler(seed=0)  # asked for nothing: all parameters are given
        self._study.enqueue_trial(parameters)
        return self._study.ask(self._distributions)

    def _sampler(self, number: int) -> BaseSampler:
        seed = self._seed(number, "sampler")
        if self._rules.sampler == "random" or number < self._startup:
            return RandomSampler(seed=seed)
        return TPESampler(seed=seed, n_startup_trials=1, constant_liar=False)

    def _add(self, number: int, parameters: dict[str, Scalar], trial: Trial) -> _Candidate:
        """Keep a configuration under its number and return it."""
        draw = parameters.pop(SEARCHED_DRAW, None)
        draws = self.cell.selection_draws if draw is None else (int(draw),)
        plan = TrialPlan(self.cell, "select", number, parameters, draws)
        order = running_order(draws, self._seed(number, "order"), self._racing)
        self._candidates[number] = _Candidate(plan, order, trial)
        return self._candidates[number]

    def _seed(self, number: int, stream: str) -> int:
        text = f"{self._rules.seed}/{self.cell.name}/{number}/{stream}"
        return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) & 0x7FFFFFFF

    def _race(self, candidate: _Candidate, draw: int, observation: Observation) -> RacedOut | None:
        if observation.status != "ok" or observation.value is None or candidate.failure is not None:
            return None
        candidate.trial.report(observation.value, step=draw)
        raced = self._racing and candidate.trial.number >= self._startup
        if not raced or not candidate.missing or not candidate.trial.should_prune():
            return None
        best = self._study.best_trial.number
        reason = f"raced out after {len(candidate.seen)} of {len(candidate.order)} draws against configuration {best}"
        return RacedOut(candidate.plan, candidate.missing, reason)

    def _tell(self, number: int, candidate: _Candidate) -> None:
        candidate.trial.set_user_attr("trial", candidate.plan.id)  # leads from a dashboard to the rows
        if candidate.failure is not None:
            candidate.trial.set_user_attr("reason", candidate.failure)
            self._told[number] = self._study.tell(candidate.trial, state=TrialState.FAIL)
        elif candidate.was_raced_out:
            self._told[number] = self._study.tell(candidate.trial, state=TrialState.PRUNED)
        else:
            self._told[number] = self._study.tell(candidate.trial, candidate.mean)
        while self._announced in self._told:
            self._on_told(self.cell, self._told[self._announced])
            self._announced += 1
        if not self.unsearched:
            self._plan_report()

    def _best(self) -> FrozenTrial | None:
        complete = [trial for trial in self._told.values() if trial.state == TrialState.COMPLETE]
        sign = -1.0 if self._rules.direction == "max" else 1.0
        return min(complete, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)

    @property
    def winner(self) -> tuple[Mapping[str, Scalar], float] | None:
        """Searched settings of the best configuration and its mean; None while the search is under way.

        None, too, if nothing is searched or if every configuration failed. Of equals the first is best.
        """
        best = None if self.unsearched else self._best()
        if best is None or best.value is None:
            return None
        return self._candidates[best.number].plan.parameters, best.value

    def _plan_report(self) -> None:
        plans = [plan for plan in self.report_plans() if plan.id not in self._reported]
        self._waiting.extend(Assignment(plan, plan.draws) for plan in plans)

    def report_plans(self) -> list[TrialPlan]:
        """Return the report trials, one a draw: of the winner, or of the fixed settings if nothing is searched.

        Empty while the search is under way and if every configuration failed.
        """
        parameters: Mapping[str, Scalar] = {}
        if self.cell.candidates:
            if self.winner is None:
                return []
            parameters = self.winner[0]
        return [TrialPlan(self.cell, "report", None, parameters, (draw,)) for draw in self.cell.report_draws]

    def _is_ours(self, record: Recorded) -> bool:
        """Say whether a selection row has the id that its configuration has now; with other data it has another.

        Nor is a configuration ours that the space no longer holds.
        """
        if record.candidate is None or record.candidate >= self.cell.candidates:
            return False
        space = self.cell.space
        if any(name not in record.parameters or not space[name].holds(record.parameters[name]) for name in space):
            return False
        draws = (record.draw,) if self._rules.draws_are_searched else self.cell.selection_draws
        return TrialPlan(self.cell, "select", record.candidate, record.parameters, draws).id == record.trial

    def _read_back(self, selection: Sequence[Recorded]) -> None:
        """Refill the study from rows: the same suggestions follow as if nothing had been interrupted."""
        latest = {record.candidate: record.trial for record in selection}  # a forced resume may have put another there
        blocks: dict[int, list[Recorded]] = {}
        for record in selection:
            if record.trial == latest[record.candidate]:
                blocks.setdefault(record.candidate or 0, []).append(record)
        for number in range(max(blocks, default=-1) + 1):
            if number not in blocks and not self._may_ask:
                break  # what comes later rests on a configuration that is not known: it runs again
            candidate = self._refill(number, blocks[number]) if number in blocks else self._ask(number)
            if candidate.missing:
                self._waiting.append(Assignment(candidate.plan, candidate.missing))

    def _refill(self, number: int, block: Sequence[Recorded]) -> _Candidate:
        """Put a configuration back under its number with the draws that have rows."""
        parameters = dict(block[0].parameters)
        if self._rules.draws_are_searched:
            parameters[SEARCHED_DRAW] = block[0].draw
        trial = self._ask_for(dict(parameters))
        candidate = self._add(number, parameters, trial)
        kept = {r.draw: r.observation for r in block if r.observation is not None}
        in_turn = sorted(kept, key=lambda draw: kept[draw].status == "pruned")  # racing decides again, as it did
        for draw in in_turn:
            if draw in candidate.seen:
                continue
            raced_out = self.record(candidate.plan, draw, kept[draw])
            unwritten = tuple(other for other in raced_out.draws if other not in kept) if raced_out else ()
            if raced_out and unwritten:
                self.raced_out.append(RacedOut(candidate.plan, unwritten, raced_out.reason))
        return candidate


def _is_kept(record: Recorded) -> bool:
    """Say whether a report row stands; a pruned one was set aside when its configuration lost the lead."""
    return record.observation is not None and record.observation.status != "pruned"


def _distributions(cell: Cell, rules: SearchRules) -> dict[str, BaseDistribution]:
    distributions = {name: dimension.distribution for name, dimension in cell.space.items()}
    if rules.draws_are_searched:
        distributions[SEARCHED_DRAW] = CategoricalDistribution(cell.selection_draws)
    return distributions
