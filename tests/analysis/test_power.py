"""Power: against simulated tests, and what no number of draws or faults can separate."""

import numpy as np
import pytest
from scipy import stats

from analysis.errors import AnalysisError
from analysis.intervals import Caution
from analysis.paired import MIN_DRAWS_FOR_CLAIM
from analysis.power import draws_to_separate, events_to_separate, t_power


def test_power_is_that_of_a_simulated_t_test() -> None:
    samples = np.random.default_rng(0).normal(0.8, 1.0, size=(20_000, 12))
    significant = stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05
    assert pytest.approx(significant.mean(), abs=0.01) == t_power(0.8 * np.sqrt(12), 11, 0.05)


def test_power_is_a_probability_that_grows_with_the_difference() -> None:
    for df in (1, 5, 50, 9999):
        powers = [t_power(noncentrality, df, 0.05) for noncentrality in (0, 1, 3, 10, 31.6, 42.4, 100)]
        assert pytest.approx(0.025) == powers[0]
        assert (np.diff(powers) >= -1e-12).all()
        assert powers[-1] <= 1.0


def test_the_draws_asked_for_give_the_power_asked_for() -> None:
    seen = np.tile([0.03 - 0.06, 0.03 + 0.06], 5)  # mean .03, half a standard deviation
    answer = draws_to_separate(seen)
    assert answer.total is not None
    assert answer.further == answer.total - 10
    samples = np.random.default_rng(0).normal(0.03, seen.std(ddof=1), size=(4000, answer.total))
    power = (stats.ttest_1samp(samples, 0.0, axis=1).pvalue < 0.05).mean()
    assert pytest.approx(0.8, abs=0.03) == power
    assert (answer.power_now or 0) < 0.4


def test_no_difference_cannot_be_separated_and_a_clear_one_needs_no_further_draws() -> None:
    nothing, clear = draws_to_separate([-0.1, 0.1, -0.2, 0.2]), draws_to_separate(0.5 + 0.01 * np.arange(8))
    assert nothing.further is None
    assert clear.further == 0
    assert clear.total == MIN_DRAWS_FOR_CLAIM


def test_draws_without_spread_give_a_caution() -> None:
    assert (Caution.TOO_FEW,) == draws_to_separate([0.1]).warnings
    assert (Caution.NO_VARIANCE,) == draws_to_separate([0.1, 0.1]).warnings
    assert (Caution.NO_VARIANCE,) == events_to_separate(np.zeros((3, 3))).warnings


def test_events_asked_for_follow_from_the_variance_over_events() -> None:
    rng = np.random.default_rng(0)
    table = 0.1 + 0.3 * rng.standard_normal((1, 14)) + 0.02 * rng.standard_normal((10, 14))
    answer = events_to_separate(table)
    assert answer.total is not None
    assert answer.total > 14
    enough = np.abs(table.mean()) / np.sqrt(table.mean(axis=0).var(ddof=1) / answer.total)
    assert pytest.approx(0.8, abs=0.05) == t_power(enough, 9, 0.05)


def test_events_cannot_help_where_draws_blur_the_difference() -> None:
    rng = np.random.default_rng(0)
    table = 0.1 + rng.standard_normal((5, 1)) + 0.1 * rng.standard_normal((5, 14))
    assert events_to_separate(table).further is None
    with pytest.raises(AnalysisError, match="2 draws x 2 events"):
        events_to_separate([[0.1, 0.2]])
