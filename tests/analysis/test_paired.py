"""Paired tests: exact answers, pairing by draw, degenerate input, and simulated error rates."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from analysis.errors import AnalysisError
from analysis.intervals import Caution, student_t_bounds
from analysis.paired import EXACT_FLIPS_UP_TO, benjamini_hochberg, compare, holm, nadeau_bengio, sign_flip

X5 = [0.81, 0.78, 0.84, 0.69, 0.80]
Y5 = [0.78, 0.77, 0.80, 0.70, 0.76]
RESPLITS = [0.02, 0.01, 0.03, -0.01, 0.02, 0.0, 0.04, 0.01, 0.02, 0.03]
FAMILY = [0.01, 0.04, 0.03, 0.005]


def test_a_known_comparison() -> None:
    result = compare(X5, Y5)
    assert pytest.approx((0.022, 2.2691267418, 0.0858103784, 0.1875), abs=1e-9) == (
        result.mean,
        result.t,
        result.p,
        result.p_signflip,
    )
    assert pytest.approx((-0.004918634, 0.048918634), abs=1e-9) == (result.low, result.high)
    assert result.probability_better == 0.8
    assert pytest.approx(stats.wilcoxon(X5, Y5).pvalue) == result.p_signflip


@pytest.mark.parametrize(("n", "p"), [(5, 0.0625), (6, 0.03125), (7, 0.015625), (8, 0.0078125), (10, 0.001953125)])
def test_the_smallest_p_value_that_n_draws_can_reach(n: int, p: float) -> None:
    assert p == sign_flip(np.linspace(0.01, 0.02, n))


def test_below_six_draws_there_is_an_interval_and_no_claim() -> None:
    five, six = compare([0.9, 0.8, 0.7, 0.9, 0.8], [0.1] * 5), compare([0.9, 0.8, 0.7, 0.9, 0.8, 0.7], [0.1] * 6)
    assert five.low is not None
    assert Caution.NO_CLAIM in five.warnings
    assert not five.claimable
    assert six.claimable
    assert () == six.warnings


def test_mappings_are_paired_by_draw_and_draws_without_partner_are_named() -> None:
    a, b = dict(zip([104, 100, 101, 102, 103], [0.80, *X5[:4]], strict=True)), dict(enumerate(Y5, start=100))
    a[200] = 0.1
    result = compare(a, b)
    assert pytest.approx(0.0858103784) == result.p
    assert (200,) == result.unpaired


def test_ties_count_half() -> None:
    assert compare([0.5, 0.6, 0.7], [0.5, 0.5, 0.8]).probability_better == 0.5


@pytest.mark.parametrize(
    ("a", "b", "caution"),
    [([], [], Caution.NO_VALUES), ([0.5], [0.4], Caution.TOO_FEW), ([0.5] * 7, [0.4] * 7, Caution.NO_VARIANCE)],
)
def test_degenerate_comparisons_get_a_caution_and_no_p_value(a: list[float], b: list[float], caution: Caution) -> None:
    result = compare(a, b)
    assert caution in result.warnings
    assert result.p is None
    assert result.low is None
    assert not result.claimable


def test_unpaired_arrays_and_nan_are_refused() -> None:
    with pytest.raises(AnalysisError, match="same draws"):
        compare([0.1, 0.2], [0.1])
    with pytest.raises(AnalysisError, match="NaN"):
        compare([0.1, np.nan], [0.1, 0.2])
    with pytest.raises(AnalysisError, match="one of each"):
        compare({1: 0.1}, [0.1])


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9))
def test_sign_flips_agree_with_counting_them_one_by_one(differences: list[float]) -> None:
    d = np.array(differences)
    observed = abs(d.sum()) - 1e-9 * np.abs(d).sum()
    flips = [abs((np.array(signs) * d).sum()) >= observed for signs in itertools.product((-1, 1), repeat=len(d))]
    assert pytest.approx(np.mean(flips)) == sign_flip(d)


def test_sign_flips_of_many_draws_are_exact_and_of_very_many_repeatable() -> None:
    d = np.random.default_rng(0).normal(0.5, 1, EXACT_FLIPS_UP_TO + 1)
    exact, sampled = sign_flip(d[:-1]), sign_flip(d)
    assert pytest.approx(stats.ttest_1samp(d[:-1], 0).pvalue, rel=0.2) == exact
    assert sampled == sign_flip(d)
    assert pytest.approx(stats.ttest_1samp(d, 0).pvalue, rel=0.3) == sampled


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12))
def test_swapping_the_detectors_mirrors_the_comparison(pairs: list[tuple[float, float]]) -> None:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    there, back = compare(a, b), compare(b, a)
    assert pytest.approx(there.p_signflip) == back.p_signflip
    assert pytest.approx(1 - (there.probability_better or 0)) == back.probability_better
    if there.low is not None and back.high is not None:
        assert pytest.approx(-there.low) == back.high


# many tests


def test_holm_and_benjamini_hochberg_of_a_known_family() -> None:
    assert pytest.approx([0.03, 0.06, 0.06, 0.02]) == holm(FAMILY)
    assert pytest.approx([0.02, 0.04, 0.04, 0.02]) == benjamini_hochberg(FAMILY)
    assert holm([]).size == benjamini_hochberg([]).size == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_helps_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-15).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan])
def test_what_is_no_p_value_is_refused(bad: float) -> None:
    with pytest.raises(AnalysisError):
        holm([0.1, bad])


# re-splits


def test_nadeau_bengio_of_known_differences() -> None:
    naive = compare(RESPLITS, [0.0] * 10)
    assert pytest.approx((3.597263, 0.005773), abs=1e-6) == (naive.t, naive.p)
    corrected = nadeau_bengio(RESPLITS, n_train=900, n_test=100)
    assert pytest.approx((2.475806, 0.035233), abs=1e-6) == (corrected.t, corrected.p)
    assert pytest.approx((0.001467, 0.032533), abs=1e-6) == (corrected.low, corrected.high)
    wider = nadeau_bengio(RESPLITS, n_train=800, n_test=200)
    assert pytest.approx((1.922818, 0.086664), abs=1e-6) == (wider.t, wider.p)
    assert pytest.approx((-0.003, 0.037), abs=1e-6) == (wider.low, wider.high)


def test_nadeau_bengio_is_useless_for_few_shots_and_many_test_windows() -> None:
    result = nadeau_bengio(RESPLITS, n_train=100, n_test=9900)
    assert pytest.approx((-0.3195, 0.3535), abs=1e-4) == (result.low, result.high)


@pytest.mark.parametrize("differences", [[], [0.1], [0.1, 0.1]])
def test_nadeau_bengio_refuses_differences_without_spread(differences: list[float]) -> None:
    with pytest.raises(AnalysisError):
        nadeau_bengio(differences, n_train=9, n_test=1)


# simulation


@pytest.mark.parametrize("n", [5, 10, 20])
def test_paired_t_covers_on_skewed_pairs(n: int) -> None:
    rng = np.random.default_rng(n)
    easy = rng.beta(20, 3, size=(20_000, n))  # what both detectors share on a draw
    difference = 0.5 * (easy + rng.beta(20, 3, size=easy.shape)) - 0.5 * (easy + rng.beta(20, 3, size=easy.shape))
    low, high = student_t_bounds(difference, 0.95)
    assert 0.93 <= ((low <= 0) & (high >= 0)).mean() <= 0.97


def test_pairing_finds_what_unpaired_tests_miss() -> None:
    rng = np.random.default_rng(0)
    shared, own = rng.standard_normal((2, 4000, 20)), rng.standard_normal((2, 4000, 20))
    a = 0.83 + 0.06 * (np.sqrt(0.7) * shared[0] + np.sqrt(0.3) * own[0])
    b = 0.80 + 0.06 * (np.sqrt(0.7) * shared[0] + np.sqrt(0.3) * own[1])
    paired = (stats.ttest_rel(a, b, axis=1).pvalue < 0.05).mean()
    welch = (stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05).mean()
    assert pytest.approx(0.77, abs=0.05) == paired
    assert welch < paired - 0.3


@pytest.mark.parametrize("n", [6, 10, 20])
def test_a_false_claim_of_better_is_made_at_most_one_time_in_twenty(n: int) -> None:
    rng = np.random.default_rng(n)
    difference = rng.beta(8, 2, size=(20_000, n)) - rng.beta(8, 2, size=(20_000, n))
    p = stats.ttest_1samp(difference, 0.0, axis=1).pvalue
    claims_of_better = (p < 0.05) & (difference.mean(axis=1) > 0)
    assert claims_of_better.mean() <= 0.05


def test_a_family_of_nothing_yields_a_false_claim_at_most_one_time_in_twenty() -> None:
    rng = np.random.default_rng(0)
    difference = rng.normal(size=(2000, 8, 10)) + rng.normal(size=(2000, 1, 10))  # eight tests sharing their draws
    p = stats.ttest_1samp(difference, 0.0, axis=2).pvalue
    assert np.mean([(holm(row) < 0.05).any() for row in p]) <= 0.055


@pytest.mark.parametrize("n", [5, 10, 20])
def test_guard_selecting_and_reporting_on_the_same_draws_manufactures_a_gain(n: int) -> None:
    rng = np.random.default_rng(n)
    scores = 0.8 + 0.06 * rng.standard_normal((4000, 50, n))  # fifty configurations that differ by luck alone
    best = scores.mean(axis=2).argmax(axis=1)
    same_draws = scores[np.arange(4000), best]
    fresh_draws = 0.8 + 0.06 * rng.standard_normal((4000, n))

    def coverage(values: np.ndarray) -> float:
        low, high = student_t_bounds(values, 0.95)
        return float(((low <= 0.8) & (high >= 0.8)).mean())

    assert coverage(same_draws) < 0.7
    assert 0.93 <= coverage(fresh_draws) <= 0.97
