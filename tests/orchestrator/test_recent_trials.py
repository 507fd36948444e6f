"""Long searches: a suggestion rests on the latest configurations and the best of those before, and stays as cheap."""

import pytest

from orchestrator import recent_trials
from orchestrator.assignments import Observation, Recorded, SearchRules
from orchestrator.cell_search import CellSearch
from tests.fakes.plans import make_cell

LAST = 60


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Blocks of 10 configurations, of which the best 3 are kept."""
    monkeypatch.setattr(recent_trials, "BLOCK", 10)
    monkeypatch.setattr(recent_trials, "BEST", 3)


def value_of(parameters) -> float:
    return -abs(parameters["rank"] - 4.0)


def searched(recorded=(), candidates: int = LAST):
    """Run a search to its end; its selection rows in order, and what each suggestion looked at."""
    cell = make_cell(candidates=candidates)
    search = CellSearch(cell, SearchRules(seed=3), recorded, lambda _cell, _trial: None)
    rows, seen = [], {}
    while search.unsearched:
        assignment = search.next()
        plan = assignment.plan
        study = search._recent._study if plan.candidate >= 20 else search._study
        seen[plan.candidate] = [trial.value for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
        for draw in assignment.draws:
            seen_draw = Observation("ok", value_of(plan.parameters))
            search.record(plan, draw, seen_draw)
            rows.append(Recorded(plan.id, "select", draw, plan.candidate, plan.parameters, seen_draw))
        search.done()
    return rows, seen


def test_a_suggestion_sees_two_blocks_at_most_and_the_best_before_them():
    rows, seen = searched()
    values = {row.candidate: row.observation.value for row in rows}
    assert [19, 13, 22, 13, 22] == [len(seen[number]) for number in (19, 20, 29, 30, 39)]
    assert sorted((values[number] for number in range(20)), reverse=True)[:3] == seen[30][:3]
    assert [values[number] for number in range(20, 35)] == seen[35][3:]


def test_a_rebuilt_search_suggests_as_the_uninterrupted_one():
    whole, _ = searched()
    per_candidate = len(make_cell(candidates=1).selection_draws)
    for kept in (15, 33, 47):
        rest, _ = searched(whole[: kept * per_candidate])
        assert [row.parameters for row in whole[kept * per_candidate :]] == [row.parameters for row in rest]
