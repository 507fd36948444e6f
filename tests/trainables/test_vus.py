"""VUS-PR against answers of TSB-AD 1.5's `RangeAUC_volume_opt`, recorded to the last digit."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trainables.vus import vus_pr

TSB_AD = {0: 0.6103018795897497, 1: 0.6103018795897497, 5: 0.6356986387633373, 16: 0.6923383966991352,
          40: 0.7651572985010322}  # fmt: skip
TSB_AD_TIED = {0: 0.4716954430778934, 10: 0.5290832326625773}


def recorded_case() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    i = np.arange(200)
    y = np.zeros(200, dtype=np.int64)
    for start, stop in ((0, 6), (40, 55), (60, 62), (120, 140), (195, 200)):  # both borders, and one close pair
        y[start:stop] = 1
    return y, np.sin(i * 1.7) + np.cos(i * 0.31) * 0.5 + y * 0.8


def fourteen_events() -> NDArray[np.int64]:
    y = np.zeros(10_000, dtype=np.int64)
    for event in range(14):
        y[350 + event * 700 :][:100] = 1
    return y


@pytest.mark.parametrize(("buffer", "expected"), TSB_AD.items())
def test_it_equals_the_reference_implementation(buffer: int, expected: float) -> None:
    y, score = recorded_case()
    assert pytest.approx(expected, abs=1e-12) == vus_pr(y, score, buffer)


@pytest.mark.parametrize(("buffer", "expected"), TSB_AD_TIED.items())
def test_it_equals_the_reference_implementation_with_tied_scores(buffer: int, expected: float) -> None:
    y, score = recorded_case()
    assert pytest.approx(expected, abs=1e-12) == vus_pr(y, np.round(score), buffer)


def test_random_scores_get_what_the_reference_gets_on_fourteen_events() -> None:
    y, score = fourteen_events(), np.random.default_rng(0).random(10_000)
    assert pytest.approx(0.1430256191343987, abs=1e-12) == vus_pr(y, score, 10)


def test_scores_that_are_late_by_half_an_event_get_what_the_reference_gets() -> None:
    y = fourteen_events()
    assert pytest.approx(0.5344424334777604, abs=1e-12) == vus_pr(y, np.roll(y, 50).astype(float), 100)


def test_the_chance_level_rises_with_the_buffer() -> None:
    y, score = fourteen_events(), np.random.default_rng(0).random(10_000)
    levels = [vus_pr(y, score, buffer) for buffer in (0, 10, 50, 100, 200)]
    assert pytest.approx([0.139, 0.145, 0.167, 0.196, 0.255], abs=0.003) == levels


@pytest.mark.parametrize("buffer", [0, 1, 10, 100])
def test_a_perfect_score_gets_one(buffer: int) -> None:
    y = fourteen_events()
    assert pytest.approx(1.0, abs=1e-12) == vus_pr(y, y.astype(float), buffer)


def test_it_is_undefined_without_positives() -> None:
    assert vus_pr(np.zeros(10, dtype=int), np.arange(10.0), 4) is None


def test_a_buffer_does_not_reach_across_the_border_of_a_stretch() -> None:
    y = np.array([0, 0, 0, 1, 0, 0, 0, 0])
    just_after = np.array([0, 0, 0, 0, 1, 0, 0, 0.0])
    stretch = np.array([0, 0, 0, 1, 2, 2, 2, 2])  # the fault stands alone
    joined, divided = vus_pr(y, just_after, 4), vus_pr(y, just_after, 4, stretch)
    assert joined is not None
    assert divided is not None
    assert joined > divided
    assert pytest.approx(vus_pr(y, just_after, 0)) == divided


def test_ten_thousand_points_take_a_tenth_of_a_second() -> None:
    y, score = fourteen_events(), np.random.default_rng(0).random(10_000)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        vus_pr(y, score, 100)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.1


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60), st.integers(0, 12))
def test_it_lies_in_the_unit_interval_and_knows_only_the_order_of_scores(
    points: list[tuple[bool, int]], buffer: int
) -> None:
    y = np.array([fault for fault, _ in points], dtype=int)
    score = np.array([value for _, value in points], dtype=float)
    value = vus_pr(y, score, buffer)
    assert (value is None) == (not y.any())
    if value is not None:
        assert 0 < value <= 1 + 1e-12
        assert vus_pr(y, np.exp(score), buffer) == value
