"""Affiliation against answers by hand, and against what TSB-AD 1.5 gave for known scores."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from trainables.affiliation import affiliation

Pair = tuple[float | None, float | None]


def of(labels: str, alarms: str) -> Pair:
    """Faults and alarms as strings of 0 and 1; every run of faulty windows is an event."""
    y = np.array([int(c) for c in labels])
    return affiliation(y, np.cumsum(np.diff(y, prepend=0) == 1) - 1, np.array([c == "1" for c in alarms]))


def fourteen_events() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    y = np.zeros(10_000, dtype=np.int64)
    for number in range(14):
        y[350 + number * 700 :][:100] = 1
    return y, np.cumsum(np.diff(y, prepend=0) == 1) - 1


def best_f1(score: NDArray[np.float64]) -> float:
    """Best F1 over a hundred thresholds, as TSB-AD takes it."""
    y, event = fourteen_events()
    found = []
    for threshold in np.linspace(score.min(), score.max(), 100):
        precision, recall = affiliation(y, event, score > threshold)
        if precision and recall:
            found.append(2 * precision * recall / (precision + recall))
    return max(found)


def test_alarms_on_all_of_the_fault_and_nowhere_else_get_one() -> None:
    assert (1.0, 1.0) == of("0011001000", "0011001000")


def test_an_alarm_beside_the_fault_is_as_good_as_few_places_are_nearer() -> None:
    # the zone has ten windows; 0.5 away from the one of the fault are 1 + 0.5 + 0.5 of them, and from the fault's
    # middle to the alarm again 0.5, on either side
    assert pytest.approx((0.8, 0.9)) == of("0000010000", "0000001000")


def test_the_far_side_counts_for_what_is_left_of_the_zone() -> None:
    # 4.5 away: all five windows of the other side that end with the zone, the fault, and 4.5 of this one
    precision, recall = of("1000000000", "0000010000")
    assert pytest.approx(1 - (0 + 4.5 + 1) / 10) == precision
    assert pytest.approx(1 - (0.5 + 4.5) / 10) == recall


def test_a_fault_without_an_alarm_in_its_zone_costs_recall_and_no_precision() -> None:
    assert (1.0, 0.5) == of("0100000010", "0100000000")


def test_nothing_is_defined_without_faults_and_no_precision_without_alarms() -> None:
    assert (None, None) == of("0000", "0100")
    assert (None, 0.0) == of("0110", "0000")


def test_events_that_touch_are_two() -> None:
    y, event, alarm = np.array([0, 1, 1, 0]), np.array([-1, 7, 3, -1]), np.array([False, True, False, False])
    assert (1.0, 0.5) == affiliation(y, event, alarm)


def test_random_alarms_get_the_floor_that_the_docstring_names() -> None:
    y, event = fourteen_events()
    alarm = np.random.default_rng(0).random(len(y)) > 0.5
    precision, recall = affiliation(y, event, alarm)
    assert pytest.approx((1 + 0.14**2) / 2, abs=0.01) == precision
    assert recall is not None
    assert recall > 0.99


def test_it_gives_what_the_reference_gave_for_known_scores() -> None:
    y, _ = fourteen_events()
    noise = np.random.default_rng(0).random(len(y))
    one_hit = noise.copy()
    one_hit[np.diff(y, prepend=0) == 1] = 2.0  # the first point of each event
    assert pytest.approx(0.684, abs=0.01) == best_f1(noise)
    assert pytest.approx(0.926, abs=0.002) == best_f1(one_hit)
    assert pytest.approx(0.928, abs=0.001) == best_f1(np.roll(y, 50).astype(float))
    assert 1.0 == best_f1(y.astype(float))


def test_ten_thousand_windows_take_milliseconds() -> None:
    y, event = fourteen_events()
    alarm = np.random.default_rng(0).random(len(y)) > 0.9
    start = time.perf_counter()
    affiliation(y, event, alarm)
    assert time.perf_counter() - start < 0.1
