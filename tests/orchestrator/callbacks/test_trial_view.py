"""What dashboards show of a trial: its settings, the numbers of a draw, the summary over draws."""

import json

import pytest

from orchestrator.callbacks.trial_view import cell_of, configuration, measured, name_of, summarised
from tests.fakes.plans import METRIC, make_cell, make_result, report_trial, select_trial


def test_a_trial_is_named_by_its_cell_and_its_candidate_or_draw():
    cell = make_cell(candidates=2)
    chosen = {**make_result(select_trial(cell, 1), 0), "candidate": 1}
    claimed = make_result(report_trial(cell, 100), 100)
    assert (cell.name, "select candidate 1") == (cell_of(chosen), name_of(chosen))
    assert (cell.name, "report draw 100") == (cell_of(claimed), name_of(claimed))


def test_configuration_names_the_trial_and_its_settings():
    cell = make_cell(candidates=2)
    trial = select_trial(cell, 1)
    config = configuration(make_result(trial, 0))
    assert {"detector": "moment_lora", "shots": 20, "phase": "select", "trial": trial.id, "param": {"rank": 4}} == {
        key: config[key] for key in ("detector", "shots", "phase", "trial", "param")
    }
    assert json.loads(json.dumps(config)) == config


def test_a_draw_is_logged_with_its_numbers_and_nothing_else():
    trial = select_trial(make_cell(candidates=1))
    row = {**make_result(trial, 0, 0.5), "f1": None, "threshold": 1.5}
    assert {
        METRIC: 0.5,
        "threshold": 1.5,
        "fit_seconds": 1.0,
        "threshold_seconds": 0.0,
        "score_seconds": 0.0,
    } == measured(row)


def test_the_summary_is_the_mean_over_good_draws_and_counts_the_others():
    trial = select_trial(make_cell(candidates=1))
    rows = [make_result(trial, 0, 0.4), make_result(trial, 1, 0.6), make_result(trial, 2, None, "oom", "too big")]
    summary = summarised(rows)
    assert 0.5 == pytest.approx(summary[METRIC])
    assert (2, 1, "oom", "too big") == tuple(summary[k] for k in ("draws_ok", "draws_not_ok", "status", "reason"))
