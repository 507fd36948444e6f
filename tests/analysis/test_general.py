from dataclasses import replace

import numpy as np
import pytest

from analysis.by_fault import DrawScores, cell_scores
from analysis.comparisons import headlines, pairs
from analysis.crossed import crossed_average_precision
from analysis.curves import levels
from analysis.general import MOST, general_bounds, with_general_difference

AP = "average_precision"


def test_a_level_has_the_bounds_of_the_crossed_bootstrap(fake_sweep):
    draws = cell_scores(fake_sweep, "simulated", "moment_lora", 20)
    known = crossed_average_precision(
        [[draw.scores for draw in draws]], rng=np.random.default_rng(0), resamples=min(MOST, 400_000 // 144)
    )
    assert (known.low, known.high) == pytest.approx(general_bounds(draws))


def test_bounds_over_other_faults_are_wider_than_over_draws(fake_sweep):
    low, high = general_bounds(cell_scores(fake_sweep, "simulated", "moment_lora", 100))
    points = levels(fake_sweep.report, AP)
    (mine,) = points[(points["detector"] == "moment_lora") & (points["shots"] == 100)].to_dict("records")
    assert high - low > mine["high"] - mine["low"]


def test_a_detector_without_randomness_still_has_bounds_over_faults(fake_sweep):
    low, high = general_bounds(cell_scores(fake_sweep, "simulated", "pca", 0))
    assert low < high


def test_missing_draws_and_draws_in_unlike_folds_have_no_bounds(fake_sweep):
    draws = cell_scores(fake_sweep, "simulated", "pca", 0)
    other_fold: list[DrawScores] = [replace(draws[0], fold=1), *draws[1:]]
    assert np.isnan(general_bounds(other_fold)).all()  # no draw has both folds
    assert np.isnan(general_bounds([])).all()
    assert np.isnan(general_bounds(draws[:1])).all()
    assert np.isnan(general_bounds(draws, [replace(draw, fold=1) for draw in draws])).all()


def test_folds_are_averaged_inside_a_draw(fake_sweep):
    draws = cell_scores(fake_sweep, "simulated", "moment_lora", 20)
    twice = [*draws, *(replace(draw, fold=1) for draw in draws)]
    one, both = general_bounds(draws), general_bounds(twice)
    assert one[0] < both[0] < both[1] < one[1]  # twice as many faults


def test_headlines_get_the_bounds_of_their_difference(fake_sweep):
    table = pairs(fake_sweep.report, AP)
    told = with_general_difference(fake_sweep, headlines(table, levels(fake_sweep.report, AP), AP), AP)
    row = told[(told["detector"] == "moment_lora") & (told["shots"] == 100)].iloc[0]
    assert row["general_low"] < row["mean"] < row["general_high"]
    assert row["general_high"] - row["general_low"] > row["high"] - row["low"]


def test_other_metrics_have_no_general_interval(fake_sweep):
    table = pairs(fake_sweep.report, "f1")
    told = with_general_difference(fake_sweep, headlines(table, levels(fake_sweep.report, "f1"), "f1"), "f1")
    assert told["general_low"].isna().all()


def test_draws_that_take_most_of_the_pool_have_no_bounds(fake_sweep):
    draws = cell_scores(fake_sweep, "simulated", "moment_lora", 20)
    alike = [replace(draw, pool_share=0.6) for draw in draws]
    assert np.isnan(general_bounds(alike)).all()
    assert np.isnan(general_bounds(draws, alike)).all()


def test_score_files_say_what_share_of_the_pool_their_draw_took(fake_sweep):
    assert {20 / 800} == {draw.pool_share for draw in cell_scores(fake_sweep, "simulated", "moment_lora", 20)}
