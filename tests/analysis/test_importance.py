from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.importance import ALL_EQUAL, LEAST_CONFIGURATIONS, NONE_VARIES, NONE_WHOLE, TOO_FEW, importances
from analysis.landscape import candidates

AP = "average_precision"


def tried(value, *, configurations=60, draws=3, seed=5, **more):
    """Configurations of one cell; `value` gives the score from rank, learning rate and noise."""
    rng = np.random.default_rng(seed)
    context = rng.choice(["none", "level"], configurations)
    rank, rate = rng.choice([2, 4, 8, 16], configurations), 10 ** rng.uniform(-5, -2, configurations)
    noise = rng.normal(scale=0.05, size=configurations)
    frame = pd.DataFrame(
        {"source": "s", "detector": "d", "shots": 20, "fold": 0, "trial": [f"t{n}" for n in range(configurations)],
         "param.rank": rank, "param.learning_rate": rate, "param.context": context,
         "value": value(rank, np.log10(rate), noise), "draws": draws, "winner": False}
    )  # fmt: skip
    return frame.assign(**more)


def rate_matters(rank, rate, noise):
    return 0.2 * rate + noise


def noise_alone(rank, rate, noise):
    return noise


def test_the_parameter_that_makes_the_score_comes_first_and_shuffled_scores_never_give_it_as_much():
    found = importances(tried(rate_matters), AP)
    assert ["learning_rate", "context", "rank"] == [found["parameter"][0], *sorted(found["parameter"][1:])]
    assert found["importance"][0] > 0.6
    assert 0 == found["shuffled"][0]
    assert 1.0 == pytest.approx(found["importance"].sum())
    assert {60} == set(found["configurations"])


def test_a_category_can_matter_too():
    frame = tried(rate_matters)
    noise = np.random.default_rng(1).normal(scale=0.01, size=len(frame))
    frame["value"] = (frame["param.context"] == "level") * 0.3 + noise
    assert "context" == importances(frame, AP)["parameter"][0]


def test_where_nothing_matters_shuffled_scores_give_as_much():
    """`shuffled` is 0 by luck for one parameter in twenty."""
    found = [importances(tried(noise_alone, configurations=20, seed=seed), AP) for seed in range(20)]
    assert all(1.0 == pytest.approx(frame["importance"].sum()) for frame in found)
    shuffled = pd.concat(found)["shuffled"]
    assert 60 == len(shuffled)
    assert (shuffled == 0).sum() <= 8
    assert 5 < shuffled.mean() < 14


def test_the_best_are_the_lowest_for_a_metric_to_be_minimised():
    """The score has its best values, and only those, at large ranks; delays have their worst there."""
    frame = tried(lambda rank, rate, noise: np.where(rank == 16, 1.0, 0.01 * rate))
    up, down = (importances(frame, metric).set_index("parameter")["importance"] for metric in (AP, "delay_s"))
    assert up["rank"] > 0.9
    assert down["rank"] < up["rank"]


def test_too_few_configurations_are_said_to_be_too_few_and_get_no_number():
    found = importances(tried(rate_matters, configurations=LEAST_CONFIGURATIONS - 1), AP)
    assert [TOO_FEW] == found["note"].tolist()
    assert found[["importance", "shuffled"]].isna().all(axis=None)
    assert len(importances(tried(rate_matters, configurations=LEAST_CONFIGURATIONS), AP)) == 3


def test_configurations_that_were_raced_out_do_not_count():
    frame = tried(rate_matters, draws=[3] * 15 + [1] * 45)
    assert [15] == importances(frame, AP)["configurations"].tolist()


def test_equal_scores_are_not_ranked():
    assert [ALL_EQUAL] == importances(tried(lambda rank, rate, noise: 0 * noise), AP)["note"].tolist()


def test_a_parameter_that_some_configurations_lack_is_left_out():
    frame = tried(rate_matters)
    frame.loc[0, "param.rank"] = np.nan
    assert {"learning_rate", "context"} == set(importances(frame, AP)["parameter"])


def test_parameters_that_are_all_missing_somewhere_are_not_called_equal_scores():
    frame = tried(rate_matters)
    for row, name in enumerate(("param.rank", "param.learning_rate", "param.context")):
        frame.loc[row, name] = None
    assert [NONE_WHOLE] == importances(frame, AP)["note"].tolist()


def test_parameters_that_only_vary_among_configurations_raced_out_are_not_called_equal_scores():
    frame = tried(rate_matters, draws=[3] * 40 + [1] * 20)
    for name in ("param.rank", "param.learning_rate", "param.context"):
        frame.loc[:39, name] = frame[name].iloc[0]
    assert [NONE_VARIES] == importances(frame, AP)["note"].tolist()


def test_the_level_of_a_fold_is_no_importance():
    low, high = tried(rate_matters), tried(rate_matters, fold=1)
    high["value"] += 100
    both = importances(pd.concat([low, high], ignore_index=True), AP)
    assert "learning_rate" == both["parameter"][0]
    assert {120} == set(both["configurations"])


def test_the_same_configurations_give_the_same_numbers():
    pd.testing.assert_frame_equal(importances(tried(rate_matters), AP), importances(tried(rate_matters), AP))


def test_report_rows_change_nothing(fake_sweep):
    rows = fake_sweep.rows.copy()
    rows.loc[rows["phase"] == "report", AP] = np.random.default_rng(0).random(int((rows["phase"] == "report").sum()))
    clean, poisoned = candidates(fake_sweep, AP), candidates(replace(fake_sweep, rows=rows), AP)
    pd.testing.assert_frame_equal(importances(clean, AP), importances(poisoned, AP))
    assert [TOO_FEW, TOO_FEW] == importances(clean, AP)["note"].tolist()


def test_nothing_searched_is_an_empty_table():
    assert importances(candidates_of_nothing(), AP).empty


def candidates_of_nothing():
    return pd.DataFrame(columns=["source", "detector", "shots", "fold", "trial", "value", "draws", "winner"])
