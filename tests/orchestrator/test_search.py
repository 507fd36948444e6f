"""The search without Ray and without training: a known objective, any order of completion."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.assignments import Assignment, Observation, Recorded, SearchRules
from orchestrator.cell_search import startup_candidates
from orchestrator.plan import Cell, TrialPlan
from orchestrator.search import SweepSearch
from orchestrator.space import Dimension

SPACE = {"rate": Dimension("log_uniform", (1e-4, 1.0)), "rank": Dimension("choice", (2, 4, 8))}


def make_cell(name="searched", *, candidates=6, space=None, selection=(0, 1), report=(100, 101)):
    space = SPACE if space is None and candidates else (space or {})
    return Cell(
        detector=name, class_path=None, labels="all", gpu=False, source="s", fold=0, shots=20, settings={},
        space=space, candidates=candidates, selection_draws=selection, report_draws=report, context="c",
    )  # fmt: skip


def objective(plan: TrialPlan, draw: int) -> Observation:
    """Best near rate 0.03; draws shift all configurations alike."""
    rate = float(plan.parameters.get("rate", 0.03))
    return Observation("ok", -abs(rate - 0.03) + 0.01 * draw)


class Run:
    """Drives a search with several workers; finished trials come back in a random order."""

    def __init__(self, search, *, workers=1, seed=0, judge=objective):
        self.search, self.workers, self.judge = search, workers, judge
        self.random = random.Random(seed)
        self.records: list[tuple[TrialPlan, int, Observation]] = []
        self.handed_out: list[Assignment] = []

    def go(self, stop_after=10**6):
        flying: list[Assignment] = []
        while len(self.records) < stop_after:
            while len(flying) < self.workers and (assignment := self.search.next()) is not None:
                flying.append(assignment)
                self.handed_out.append(assignment)
            if not flying:
                return self
            self._finish(flying.pop(self.random.randrange(len(flying))))
        return self

    def _finish(self, assignment):
        for draw in assignment.draws:
            seen = self.judge(assignment.plan, draw)
            self.records.append((assignment.plan, draw, seen))
            raced = self.search.record(assignment.plan, draw, seen)
            if raced is not None:
                pruned = Observation("pruned", None, raced.reason)
                self.records += [(raced.plan, other, pruned) for other in raced.draws]
                break
        self.search.done(assignment)

    @property
    def keys(self):
        return {(plan.id, draw) for plan, draw, _ in self.records}

    def recorded(self, count=None, *, again=()):
        """The first `count` records by cell, as rows would give them back."""
        by_cell: dict[str, list[Recorded]] = {}
        for plan, draw, seen in self.records[:count]:
            by_cell.setdefault(plan.cell.name, []).append(
                Recorded(
                    plan.id, plan.phase, draw, plan.candidate, plan.parameters, None if seen.status in again else seen
                )
            )
        return by_cell


def test_selection_draws_come_before_report_draws_and_all_run_once():
    run = Run(SweepSearch([make_cell()], SearchRules())).go()
    assert 6 * 2 + 2 == len(run.records) == len(run.keys)
    assert ["select"] * 12 + ["report"] * 2 == [plan.phase for plan, _, _ in run.records]
    assert run.search.is_over


def test_a_cell_that_searches_nothing_reports_at_once():
    run = Run(SweepSearch([make_cell(candidates=0)], SearchRules())).go()
    assert [("report", 100), ("report", 101)] == [(plan.phase, draw) for plan, draw, _ in run.records]


def test_the_report_runs_the_best_mean_and_of_equals_the_first():
    cell = make_cell(candidates=4)
    run = Run(SweepSearch([cell], SearchRules()), judge=lambda plan, draw: Observation("ok", 1.0)).go()
    first = next(plan for plan, _, _ in run.records if plan.candidate == 0)
    assert dict(first.parameters) == dict(run.records[-1][0].parameters)


@pytest.mark.parametrize(("direction", "expected"), [("max", 2), ("min", 0)])
def test_the_direction_of_the_metric_decides(direction, expected):
    cell = make_cell(candidates=3)
    judge = lambda plan, draw: Observation("ok", float(plan.candidate or 0))  # noqa: E731
    run = Run(SweepSearch([cell], SearchRules(direction=direction)), judge=judge).go()
    winner = next(plan for plan, _, _ in run.records if plan.candidate == expected)
    assert dict(winner.parameters) == dict(run.search.cell(cell.name).winner[0])


@given(workers=st.integers(1, 5), seed=st.integers(0, 50), candidates=st.integers(1, 14))
@settings(max_examples=25, deadline=None)
def test_rows_do_not_depend_on_workers_or_order(workers, seed, candidates):
    cells = [make_cell("a", candidates=candidates), make_cell("b", candidates=3), make_cell("c", candidates=0)]
    alone = Run(SweepSearch(cells, SearchRules(seed=3))).go()
    together = Run(SweepSearch(cells, SearchRules(seed=3)), workers=workers, seed=seed).go()
    assert alone.keys == together.keys


@given(cut=st.integers(0, 40), workers=st.integers(1, 3), seed=st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_resuming_runs_exactly_what_is_missing(cut, workers, seed):
    cells = [make_cell("a", candidates=9), make_cell("b", candidates=3)]
    whole = Run(SweepSearch(cells, SearchRules(seed=1))).go()
    first = Run(SweepSearch(cells, SearchRules(seed=1)), workers=workers, seed=seed).go(stop_after=cut)
    second = Run(SweepSearch(cells, SearchRules(seed=1), first.recorded()), workers=workers).go()
    assert whole.keys == first.keys | second.keys
    assert set() == first.keys & second.keys


def test_a_block_with_a_failed_draw_cannot_win():
    def judge(plan, draw):
        if plan.candidate == 1 and draw == 1:
            return Observation("failed", None, "ValueError: planted")
        return Observation("ok", float(plan.candidate == 1))

    cell = make_cell(candidates=3)
    run = Run(SweepSearch([cell], SearchRules()), judge=judge).go()
    doomed = next(plan for plan, _, _ in run.records if plan.candidate == 1)
    assert 3 * 2 + 2 == len(run.records)
    assert dict(doomed.parameters) != dict(run.search.cell(cell.name).winner[0])


def test_an_undefined_objective_counts_as_failed():
    cell = make_cell(candidates=2)
    run = Run(SweepSearch([cell], SearchRules()), judge=lambda plan, draw: Observation("ok", None)).go()
    assert "all 2 configurations failed: draw 0: the objective is undefined" == run.search.cell(cell.name).failure


def test_no_report_runs_where_every_configuration_failed():
    cell = make_cell(candidates=3)
    run = Run(SweepSearch([cell], SearchRules()), judge=lambda plan, draw: Observation("oom", None, "too big")).go()
    assert 6 == len(run.records)
    assert run.search.is_over
    assert "all 3 configurations failed: draw 0: oom: too big" == run.search.cell(cell.name).failure


def test_failed_draws_run_again_when_asked_and_the_rest_does_not():
    broken = lambda plan, draw: (  # noqa: E731
        Observation("failed", None, "lost") if (plan.candidate, draw) == (0, 1) else objective(plan, draw)
    )
    cells = [make_cell(candidates=9)]
    first = Run(SweepSearch(cells, SearchRules()), judge=broken).go()
    second = Run(SweepSearch(cells, SearchRules(), first.recorded(again=("failed",)))).go()
    select = [(plan.candidate, draw) for plan, draw, _ in second.records if plan.phase == "select"]
    assert [(0, 1)] == select


def test_a_longer_search_keeps_what_ran_and_adds_the_rest():
    short = Run(SweepSearch([make_cell(candidates=4)], SearchRules())).go()
    long = Run(SweepSearch([make_cell(candidates=7)], SearchRules(), short.recorded())).go()
    assert {4, 5, 6} == {plan.candidate for plan, _, _ in long.records if plan.phase == "select"}


def test_racing_ends_a_configuration_that_is_worse_on_every_draw():
    def judge(plan, draw):
        return Observation("ok", (1.0 if plan.candidate == 0 else 0.2) + 0.01 * ((draw * 7) % 10))

    cell = make_cell(candidates=8, selection=tuple(range(10)))
    run = Run(SweepSearch([cell], SearchRules(racing=True)), judge=judge).go()
    random_ones = startup_candidates(8)
    for number in range(random_ones, 8):
        statuses = [seen.status for plan, _, seen in run.records if plan.candidate == number]
        assert 4 == statuses.count("ok")
        assert 6 == statuses.count("pruned")
    assert 8 * 10 + 2 == len(run.records)


def test_racing_is_off_below_six_selection_draws():
    judge = lambda plan, draw: Observation("ok", float(plan.candidate == 0))  # noqa: E731
    cell = make_cell(candidates=8, selection=tuple(range(5)))
    run = Run(SweepSearch([cell], SearchRules(racing=True)), judge=judge).go()
    assert {"ok"} == {seen.status for _, _, seen in run.records}


@given(cut=st.integers(0, 60))
@settings(max_examples=20, deadline=None)
def test_a_raced_search_resumes_to_the_same_rows(cut):
    def judge(plan, draw):
        return Observation("ok", (1.0 if plan.candidate == 0 else 0.2) + 0.01 * ((draw * 7) % 10))

    cells = [make_cell(candidates=6, selection=tuple(range(6)))]
    whole = Run(SweepSearch(cells, SearchRules()), judge=judge).go()
    first = Run(SweepSearch(cells, SearchRules()), judge=judge).go()
    records = first.recorded(cut)
    search = SweepSearch(cells, SearchRules(), records)
    unwritten = {(raced.plan.id, draw) for raced in search.raced_out for draw in raced.draws}
    kept = {(record.trial, record.draw) for rows in records.values() for record in rows}
    second = Run(search, judge=judge).go()
    assert whole.keys == kept | unwritten | second.keys
    assert set() == kept & (second.keys | unwritten)


def test_a_searched_seed_is_one_draw_a_configuration():
    cell = make_cell(candidates=6, selection=tuple(range(20)))
    rules = SearchRules(draws_are_searched=True)
    run = Run(SweepSearch([cell], rules)).go()
    select = [(plan, draw) for plan, draw, _ in run.records if plan.phase == "select"]
    assert 6 == len(select)
    assert all({"rate", "rank"} == set(plan.parameters) for plan, _ in select)
    again = Run(SweepSearch([cell], rules, run.recorded(3))).go()
    assert run.keys == again.keys | {(plan.id, draw) for plan, draw, _ in run.records[:3]}


def test_a_lost_trial_is_handed_out_again():
    search = SweepSearch([make_cell(candidates=0, report=(100,))], SearchRules())
    assignment = search.next()
    assert search.next() is None
    search.requeue(assignment)
    assert assignment == search.next()


def test_random_start_is_a_quarter_within_bounds():
    assert [1, 2, 2, 3, 8] == [startup_candidates(n) for n in (1, 2, 5, 12, 100)]


def test_configurations_are_announced_in_order():
    told = []
    search = SweepSearch([make_cell(candidates=12)], SearchRules(), None, lambda cell, trial: told.append(trial.number))
    Run(search, workers=4, seed=5).go()
    assert list(range(12)) == told
