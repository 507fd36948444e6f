"""Thresholds: each rule by hand, constant and tied scores, and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.errors import NonFiniteError, ProtocolError
from trainables.settings import ThresholdSettings
from trainables.thresholds import MOST_ALARMING, choose_threshold

QUANTILE = ThresholdSettings()
PER_DAY = ThresholdSettings(rule="reference_alarms_per_day", alarms_per_day=24)
SUPPORT = ThresholdSettings(rule="support_f1")
RULES = [QUANTILE, PER_DAY, SUPPORT]


def choose(settings: ThresholdSettings, reference: object, **support: object) -> tuple[float, str]:
    return choose_threshold(settings, reference_scores=np.asarray(reference), spacing_s=10.0, **support)  # type: ignore[arg-type]


def test_the_quantile_is_that_of_the_reference() -> None:
    threshold, rule = choose(QUANTILE, np.arange(1001.0))
    assert pytest.approx(995.0) == threshold
    assert rule == "reference_quantile 0.995"


@pytest.mark.parametrize("settings", RULES)
def test_a_constant_score_alarms_at_itself(settings: ThresholdSettings) -> None:
    constant = np.full(50, 0.1, dtype=np.float32)
    threshold, rule = choose(settings, constant)
    assert (constant.astype(float) >= threshold).all()
    assert "only score" in rule


def test_a_shared_lowest_score_does_not_alarm() -> None:
    threshold, rule = choose(QUANTILE, [0.0] * 999 + [0.7])
    assert threshold == 0.7
    assert "lowest" in rule


def test_a_shared_highest_score_alarms() -> None:
    threshold, _ = choose(QUANTILE, [*np.linspace(0, 0.5, 900), *[1.0] * 100])
    assert threshold == 1.0


def test_alarms_a_day_count_runs_not_windows() -> None:
    reference = np.zeros(360)  # an hour: one alarm fits
    reference[100:120] = np.linspace(5, 4, 20)
    reference[200] = 3.0
    threshold, rule = choose(PER_DAY, reference)
    assert threshold == 4.0
    assert rule == "reference_alarms_per_day 24: 1 in 1 h"


def test_a_reference_too_short_for_one_alarm_stays_silent() -> None:
    reference = np.linspace(0, 1, 100).astype(np.float32)
    threshold, rule = choose(PER_DAY, reference)
    assert not (reference.astype(float) >= threshold).any()
    assert "0 in" in rule


@given(st.lists(st.integers(0, 20), min_size=2, max_size=400).filter(lambda scores: len(set(scores)) > 1))
def test_most_of_the_reference_stays_silent_under_a_budget_of_alarms(scores: list[int]) -> None:
    threshold, _ = choose(ThresholdSettings(rule="reference_alarms_per_day", alarms_per_day=1e4), scores)
    assert (np.asarray(scores) >= threshold).mean() <= MOST_ALARMING


def test_the_best_f1_of_the_support_set_is_found_and_the_threshold_lies_in_the_gap() -> None:
    scores, y = np.array([0.1, 0.2, 0.6, 0.8, 0.9]), np.array([0, 0, 1, 1, 1])
    threshold, rule = choose(SUPPORT, np.arange(10.0), support_scores=scores, support_y=y)
    assert pytest.approx(0.4) == threshold
    assert rule == "support_f1 1.000 on 5 windows out of fold"


def test_without_support_scores_the_quantile_is_used_and_said() -> None:
    threshold, rule = choose(SUPPORT, np.arange(1001.0))
    assert pytest.approx(995.0) == threshold
    assert rule == "reference_quantile 0.995 (support_f1 has no support scores here)"


@pytest.mark.parametrize("y", [[0, 0], [1, 1]])
def test_a_support_set_of_one_class_is_refused(y: list[int]) -> None:
    with pytest.raises(ProtocolError, match="faulty and normal"):
        choose(SUPPORT, np.arange(5.0), support_scores=np.array([0.0, 1.0]), support_y=np.array(y))


def test_empty_and_non_finite_scores_are_refused() -> None:
    with pytest.raises(ProtocolError, match="reference"):
        choose(QUANTILE, [])
    with pytest.raises(NonFiniteError, match="1 of 2 reference scores"):
        choose(QUANTILE, [0.0, np.nan])
    with pytest.raises(NonFiniteError, match="support"):
        choose(SUPPORT, [0.0, 1.0], support_scores=np.array([0.0, np.inf]), support_y=np.array([0, 1]))
    with pytest.raises(ProtocolError, match="labels"):
        choose(SUPPORT, [0.0, 1.0], support_scores=np.array([0.0, 1.0]))
