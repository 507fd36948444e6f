"""Metrics: values by hand, agreement with scikit-learn, degenerate draws, and what trivial detectors get."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score

from trainables.errors import NonFiniteError, ProtocolError
from trainables.metrics import METRICS, compute_metrics
from trainables.trial import WindowScores

HOUR = 3600


def window_scores(
    label: list[int] | np.ndarray,
    score: list[float] | np.ndarray,
    *,
    spacing_s: int = 10,
    segment: list[str] | None = None,
    seconds: list[int] | np.ndarray | None = None,
    types: list[str] | None = None,
    predicted: list[str] | None = None,
) -> WindowScores:
    """Windows every `spacing_s`; each run of faulty windows is one event."""
    y = np.asarray(label, dtype=np.int8)
    at = np.arange(len(y)) * spacing_s if seconds is None else np.asarray(seconds)
    event = np.where(y == 1, np.cumsum(np.diff(y, prepend=0) == 1) - 1, -1).astype(np.int32)
    return WindowScores(
        window_end=np.datetime64("2026-01-01T00:00:00", "ns") + at.astype("timedelta64[s]"),
        segment=np.asarray(segment or ["a"] * len(y)),
        event=event,
        fault_type=np.asarray(types) if types else np.where(y == 1, "cpu", "normal"),
        label=y,
        score=np.asarray(score, dtype=np.float32),
        predicted_type=None if predicted is None else np.asarray(predicted),
    )


def compute(scores: WindowScores, threshold: float = 0.5) -> dict[str, float | None]:
    return compute_metrics(scores, threshold, step_s=1.0)


def test_names_and_order_are_those_of_the_table() -> None:
    names = [
        "average_precision",
        "auroc",
        "vus_pr",
        "f1",
        "precision",
        "recall",
        "oracle_f1",
        "event_recall",
        "composite_f1",
        "affiliation_precision",
        "affiliation_recall",
        "false_alarms_per_day",
        "delay_s",
        "macro_f1",
    ]
    assert names == list(METRICS)
    assert names == list(compute(window_scores([0, 1], [0, 1])))
    assert {"false_alarms_per_day", "delay_s"} == {m.name for m in METRICS.values() if m.direction == "min"}


def test_values_by_hand() -> None:
    #       two events; the first is caught in its second window, the second is missed; one false alarm of two windows
    label = [0, 1, 1, 1, 0, 0, 0, 0, 1, 1]
    score = [0, 0, 1, 1, 0, 1, 1, 0, 0, 0]
    values = compute(window_scores(label, score))
    assert pytest.approx(2 / 4) == values["precision"]
    assert pytest.approx(2 / 5) == values["recall"]
    assert pytest.approx(4 / 9) == values["f1"]
    assert pytest.approx(1 / 2) == values["event_recall"]
    assert pytest.approx(1 / 2) == values["composite_f1"]
    assert pytest.approx(1 / (5 * 10 / 86_400)) == values["false_alarms_per_day"]
    assert values["delay_s"] == 10.0  # one delay of 10 s, one censored: the lower middle value
    assert pytest.approx(2 / 3) == values["oracle_f1"]  # everything alarms
    assert values["macro_f1"] is None


def test_a_perfect_detector_gets_the_best_of_everything() -> None:
    label = [0, 0, 1, 1, 0, 0, 1, 0]
    values = compute(window_scores(label, label, predicted=["cpu" if y else "normal" for y in label]))
    best = {"false_alarms_per_day": 0.0, "delay_s": 0.0}
    assert pytest.approx({name: best.get(name, 1.0) for name in METRICS}) == values


@pytest.mark.parametrize("prevalence", [0.02, 0.1, 0.14, 0.5])
def test_always_alarm_gets_the_trivial_f1(prevalence: float) -> None:
    label = (np.arange(1000) < prevalence * 1000).astype(int)
    values = compute(window_scores(label, np.full(1000, 0.5)))
    assert pytest.approx(2 * prevalence / (1 + prevalence)) == values["f1"]
    assert pytest.approx(2 * prevalence / (1 + prevalence)) == values["oracle_f1"]
    assert pytest.approx(prevalence) == values["average_precision"]
    assert values["auroc"] == 0.5
    assert values["event_recall"] == 1.0


def test_random_scores_get_the_prevalence() -> None:
    label = (np.arange(20_000) % 700 < 100).astype(int)
    values = compute(window_scores(label, np.random.default_rng(0).random(20_000)))
    assert pytest.approx(label.mean(), abs=0.01) == values["average_precision"]
    assert pytest.approx(0.5, abs=0.02) == values["auroc"]


def test_alarms_are_compared_in_double_precision() -> None:
    stored = float(np.float32(0.1))  # a little above 0.1
    values = compute(window_scores([0, 1], [0.1, 0.1]), threshold=np.nextafter(stored, 1))
    assert values["recall"] == 0.0
    assert compute(window_scores([0, 1], [0.1, 0.1]), threshold=stored)["recall"] == 1.0


def test_without_faults_only_what_needs_none_is_defined() -> None:
    values = compute(window_scores([0] * 6, [0, 1, 0, 0, 0, 1]))
    assert {"precision", "false_alarms_per_day"} == {name for name, value in values.items() if value is not None}
    assert values["precision"] == 0.0


def test_without_normal_windows_auroc_and_false_alarms_are_undefined() -> None:
    values = compute(window_scores([1, 1, 1], [0, 1, 1]))
    assert values["auroc"] is None
    assert values["false_alarms_per_day"] is None
    assert values["average_precision"] == 1.0


def test_without_alarms_precision_is_undefined_and_f1_is_zero() -> None:
    values = compute(window_scores([0, 1, 1], [0, 0, 0]))
    assert values["precision"] is None
    assert values["delay_s"] is None
    assert {0.0} == {values[name] for name in ("recall", "f1", "event_recall", "composite_f1")}


def test_one_silent_window_does_not_divide_a_false_alarm_and_two_do() -> None:
    label = [1] + [0] * 8640
    once, twice = np.zeros(8641), np.zeros(8641)
    once[[10, 12]] = 1
    twice[[10, 13]] = 1
    assert pytest.approx(1.0) == compute(window_scores(label, once))["false_alarms_per_day"]
    assert pytest.approx(2.0) == compute(window_scores(label, twice))["false_alarms_per_day"]


def test_a_fault_divides_the_false_alarms_on_its_two_sides() -> None:
    values = compute(window_scores([0, 0, 1, 0, 0], [0, 1, 1, 1, 0]))
    assert pytest.approx(2 / (40 / 86_400)) == values["false_alarms_per_day"]


def test_segments_and_gaps_divide_alarms_and_gaps_are_no_covered_time() -> None:
    gap = [0, 10, 20, 30, HOUR, HOUR + 10]
    with_gap = compute(window_scores([0] * 6, [0, 0, 0, 1, 1, 0], seconds=gap))
    two_segments = compute(window_scores([0] * 6, [0, 0, 0, 1, 1, 0], segment=["a"] * 4 + ["b"] * 2))
    assert pytest.approx(2 / (60 / 86_400)) == with_gap["false_alarms_per_day"]
    assert pytest.approx(2 / (60 / 86_400)) == two_segments["false_alarms_per_day"]


def test_thinned_windows_cover_the_time_between_them() -> None:
    every_10 = compute(window_scores([0] * 10 + [1], [1] + [0] * 10, spacing_s=10))
    every_40 = compute(window_scores([0] * 10 + [1], [1] + [0] * 10, spacing_s=40))
    assert pytest.approx(4.0) == (every_10["false_alarms_per_day"] or 0) / (every_40["false_alarms_per_day"] or 1)


def test_delay_is_undefined_when_more_than_half_of_the_faults_are_missed() -> None:
    label = [0, 1, 1, 0, 1, 1, 0, 1, 1]
    one_caught, two_caught = [0, 0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 1, 0, 0, 0, 0]
    assert compute(window_scores(label, one_caught))["delay_s"] is None
    assert compute(window_scores(label, two_caught))["delay_s"] == 10.0


def test_macro_f1_averages_over_the_types_present_and_counts_wrong_names() -> None:
    types = ["normal", "cpu", "cpu", "net", "normal"]
    predicted = ["cpu", "cpu", "disk", "net", "normal"]
    scores = window_scores([0, 1, 1, 1, 0], [0] * 5, types=types, predicted=predicted)
    assert pytest.approx((0.5 + 1.0) / 2) == compute(scores)["macro_f1"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(NonFiniteError):
        compute(window_scores([0, 1], [0, bad]))
    with pytest.raises(NonFiniteError):
        compute(window_scores([0, 1], [0, 1]), threshold=bad)


def test_unlabelled_and_empty_windows_are_refused() -> None:
    with pytest.raises(ProtocolError, match="-1"):
        compute(window_scores([0, -1], [0, 1]))
    with pytest.raises(ProtocolError, match="no windows"):
        compute(window_scores([], []))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4)), min_size=1, max_size=40), st.randoms())
def test_the_order_of_windows_does_not_matter(points: list[tuple[bool, int]], shuffler: object) -> None:
    scores = window_scores([int(fault) for fault, _ in points], [value for _, value in points])
    order = np.random.default_rng(len(points)).permutation(len(points))
    shuffled = WindowScores(
        **{
            field.name: None if getattr(scores, field.name) is None else getattr(scores, field.name)[order]
            for field in dataclasses.fields(WindowScores)
        }
    )
    assert pytest.approx(compute(scores, 2.0), nan_ok=False) == compute(shuffled, 2.0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=60), st.integers(0, 9))
def test_windows_metrics_agree_with_scikit_learn(points: list[tuple[bool, int]], threshold: int) -> None:
    y, score = np.array([fault for fault, _ in points]), np.array([float(value) for _, value in points])
    values = compute(window_scores(y.astype(int), score), threshold)
    if y.any():
        assert pytest.approx(f1_score(y, score >= threshold)) == values["f1"]
        assert pytest.approx(average_precision_score(y, score)) == values["average_precision"]
        oracle = max(f1_score(y, score >= level) for level in np.unique(score))
        assert pytest.approx(oracle) == values["oracle_f1"]
