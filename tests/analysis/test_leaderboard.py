from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis import table_views
from analysis.intervals import clopper_pearson
from analysis.leaderboard import leaderboard
from analysis.load import load_sweep
from analysis.views import TableView
from tests.fakes.run_folder import FakeSweep, make_run


def test_reference_rows_stand_at_every_number_of_shots(fake_sweep):
    board = leaderboard(fake_sweep, "average_precision")
    for _, group in board.groupby("shots"):
        assert {"random", "always_alarm", "moving_variance", "pca"} == set(group.loc[group["reference"], "detector"])


def test_a_detector_with_cells_at_k_is_not_repeated_with_its_zero_shot_score(fake_sweep):
    board = leaderboard(fake_sweep, "average_precision")
    forest = board[board["detector"] == "isolation_forest"]
    assert [0, 20, 100] == sorted(forest["shots"])
    assert (forest["shots"] == forest["own_shots"]).all()


def test_ranks_follow_the_metric(fake_sweep):
    board = leaderboard(fake_sweep, "average_precision")
    for _, group in board.groupby("shots"):
        assert list(range(1, len(group) + 1)) == group["rank"].tolist()
        assert (np.diff(group["estimate"]) <= 0).all()


def test_ranks_of_a_metric_to_be_minimised_go_upwards(fake_sweep):
    board = leaderboard(fake_sweep, "false_alarms_per_day")
    assert (np.diff(board.loc[board["shots"] == 100, "estimate"]) >= 0).all()


def test_few_faults_get_a_clopper_pearson_interval(fake_sweep):
    board = leaderboard(fake_sweep, "average_precision")
    row = board[(board["detector"] == "moment_zero_shot") & (board["shots"] == 0)].iloc[0]
    known = clopper_pearson(round(row["caught"]), 6)
    assert (known.low, known.high) == pytest.approx((row["caught_low"], row["caught_high"]))


def test_many_faults_get_no_interval_over_faults(tmp_path):
    many = FakeSweep(skill={"random": {0: 0.0}}, draws=2, rounds=7)
    board = leaderboard(load_sweep([make_run(tmp_path / "run", many)]), "average_precision")
    assert 21 == board["test_events"].iloc[0]
    assert board["caught_low"].isna().all()


def test_a_cell_with_a_failed_draw_is_marked_with_its_counts(tmp_path):
    few = FakeSweep(skill={"random_forest": {20: 1.0}}, draws=4, bad={("random_forest", 20, 101): ("oom", "too big")})
    (row,) = leaderboard(load_sweep([make_run(tmp_path / "run", few)]), "average_precision").to_dict("records")
    assert (3, 4, False) == (row["n"], row["planned"], row["complete"])


def test_sources_have_their_own_leaderboards(tmp_path):
    two = FakeSweep(skill={"random": {0: 0.0}, "pca": {0: 1.0}}, draws=2, sources=("a", "b"))
    board = leaderboard(load_sweep([make_run(tmp_path / "run", two)]), "average_precision")
    assert [("a", 1), ("a", 2), ("b", 1), ("b", 2)] == list(
        board[["source", "rank"]].itertuples(index=False, name=None)
    )


def test_caught_faults_are_added_over_folds(fake_sweep):
    rows = fake_sweep.rows.assign(test_events=6.0, event_recall=0.5)
    folds = pd.concat([rows, rows.assign(fold=1, test_events=4.0, event_recall=1.0)], ignore_index=True)
    board = leaderboard(replace(fake_sweep, rows=folds, planned=None, gaps=()), "average_precision")
    assert {7.0} == set(board["caught"])
    assert {10.0} == set(board["test_events"])


def test_a_detector_that_failed_in_one_whole_fold_has_no_place(fake_sweep):
    rows, planned = fake_sweep.rows, fake_sweep.planned
    other = rows[rows["detector"] != "pca"].assign(fold=1)
    sweep = replace(
        fake_sweep,
        rows=pd.concat([rows, other], ignore_index=True),
        planned=pd.concat([planned, planned.assign(fold=1)]),
    )
    board = leaderboard(sweep, "average_precision")
    assert {"pca"} == set(rows["detector"]) - set(board["detector"])


def test_a_metric_that_is_defined_on_few_draws_says_on_how_many(fake_sweep):
    rows = fake_sweep.rows.copy()
    rows.loc[(rows["detector"] == "random_forest") & (rows["draw"] > 106), "f1"] = np.nan
    board = leaderboard(replace(fake_sweep, rows=rows), "average_precision")
    kept = board[(board["detector"] == "random_forest") & (board["shots"] == 20)]
    assert [7] == kept["f1_n"].tolist()
    cells = [cell.text for cell in table(kept.assign(general_low=np.nan, general_high=np.nan)).rows[0].cells]
    assert [text for text in cells if text.endswith("(7 of 10 draws)")]


def test_a_draw_without_a_value_leaves_its_cell_incomplete(fake_sweep):
    rows = fake_sweep.rows.copy()
    rows.loc[(rows["detector"] == "pca") & (rows["draw"] == 104), "average_precision"] = np.nan
    board = leaderboard(replace(fake_sweep, rows=rows), "average_precision").query("detector == 'pca'")
    assert {(9, False)} == set(board[["n", "complete"]].itertuples(index=False, name=None))
    assert board["note"].str.contains("9 of 10 draws have a value").all()


def table(board: pd.DataFrame) -> TableView:
    return table_views.leaderboard(board, "average_precision", "caption")


def test_a_draw_that_lacks_a_fold_is_not_counted_as_catching_less(fake_sweep):
    rows = fake_sweep.rows.assign(test_events=6.0, event_recall=0.5)
    other = rows.assign(fold=1, test_events=4.0, event_recall=1.0)
    folds = pd.concat([rows, other[other["draw"] != 103]], ignore_index=True)
    board = leaderboard(replace(fake_sweep, rows=folds, planned=None, gaps=()), "average_precision")
    assert {7.0} == set(board["caught"])
