"""Fewer candidates and draws for less time: what goes first, what stays, and what is refused."""

import pytest

from orchestrator.errors import PlanError, SpecError
from orchestrator.estimate import REPORT_S, START_S, CellCost, Costs
from orchestrator.plan import SweepPlan
from orchestrator.resources import Slots
from orchestrator.time_budget import fitted, seconds_of
from tests.fakes.sweeps import FAKES, SEARCHED, plan_of

SLOTS = Slots(concurrent=1, gpu=0, trials_per_gpu=0, gpu_fraction=0.0, threads=1)
FIXED_S = START_S + REPORT_S
WHOLE = ["search.candidates=5", "few_shot.selection_seeds.count=4", "few_shot.report_seeds.count=9"]
"""20 selection draws and 9 report draws of a second each."""


@pytest.fixture
def plan(tmp_path):
    return plan_of(tmp_path, SEARCHED, [*WHOLE, "few_shot.shots=[8]"])[0]


def costs_of(plan: SweepPlan, once: float = 0.0) -> Costs:
    return Costs({cell.name: CellCost(select=1.0, report=1.0, once=once) for cell in plan.cells}, "planted")


def size(plan: SweepPlan) -> tuple[int, int, int]:
    spec = plan.spec
    return spec.search.candidates, spec.few_shot.selection_seeds.count, spec.few_shot.report_seeds.count


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (29, (5, 4, 9)),
        (28, (4, 4, 9)),
        (17, (2, 4, 9)),
        (16, (2, 3, 9)),
        (13, (2, 2, 9)),
        (12, (2, 2, 8)),
        (10, (2, 2, 6)),
    ],
)
def test_candidates_go_first_then_selection_draws_and_report_draws_last(plan, seconds, expected):
    assert expected == size(fitted(plan, costs_of(plan), SLOTS, FIXED_S + seconds)[0])


def test_what_was_cut_is_said_with_both_times(plan):
    cut = fitted(plan, costs_of(plan), SLOTS, FIXED_S + 10)[1]
    numbers = "search.candidates 5 -> 2, few_shot.selection_seeds.count 4 -> 2, few_shot.report_seeds.count 9 -> 6"
    assert [f"time budget of 0.6 min: {numbers}; 0.9 min -> 0.6 min"] == cut
    assert ["time budget of 60.0 min: nothing cut, about 0.9 min"] == fitted(plan, costs_of(plan), SLOTS, 3600)[1]


def test_cells_and_sweep_file_are_cut_alike(plan):
    smaller, _ = fitted(plan, costs_of(plan), SLOTS, FIXED_S + 10)
    assert 2 * 2 + 6 == smaller.rows
    assert {(2, 2, 6)} == {(c.candidates, len(c.selection_draws), len(c.report_draws)) for c in smaller.cells}
    assert (0, 100) == (smaller.cells[0].selection_draws[0], smaller.cells[0].report_draws[0])


def test_even_the_least_does_not_fit_and_says_what_it_would_take(plan):
    with pytest.raises(PlanError, match=r"2 selection draws and 6 report draws take about 0\.6 min"):
        fitted(plan, costs_of(plan), SLOTS, FIXED_S + 9)


def test_fewer_report_draws_than_six_are_left_as_they_are(tmp_path):
    plan = plan_of(tmp_path, SEARCHED, ["few_shot.report_seeds.count=3", "few_shot.shots=[8]"])[0]
    with pytest.raises(PlanError, match="3 report draws"):
        fitted(plan, costs_of(plan), SLOTS, FIXED_S)


def test_a_sweep_without_a_search_loses_report_draws_alone(tmp_path):
    detectors = f'\n  blind: {{class: "{FAKES}:InstantNone"}}\n'
    plan = plan_of(tmp_path, detectors, [*WHOLE, "few_shot.shots=[0]"])[0]
    assert (5, 4, 7) == size(fitted(plan, costs_of(plan), SLOTS, FIXED_S + 7)[0])


def test_a_budget_without_an_estimate_is_refused_with_the_way_out(plan):
    with pytest.raises(PlanError, match=r"not known .*; --probe does"):
        fitted(plan, Costs({}, "", "backbone large was not measured here; --probe does"), SLOTS, 900)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1h30m", 5400), ("0.5h", 1800)])
def test_times_are_read_as_people_write_them(text, seconds):
    assert seconds == seconds_of(text)


@pytest.mark.parametrize("text", ["", "15", "m", "15 m", "-5m", "0m", "1d", "soon"])
def test_what_is_no_time_is_refused_with_those_that_are(text):
    with pytest.raises(SpecError, match=r"--time-budget"):
        seconds_of(text)
