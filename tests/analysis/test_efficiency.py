"""Labels needed and break-even: answers by hand, simulated coverage, and 'not reached' as an answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from analysis.bootstrap import expanded_tail
from analysis.efficiency import (
    LabelsNeeded,
    break_even,
    crossing,
    isotonic,
    labels_needed,
)
from analysis.errors import AnalysisError
from analysis.intervals import Caution

LABELS = np.array([0.0, 20, 100, 500])
TRUE_CURVE = np.array([0.40, 0.55, 0.75, 0.85])
TARGET = 0.70


def noisy_curves(draws: int, replicates: int, curve: NDArray[np.float64] = TRUE_CURVE) -> NDArray[np.float64]:
    """Curves [replicates, draws, K]: a draw shifts all of its points, and each has noise of its own."""
    rng = np.random.default_rng([draws, replicates])
    shape = (replicates, draws, len(curve))
    return curve + 0.05 * rng.standard_normal((*shape[:2], 1)) + 0.04 * rng.standard_normal(shape)


def needed(curves: object, target: float = TARGET, seed: int = 0) -> LabelsNeeded:
    return labels_needed(curves, LABELS, target, rng=np.random.default_rng(seed))  # type: ignore[arg-type]


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_the_smoothed_curve_is_isotonic_regression(curve: list[float]) -> None:
    assert pytest.approx(isotonic_regression(curve).x, abs=1e-9) == isotonic(np.array(curve))


def test_a_target_between_two_points_is_read_on_the_line_in_log_labels() -> None:
    halfway = np.expm1((np.log1p(20) + np.log1p(100)) / 2)
    assert pytest.approx(halfway) == float(crossing(TRUE_CURVE, LABELS, 0.65))
    assert pytest.approx(100.0) == float(crossing(TRUE_CURVE, LABELS, 0.75))


def test_a_dip_is_smoothed_before_the_target_is_read() -> None:
    dipping = np.array([0.4, 0.8, 0.6, 0.9])  # pooled: .4, .7, .7, .9
    assert pytest.approx(20.0) == float(crossing(dipping, LABELS, 0.7))


def test_curves_that_reach_the_target_give_labels_and_an_interval() -> None:
    answer = needed(noisy_curves(10, 1)[0])
    assert answer.has_interval
    assert answer.low is not None
    assert answer.estimate is not None
    assert answer.high is not None
    assert 0 <= answer.low < answer.estimate < answer.high <= 500
    assert answer == needed(noisy_curves(10, 1)[0])


def test_not_reached_is_an_answer() -> None:
    answer = needed(noisy_curves(10, 1)[0], target=0.99)
    assert (None, None, None) == (answer.estimate, answer.low, answer.high)
    assert (Caution.NOT_REACHED,) == answer.warnings
    assert answer.has_interval
    assert answer.reached == 0.0
    assert answer.most == 500


def test_a_target_near_the_end_may_be_reached_or_not() -> None:
    answer = needed(noisy_curves(10, 1)[0], target=0.845)
    assert answer.low is not None
    assert answer.high is None
    assert 0 < answer.reached < 1


def test_a_target_below_the_first_point_is_reached_with_the_fewest_labels() -> None:
    answer = needed(noisy_curves(10, 1)[0], target=0.1)
    assert answer.estimate == 0.0
    assert (Caution.ALWAYS_REACHED,) == answer.warnings


@pytest.mark.parametrize(
    ("curves", "caution"),
    [
        (np.empty((0, 4)), Caution.NO_VALUES),
        (TRUE_CURVE[None], Caution.TOO_FEW),
        (np.tile(TRUE_CURVE, (5, 1)), Caution.NO_VARIANCE),
    ],
)
def test_degenerate_curves_have_no_interval(curves: NDArray[np.float64], caution: Caution) -> None:
    answer = needed(curves)
    assert caution in answer.warnings
    assert not answer.has_interval
    assert (answer.low, answer.high) == (None, None)


def test_shapes_and_labels_that_do_not_fit_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(AnalysisError, match="draws, points"):
        labels_needed(np.zeros((3, 2)), LABELS, 0.5, rng=rng)
    with pytest.raises(AnalysisError, match="increase"):
        labels_needed(np.zeros((3, 2)), [5, 5], 0.5, rng=rng)
    with pytest.raises(AnalysisError, match="NaN"):
        labels_needed([[0.1, np.nan]], [5, 6], 0.5, rng=rng)
    with pytest.raises(AnalysisError, match="same draws"):
        break_even(np.zeros((3, 2)), np.zeros((2, 2)), [5, 6], rng=rng)


@pytest.mark.parametrize(("draws", "least"), [(5, 0.90), (10, 0.92), (20, 0.93)])
def test_the_interval_of_labels_needed_covers_the_truth(draws: int, least: float) -> None:
    truth = float(crossing(TRUE_CURVE, LABELS, TARGET))
    curves, tail = noisy_curves(draws, 1000), expanded_tail(draws, 0.95)
    picks = np.random.default_rng(0).integers(0, draws, size=(400, draws))
    resampled = np.stack([curves[:, pick].mean(axis=1) for pick in picks])  # [B, replicates, K]
    low, high = np.quantile(crossing(resampled, LABELS, TARGET), [tail, 1 - tail], axis=0, method="inverted_cdf")
    assert least <= ((low <= truth) & (truth <= high)).mean() <= 0.98


def test_the_head_start_of_a_detector_ends_where_the_curves_cross() -> None:
    ahead = np.array([0.60, 0.65, 0.72, 0.78])  # the opponent overtakes between 20 and 100 labels
    rng = np.random.default_rng(1)
    shared = 0.05 * rng.standard_normal((10, 1))
    mine = ahead + shared + 0.005 * rng.standard_normal((10, 4))
    theirs = TRUE_CURVE + shared + 0.005 * rng.standard_normal((10, 4))
    answer = break_even(mine, theirs, LABELS, rng=rng)
    truth = float(crossing(TRUE_CURVE - ahead, LABELS, 0.0))
    assert 20 < truth < 100
    assert answer.low is not None
    assert answer.high is not None
    assert answer.low <= truth <= answer.high
    assert (Caution.NOT_REACHED,) == break_even(mine + 0.5, theirs, LABELS, rng=rng).warnings
    assert (Caution.ALWAYS_REACHED,) == break_even(mine - 0.5, theirs, LABELS, rng=rng).warnings
