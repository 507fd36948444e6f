"""The luck of the best of many: known values, and the same by simulation."""

import numpy as np
import pytest

from analysis.errors import AnalysisError
from analysis.selection import expected_maximum, expected_optimism


@pytest.mark.parametrize(("m", "value"), [(1, 0.0), (2, 0.5642), (5, 1.163), (10, 1.5388), (50, 2.2491), (200, 2.746)])
def test_the_expected_maximum_of_known_sizes(m: int, value: float) -> None:
    assert pytest.approx(value, abs=1e-4) == expected_maximum(m)


@pytest.mark.parametrize(("m", "n", "optimism"), [(10, 5, 0.041), (50, 5, 0.060), (50, 10, 0.043), (200, 20, 0.037)])
def test_the_optimism_of_equal_configurations(m: int, n: int, optimism: float) -> None:
    assert pytest.approx(optimism, abs=0.001) == expected_optimism(0.06, draws=n, configurations=m)


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_a_simulated_search_over_equals_is_as_optimistic(correlation: float) -> None:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((4000, 1, 5)) * np.sqrt(correlation)
    scores = 0.06 * (shared + rng.standard_normal((4000, 50, 5)) * np.sqrt(1 - correlation))
    simulated = scores.mean(axis=2).max(axis=1).mean()
    expected = expected_optimism(0.06, draws=5, configurations=50, correlation=correlation)
    assert pytest.approx(simulated, abs=0.001) == expected


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(AnalysisError):
        expected_maximum(0)
    for bad in ({"draws": 0}, {"draws": 5, "correlation": 1.5}):
        with pytest.raises(AnalysisError):
            expected_optimism(0.06, configurations=5, **bad)  # type: ignore[arg-type]
