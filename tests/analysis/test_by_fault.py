from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.by_fault import DrawScores, caught_by_type, iter_scores, over_types, types_caught, with_every_fold
from analysis.findings import find
from analysis.intervals import iqm, logit_t
from analysis.load import load_sweep
from orchestrator.results import score_file
from tests.fakes.run_folder import FakeSweep, make_run
from trainables.trial import WindowScores


def hand_made() -> WindowScores:
    """Two cpu faults of two windows, one memory fault of one, and two normal windows."""
    event = np.array([-1, 0, 0, -1, 1, 1, 2], dtype=np.int32)
    return WindowScores(
        window_end=np.datetime64("2026-01-01", "ns") + np.arange(7).astype("timedelta64[m]"),
        segment=np.full(7, "load"),
        event=event,
        fault_type=np.array(["normal", "cpu", "cpu", "normal", "cpu", "cpu", "memory"]),
        label=(event >= 0).astype(np.int8),
        score=np.array([9, 5, 1, 0, 1, 1, 3], dtype=np.float32),
    )


def test_windows_and_faults_are_counted_by_type():
    draws = [DrawScores("s", "d", 20, 0, draw, threshold, hand_made()) for draw, threshold in ((100, 3.0), (101, 0.5))]
    table = caught_by_type(types_caught(draws)).set_index("fault_type")
    assert (2, 1) == (table.loc["cpu", "events"], table.loc["memory", "events"])
    assert 1.5 == table.loc["cpu", "events_caught"]  # one of two at the high threshold, both at the low one
    assert (1 / 4 + 1) / 2 == pytest.approx(table.loc["cpu", "window_recall"])
    assert 1.0 == table.loc["memory", "events_caught"]  # a score at the threshold is an alarm
    assert 2 == table.loc["cpu", "draws"]


def test_the_interquartile_mean_is_taken_over_types_inside_each_draw_and_its_interval_over_draws(fake_sweep):
    kinds = [d for d in iter_scores(fake_sweep, []) if (d.detector, d.shots) == ("random_forest", 100)]
    (row,) = over_types(types_caught(kinds)).to_dict("records")
    table = pd.DataFrame(
        [caught_by_type(types_caught([d])).set_index("fault_type")["window_recall"] for d in kinds],
        index=[d.draw for d in kinds],
    )
    assert (3, 10) == (row["types"], row["n"])
    known = logit_t(iqm(table))
    assert (known.estimate, known.low, known.high) == pytest.approx((row["iqm"], row["iqm_low"], row["iqm_high"]))
    known = logit_t(table.mean(axis=1))
    assert (known.estimate, known.low, known.high) == pytest.approx((row["mean"], row["mean_low"], row["mean_high"]))


def test_one_draw_has_means_over_types_and_no_interval():
    (row,) = over_types(types_caught([DrawScores("s", "d", 20, 0, 100, 3.0, hand_made())])).to_dict("records")
    assert (0.25 + 1) / 2 == row["mean"]
    assert row["iqm_low"] is None or np.isnan(row["iqm_low"])
    assert "single value" in row["note"]
    assert over_types(types_caught([])).empty


def test_folds_add_up_to_all_faults():
    draws = [DrawScores("s", "d", 20, fold, 100, 3.0, hand_made()) for fold in (0, 1)]
    table = caught_by_type(types_caught(draws)).set_index("fault_type")
    assert (4, 2.0) == (table.loc["cpu", "events"], table.loc["cpu", "events_caught"])


def test_caught_events_agree_with_the_event_recall_of_the_rows(fake_sweep):
    table = caught_by_type(types_caught(iter_scores(fake_sweep, [])))
    shares = table.groupby(["detector", "shots"])[["events_caught", "events"]].sum()
    rows = fake_sweep.report.groupby(["detector", "shots"])["event_recall"].mean()
    assert (shares["events_caught"] / shares["events"]).to_numpy() == pytest.approx(rows.to_numpy())


def test_a_missing_score_file_is_named(tmp_path):
    run = make_run(tmp_path / "run", FakeSweep(skill={"random": {0: 0.0}}, draws=2))
    sweep = load_sweep([run])
    row = sweep.report.iloc[0]
    score_file(run, row["trial"], row["draw"]).unlink()
    problems: list[str] = []
    assert 1 == len(list(iter_scores(sweep, problems)))
    assert "score file is missing" in problems[0]


def test_a_test_part_without_faults_gives_an_empty_table():
    quiet = hand_made()
    quiet.label[:] = 0
    assert caught_by_type(types_caught([DrawScores("s", "d", 0, 0, 100, 1.0, quiet)])).empty


def test_a_draw_that_lacks_a_planned_fold_is_left_out():
    draws = [DrawScores("s", "d", 20, fold, draw, 3.0, hand_made()) for fold, draw in ((0, 100), (1, 100), (0, 101))]
    plan = pd.DataFrame(
        [("s", "d", 20, fold, draw) for fold in (0, 1) for draw in (100, 101)],
        columns=["source", "detector", "shots", "fold", "draw"],
    )
    assert {100} == {d.draw for d in with_every_fold(draws, plan)}
    assert (
        2.0
        == caught_by_type(types_caught(with_every_fold(draws, plan)))
        .set_index("fault_type")
        .loc["cpu", "events_caught"]
    )


def test_the_report_counts_whole_draws_only(fake_sweep):
    planned = pd.concat([fake_sweep.planned, fake_sweep.planned.query("detector == 'pca'").assign(fold=1)])
    caught = find(replace(fake_sweep, planned=planned)).caught
    assert {"pca"} == set(fake_sweep.rows["detector"]) - set(caught["detector"])
