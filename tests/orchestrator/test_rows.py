"""What a trial is and what came of it, as one flat row."""

import math

import pytest

from orchestrator.plan import TrialPlan
from orchestrator.results import COLUMNS, SCHEMA_VERSION, row_line
from orchestrator.rows import SweepFacts, make_row, observe, read_back
from tests.fakes.plans import make_cell
from trainables.metrics import METRICS
from trainables.trial import LabelLedger, TrialOutcome

CELL = make_cell(candidates=3)
PLAN = TrialPlan(CELL, "select", 1, {"rank": 4}, (0, 1, 2))
FACTS = SweepFacts("tiny", "windows", "validation", "replicated", {"simulated": True}, "f00d")
LEDGER = LabelLedger(20, 20, 10, 3, 200, 150, 4, 150, 4, 0.25, 0.1)


def test_a_row_has_the_fixed_columns_then_metrics_then_settings():
    row = make_row(PLAN, 1, TrialOutcome("ok", metrics={"f1": 0.5}, ledger=LEDGER), FACTS)
    assert [*COLUMNS, *METRICS, "param.rank"] == list(row)


def test_a_failed_row_has_the_same_columns_as_a_good_one():
    good = make_row(PLAN, 1, TrialOutcome("ok", metrics=dict.fromkeys(METRICS, 0.5), ledger=LEDGER), FACTS)
    bad = make_row(PLAN, 1, TrialOutcome("failed", "ValueError: x"), FACTS)
    assert list(good) == list(bad)
    assert {None} == {bad[name] for name in METRICS}


def test_a_row_names_its_trial_its_place_and_its_labels():
    row = make_row(PLAN, 2, TrialOutcome("ok", ledger=LEDGER), FACTS, attempts=2)
    expected = {
        "sweep": "tiny", "phase": "select", "detector": "moment_lora", "source": "simulated", "fold": 0, "shots": 20,
        "draw": 2, "trial": PLAN.id, "candidate": 1, "attempts": 2, "searched": True, "simulated": True,
        "shots_used": 20, "validation_labels": 150, "pool_share": 0.1, "param.rank": 4, "fingerprint": "f00d",
        "schema_version": SCHEMA_VERSION, "seed": PLAN.request(2).seed,
    }  # fmt: skip
    assert expected == {name: row[name] for name in expected}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_makes_the_row_a_failed_one(bad):
    row = make_row(PLAN, 1, TrialOutcome("ok", metrics={"f1": bad}, ledger=LEDGER), FACTS)
    assert ("failed", "f1 is not a finite number", None) == (row["status"], row["reason"], row["f1"])
    row_line(row)


def test_what_the_search_reads_back_is_what_it_was_told():
    row = make_row(PLAN, 2, TrialOutcome("ok", metrics={"f1": 0.25}, ledger=LEDGER), FACTS)
    back = read_back(row, CELL, "f1")
    assert (PLAN.id, "select", 2, 1, {"rank": 4}) == (
        back.trial, back.phase, back.draw, back.candidate, dict(back.parameters),
    )  # fmt: skip
    assert observe(row, "f1") == back.observation
    assert read_back(row, CELL, "f1", again=True).observation is None
