import numpy as np
import pandas as pd
import pytest

from analysis.curves import describe, draw_values, is_share, levels, sign
from analysis.intervals import logit_t

X5 = [0.81, 0.78, 0.84, 0.69, 0.80]


def report_rows(values: dict[int, float | None], fold: int = 0, **changes: object) -> pd.DataFrame:
    counts = {
        "support_windows": 20, "support_events": 3, "validation_labels": 0, "validation_events": 0,
        "test_windows": 100, "test_events": 6, "prevalence": 0.3, "pool_share": 0.02,
    }  # fmt: skip
    rows = [
        {"source": "s", "detector": "d", "shots": 20, "fold": fold, "draw": draw, "average_precision": value, **counts}
        for draw, value in values.items()
    ]
    return pd.DataFrame(rows).assign(**changes)


def test_a_level_is_the_logit_t_interval_of_the_draws():
    (point,) = levels(report_rows(dict(enumerate(X5))), "average_precision").to_dict("records")
    known = logit_t(X5)
    assert (known.estimate, known.low, known.high) == pytest.approx((point["estimate"], point["low"], point["high"]))
    assert (0.7052488055, 0.8462962154) == pytest.approx((point["low"], point["high"]))
    assert 5 == point["n"]


def test_equal_draws_give_no_band_and_say_why():
    (point,) = levels(report_rows(dict.fromkeys(range(8), 0.7)), "average_precision").to_dict("records")
    assert np.isnan(point["low"])
    assert np.isnan(point["high"])
    assert "no variance was observed" in point["note"]


def test_an_interval_at_0_shots_is_said_to_be_over_training_seeds():
    rows = report_rows(dict(enumerate(X5)))
    (at_20,) = levels(rows, "average_precision").to_dict("records")
    (at_0,) = levels(rows.assign(shots=0), "average_precision").to_dict("records")
    assert "over training seeds" in at_0["note"]
    assert "" == at_20["note"]


@pytest.mark.parametrize(
    ("metric", "values", "said"),
    [
        ("average_precision", [0.3, 0.2, 0.8, 0.9], "on 2 of 4 draws (Wilson: 15% to 85% of draws)"),
        ("f1", [0.46, 0.47, 0.8, 0.9], "on 1 of 4 draws"),  # always alarming gets 0.6 / 1.3
        ("average_precision", [0.31, 0.7, 0.8, 0.9], ""),
        ("auroc", [0.1, 0.7, 0.8, 0.9], ""),
    ],
)
def test_draws_that_are_no_better_than_always_alarming_are_counted(metric, values, said):
    rows = report_rows(dict(enumerate(values))).rename(columns={"average_precision": metric})
    (point,) = levels(rows, metric).to_dict("records")
    assert said in point["note"]
    assert bool(said) == ("always alarming" in point["note"])
    (floor,) = levels(rows.assign(detector="random"), metric).to_dict("records")
    assert "" == floor["note"]


def test_a_single_draw_gives_no_band():
    level = describe(np.array([0.5]))
    assert (None, None, 1) == (level.low, level.high, level.n)
    assert "single value" in level.note


def test_draws_that_take_most_of_the_pool_get_no_interval():
    assert describe(np.array(X5), pool_share=0.51).low is None
    assert "60% of the pool" in describe(np.array(X5), pool_share=0.6).note


def test_draws_that_take_a_third_of_the_pool_keep_the_interval_with_a_warning():
    level = describe(np.array(X5), pool_share=0.3)
    assert level.low is not None
    assert "too narrow" in level.note


def test_folds_are_averaged_inside_a_draw():
    rows = pd.concat([report_rows({0: 0.2, 1: 0.4}), report_rows({0: 0.4, 1: 0.8}, fold=1)])
    assert [0.3, 0.6] == pytest.approx(draw_values(rows, "average_precision")["value"].tolist())


def test_a_draw_that_lacks_a_fold_is_left_out():
    rows = pd.concat([report_rows({0: 0.2, 1: 0.4}), report_rows({0: 0.4}, fold=1)])
    assert [0] == draw_values(rows, "average_precision")["draw"].tolist()


def test_a_fold_that_was_planned_and_has_no_score_leaves_no_value():
    rows = report_rows({0: 0.2, 1: 0.4})
    plan = pd.concat([rows, rows.assign(fold=1)])
    assert draw_values(rows, "average_precision", plan).empty
    assert levels(rows, "average_precision", plan).empty


def test_a_metric_that_is_not_defined_on_a_draw_leaves_that_draw_out():
    assert [0, 2] == draw_values(report_rows({0: 0.2, 1: None, 2: 0.3}), "average_precision")["draw"].tolist()


def test_all_labels_spent_count_validation():
    rows = report_rows(dict(enumerate(X5)), validation_labels=150, validation_events=4)
    (point,) = levels(rows, "average_precision").to_dict("records")
    assert (170, 7) == (point["all_windows"], point["all_faults"])


def test_counts_and_seconds_are_not_shares():
    assert not is_share("false_alarms_per_day")
    assert -1 == sign("delay_s")
    assert 1 == sign("average_precision")


def test_scores_of_exactly_one_are_described_without_a_crash():
    level = describe(np.array([1.0, 1.0, 0.9, 1.0]))
    assert level.estimate == pytest.approx(0.975)
    assert "exactly 0 or 1" in level.note


def test_faults_tested_in_several_folds_are_added_and_shots_are_not():
    one, two = report_rows({0: 0.2, 1: 0.4}), report_rows({0: 0.4, 1: 0.8}, fold=1)
    (alone,) = levels(one, "average_precision").to_dict("records")
    (both,) = levels(pd.concat([one, two]), "average_precision").to_dict("records")
    assert 2 * alone["test_events"] == both["test_events"]
    assert alone["windows"] == both["windows"]
