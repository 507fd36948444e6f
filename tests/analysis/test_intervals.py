"""Intervals: exact answers, degenerate input, and simulated coverage with guards against what undercovers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.bootstrap import (
    EXACT_UP_TO,
    bca_tails,
    draw_bootstrap,
    expanded_tail,
    mean_of_draws,
    resample_law,
    weighted_quantiles,
)
from analysis.errors import AnalysisError
from analysis.intervals import (
    Caution,
    Interval,
    clopper_pearson,
    collapse_rate,
    iqm,
    logit_t,
    logit_t_bounds,
    student_t,
    student_t_bounds,
    trivial_f1,
    variance_components,
    wilson,
)

Floats = NDArray[np.float64]
X5 = [0.81, 0.78, 0.84, 0.69, 0.80]
X10 = [0.82, 0.79, 0.85, 0.61, 0.80, 0.83, 0.77, 0.81, 0.86, 0.74]
DRAW_BY_SEED = [[0.8, 0.82, 0.81], [0.76, 0.75, 0.77], [0.84, 0.83, 0.85], [0.7, 0.74, 0.72], [0.79, 0.81, 0.8]]

REPLICATES = 20_000
LAWS = {"A": (40, 10), "B": (20, 3), "C": (8, 2), "D": (6, 0.6), "F": (4, 4)}


def bounds(interval: Interval) -> tuple[float | None, float | None]:
    return interval.low, interval.high


def simulated(law: str, n: int) -> tuple[Floats, float]:
    """20,000 samples of n scores, and their true mean."""
    a, b = LAWS[law]
    return np.random.default_rng([ord(law), n]).beta(a, b, size=(REPLICATES, n)), a / (a + b)


def coverage(limits: tuple[Floats, Floats], truth: float | Floats) -> float:
    low, high = limits
    return float(((low <= truth) & (truth <= high)).mean())


def percentile_bounds(values: Floats, tail: float = 0.025) -> tuple[Floats, Floats]:
    law = resample_law(values.shape[-1], np.random.default_rng(0), 1000)
    return weighted_quantiles(values[:, law.index].mean(axis=-1), law.probability, (tail, 1 - tail))


@pytest.mark.parametrize(
    ("expected", "interval"),
    [
        ((0.7134323995, 0.8545676005), student_t(X5)),
        ((0.7364369295, 0.8395630705), student_t(X10)),
        ((0.7052488055, 0.8462962154), logit_t(X5)),
        ((0.7318942249, 0.8350114300), logit_t(X10)),
        ((0.734, 0.822), draw_bootstrap(X5, kind="percentile")),
        ((0.741, 0.824), draw_bootstrap(X10, kind="percentile")),
        ((0.726, 0.816), draw_bootstrap(X5, kind="bca")),
        ((0.724, 0.818), draw_bootstrap(X10, kind="bca")),
        ((0.708, 0.834), draw_bootstrap(X5)),
        ((0.729, 0.829), draw_bootstrap(X10)),
        ((0.7516666667, 0.8316666667), draw_bootstrap(X10, kind="percentile", statistic=iqm)),
        ((0.600586205, 0.9599060787), wilson(12, 14)),
        ((0.5718708391, 0.9822054845), clopper_pearson(12, 14)),
        ((0.72802612, 0.84397388), student_t(np.mean(DRAW_BY_SEED, axis=1))),
        ((0.7613405, 0.8106595), student_t(np.ravel(DRAW_BY_SEED))),  # what pretending that seeds are draws gives
    ],
)
def test_exact_answers(expected: tuple[float, float], interval: Interval) -> None:
    assert pytest.approx(expected, abs=1e-8) == bounds(interval)


def test_the_exact_tails_of_the_bootstrap() -> None:
    for sample, expected_tails in ((X5, (0.0071767, 0.94439466)), (X10, (0.005394107, 0.9377479791))):
        values, law = np.array(sample), resample_law(len(sample))
        assert pytest.approx(1.0) == law.probability.sum()
        replicates = values[law.index].mean(axis=-1)
        assert pytest.approx(expected_tails, abs=1e-6) == bca_tails(
            values, mean_of_draws, replicates, law.probability, 0.95
        )
    assert pytest.approx(0.0009541005519, abs=1e-10) == expanded_tail(5, 0.95)
    assert pytest.approx(0.0085506390244, abs=1e-10) == expanded_tail(10, 0.95)


def test_the_interquartile_mean_of_known_samples() -> None:
    assert pytest.approx(0.7966666667) == float(iqm(X5))
    assert pytest.approx(0.8033333333) == float(iqm(X10))
    assert pytest.approx([0.7966666667] * 2) == iqm([X5, X5]).tolist()


def test_variance_components_of_a_known_table() -> None:
    parts = variance_components(DRAW_BY_SEED)
    assert pytest.approx((0.00654, 0.00016, 0.0021266667, 0.9300291545), abs=1e-9) == (
        parts.between,
        parts.within,
        parts.draw,
        parts.icc,
    )
    with pytest.raises(AnalysisError, match="2 draws x 2 seeds"):
        variance_components([X5])


@pytest.mark.parametrize(("prevalence", "f1"), [(0.02, 0.0392157), (0.1, 0.1818182), (0.14, 0.245614), (0.5, 2 / 3)])
def test_the_trivial_f1(prevalence: float, f1: float) -> None:
    assert pytest.approx(f1, abs=1e-6) == trivial_f1(prevalence)


def test_collapsed_draws_are_counted_and_the_floor_itself_is_a_collapse() -> None:
    rate = collapse_rate([0.9, 0.8, 0.25, 0.1], floor=0.25)
    assert rate.estimate == 0.5
    assert bounds(wilson(2, 4)) == bounds(rate)


# degenerate input


@pytest.mark.parametrize("interval", [student_t, logit_t, draw_bootstrap])
@pytest.mark.parametrize(
    ("values", "caution"),
    [
        ([], Caution.NO_VALUES),
        ([0.8], Caution.TOO_FEW),
        ([0.8] * 5, Caution.NO_VARIANCE),
        ([0.3, 0.1 + 0.2, 0.3], Caution.NO_VARIANCE),
    ],
)
def test_degenerate_samples_get_a_caution_and_no_bounds(
    interval: Callable[[list[float]], Interval], values: list[float], caution: Caution
) -> None:
    result = interval(values)
    assert (None, None) == bounds(result)
    assert caution in result.warnings
    assert len(values) == result.n
    assert (result.estimate is None) == (not values)


@pytest.mark.parametrize("interval", [student_t, logit_t, draw_bootstrap])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(interval: Callable[[list[float]], Interval], bad: float) -> None:
    with pytest.raises(AnalysisError, match="1 of 3 values"):
        interval([0.1, bad, 0.2])


def test_scores_of_exactly_zero_or_one_are_said() -> None:
    all_ones, one_of_them = logit_t([1.0, 1.0]), logit_t([1.0, 0.9, 0.8])
    assert {Caution.NO_VARIANCE, Caution.AT_BOUND} == set(all_ones.warnings)
    assert (None, None) == bounds(all_ones)
    assert (Caution.AT_BOUND,) == one_of_them.warnings
    assert one_of_them.low is not None


def test_a_share_whose_last_bit_lies_beyond_one_is_one() -> None:
    assert logit_t([1.0, 0.9, 0.8]) == logit_t([1.0 + 2**-52, 0.9, 0.8])


def test_values_outside_the_unit_interval_are_refused_by_logit_t() -> None:
    with pytest.raises(AnalysisError, match="between 0 and 1"):
        logit_t([0.5, 1.5])


def test_a_table_is_refused_where_one_value_a_draw_is_expected() -> None:
    with pytest.raises(AnalysisError, match="average inside first"):
        student_t(DRAW_BY_SEED)


def test_rates_without_trials_have_no_bounds_and_impossible_ones_are_refused() -> None:
    assert (Caution.NO_VALUES,) == clopper_pearson(0, 0).warnings
    assert clopper_pearson(0, 5).low == 0.0
    with pytest.raises(AnalysisError, match="3 of 2"):
        wilson(3, 2)


def test_the_percentile_bootstrap_is_flagged() -> None:
    assert (Caution.TOO_NARROW,) == draw_bootstrap(X5, kind="percentile").warnings
    assert () == draw_bootstrap(X5).warnings


def test_more_draws_than_can_be_enumerated_need_a_generator_and_the_seed_decides() -> None:
    values = np.random.default_rng(1).random(EXACT_UP_TO + 1)
    with pytest.raises(AnalysisError, match="generator"):
        draw_bootstrap(values)
    first, again = (draw_bootstrap(values, rng=np.random.default_rng(5)) for _ in range(2))
    assert first == again


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_draws_does_not_matter(values: list[float], shuffler: object) -> None:
    backwards = values[::-1]
    for interval in (student_t, logit_t, draw_bootstrap):
        assert pytest.approx(bounds(interval(values))) == bounds(interval(backwards))


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=8))
def test_logit_t_stays_inside_and_contains_the_estimate(values: list[float]) -> None:
    result = logit_t(values)
    if result.low is not None and result.high is not None and result.estimate is not None:
        assert 0 <= result.low <= result.estimate <= result.high <= 1


# simulated coverage of nominal 95 %


@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("law", "ABCF")
def test_logit_t_covers_on_ordinary_score_distributions(law: str, n: int) -> None:
    values, truth = simulated(law, n)
    assert 0.93 <= coverage(logit_t_bounds(values, 0.95), truth) <= 0.97


@pytest.mark.parametrize("n", [5, 10, 20])
def test_logit_t_covers_nearly_on_scores_that_crowd_against_one(n: int) -> None:
    values, truth = simulated("D", n)
    assert coverage(logit_t_bounds(values, 0.95), truth) >= 0.925


def test_guard_the_t_interval_misses_on_scores_that_crowd_against_one() -> None:
    values, truth = simulated("D", 5)
    assert coverage(student_t_bounds(values, 0.95), truth) < 0.90


@pytest.mark.parametrize("law", LAWS)
def test_guard_the_percentile_bootstrap_misses_at_five_draws(law: str) -> None:
    values, truth = simulated(law, 5)
    assert coverage(percentile_bounds(values), truth) < 0.90


@pytest.mark.parametrize("law", "ACF")
def test_the_expanded_percentile_bootstrap_mends_most_of_it(law: str) -> None:
    values, truth = simulated(law, 5)
    plain, expanded = percentile_bounds(values), percentile_bounds(values, expanded_tail(5, 0.95))
    assert coverage(expanded, truth) > coverage(plain, truth) + 0.05


def scores_by_type(n: int, shared: float) -> Floats:
    """Scores [replicates, n draws, 14 fault types] of variance .06², of which a draw shares a part over types."""
    rng = np.random.default_rng([n, int(10 * shared)])
    draw = rng.standard_normal((REPLICATES // 4, n, 1)) * np.sqrt(shared)
    own = rng.standard_normal((REPLICATES // 4, n, 14)) * np.sqrt(1 - shared)
    return 0.8 + 0.06 * (draw + own)


@pytest.mark.parametrize("shared", [0.0, 0.5])
@pytest.mark.parametrize("n", [5, 10, 20])
@pytest.mark.parametrize("aggregate", [lambda table: table.mean(axis=-1), iqm], ids=["mean", "iqm"])
def test_aggregates_inside_each_draw_cover(n: int, shared: float, aggregate: Callable[[Floats], Floats]) -> None:
    per_draw = aggregate(scores_by_type(n, shared))
    assert 0.93 <= coverage(student_t_bounds(per_draw, 0.95), 0.8) <= 0.97


@pytest.mark.parametrize("n", [5, 10, 20])
def test_guard_resampling_runs_within_fault_types_misses_when_types_share_their_draw(n: int) -> None:
    table = scores_by_type(n, 0.5)[:1000]
    rng = np.random.default_rng(0)
    resampled = np.empty((400, len(table)))
    for row in resampled:
        weights = rng.multinomial(n, np.full(n, 1 / n), size=14).T / n  # [n, types], independent over types
        row[:] = (table * weights).sum(axis=1).mean(axis=1)
    low, high = np.quantile(resampled, [0.025, 0.975], axis=0)
    assert coverage((low, high), 0.8) < 0.7


@pytest.mark.parametrize("n", [5, 10, 20])
def test_guard_counting_seeds_as_draws_misses_and_draw_means_do_not(n: int) -> None:
    rng = np.random.default_rng(n)
    scores = 0.8 + 0.06 * rng.standard_normal((REPLICATES, n, 1)) + 0.02 * rng.standard_normal((REPLICATES, n, 3))
    assert coverage(student_t_bounds(scores.reshape(REPLICATES, -1), 0.95), 0.8) < 0.8
    assert 0.93 <= coverage(student_t_bounds(scores.mean(axis=-1), 0.95), 0.8) <= 0.97


def test_known_answers_are_those_of_the_shared_file() -> None:
    path = Path(__file__).parents[3] / "shared" / "science_known_answers.json"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside the project")
    known = json.loads(path.read_text(encoding="utf-8"))
    for n, sample in ((5, X5), (10, X10)):
        assert known[f"x{n}"] == sample
        assert pytest.approx(known[f"t95_x{n}"]) == bounds(student_t(sample))
        assert pytest.approx(known[f"logit_t95_x{n}"]) == bounds(logit_t(sample))
        assert pytest.approx(known[f"exact_BCa95_x{n}"]["interval"]) == bounds(draw_bootstrap(sample, kind="bca"))
        assert pytest.approx(known[f"expanded_percentile95_x{n}"]["interval"]) == bounds(draw_bootstrap(sample))
