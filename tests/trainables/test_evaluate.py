"""run_trial: what a draw reports, what it may see, and how each way to fail becomes a status."""

from dataclasses import replace

import numpy as np
import pytest

from trainables.data import load_source, prepare
from trainables.data.series import LabelledSeries
from trainables.evaluate import run_trial, visible_support
from trainables.metrics import METRICS, compute_metrics
from trainables.protocol import TrialResources
from trainables.settings import DataSettings, FewShotSettings, SplitSettings, ThresholdSettings, WindowCaps
from trainables.trial import EvaluationSettings, TrialOutcome, TrialRequest

FAKES = "tests.fakes.detectors"


@pytest.fixture(scope="module")
def series() -> LabelledSeries:
    return load_source(DataSettings(rows=2_000))


def settings_of(**changes: object) -> EvaluationSettings:
    data = DataSettings(rows=2_000, max_score_windows=WindowCaps(reference=100, validation=100, test=120))
    values = {
        "data": data,
        "split": SplitSettings(),
        "few_shot": FewShotSettings(shots=(0, 40)),
        "threshold": ThresholdSettings(quantile=0.8),
    }
    return EvaluationSettings(**(values | changes))


def outcome_of(series: LabelledSeries, detector: str = "Instant", **changes: object) -> TrialOutcome:
    settings = changes.pop("settings", settings_of())
    asked = {"fold": 0, "shots": 40, "phase": "report", "draw": 100, "seed": 1} | changes
    request = TrialRequest(detector, class_path=f"{FAKES}:{detector}", **asked)
    return run_trial(request, settings, series, TrialResources())


def test_a_draw_reports_every_metric_and_its_labels(series):
    outcome = outcome_of(series)
    assert "ok" == outcome.status, outcome.reason
    assert tuple(METRICS) == tuple(outcome.metrics)
    assert 40 == outcome.ledger.support_windows
    assert 20 == outcome.ledger.support_normal_windows
    assert 0 == outcome.ledger.validation_labels
    assert outcome.ledger.support_events >= 2
    assert outcome.peak_host_mb > 10


def test_metrics_can_be_recomputed_from_the_stored_scores(series):
    outcome = outcome_of(series)
    assert dict(outcome.metrics) == compute_metrics(outcome.scores, outcome.threshold, series.step_s)


def test_a_searched_report_draw_counts_the_validation_labels(series):
    settings = settings_of()
    parts = prepare(series, settings, 0)
    outcome = outcome_of(series, searched=True)
    assert len(parts.validation) == outcome.ledger.validation_labels
    assert outcome.ledger.validation_events > 0


def test_selection_is_judged_on_validation_and_report_on_test(series):
    parts = prepare(series, settings_of(), 0)
    select, report = outcome_of(series, phase="select", draw=0), outcome_of(series)
    assert list(series.timestamps[parts.validation.ends]) == list(select.scores.window_end)
    assert list(series.timestamps[parts.test.ends]) == list(report.scores.window_end)


@pytest.mark.parametrize(
    ("phase", "objective", "named"),
    [("report", "average_precision", True), ("select", "average_precision", False), ("select", "macro_f1", True)],
)
def test_fault_types_are_named_where_they_are_wanted(series, phase, objective, named):
    request = TrialRequest("logistic_regression", fold=0, shots=40, phase=phase, draw=0, seed=1)
    outcome = run_trial(request, settings_of(objective=objective), series, TrialResources())
    assert named == (outcome.scores.predicted_type is not None)
    assert named == (outcome.metrics["macro_f1"] is not None)


def test_support_cv_judges_on_the_support_set_and_spends_no_validation_label(series):
    outcome = outcome_of(series, phase="select", draw=0, settings=settings_of(select_on="support_cv"))
    assert "ok" == outcome.status, outcome.reason
    assert 40 == len(outcome.scores.score)
    assert 0 == outcome.ledger.validation_labels


def test_support_cv_refuses_a_detector_that_sees_no_fault_labels(series):
    settings = settings_of(select_on="support_cv")
    outcome = outcome_of(series, "InstantNormal", phase="select", draw=0, settings=settings)
    assert "failed" == outcome.status
    assert "support_cv needs a detector that sees fault labels" in outcome.reason


def test_a_detector_without_fault_labels_takes_its_threshold_from_the_reference_under_support_f1(series):
    settings = settings_of(threshold=ThresholdSettings(rule="support_f1", quantile=0.8))
    outcome = outcome_of(series, "InstantNormal", settings=settings)
    assert "ok" == outcome.status, outcome.reason
    assert outcome.threshold_rule.startswith("reference_quantile 0.8")


def test_the_best_f1_of_the_support_set_is_a_threshold_rule(series):
    settings = settings_of(threshold=ThresholdSettings(rule="support_f1"))
    outcome = outcome_of(series, settings=settings)
    assert "ok" == outcome.status, outcome.reason
    assert outcome.threshold_rule.startswith("support_f1")


@pytest.mark.parametrize(
    ("phase", "objective", "ending"),
    [
        ("report", "average_precision", ", out of fold"),
        ("select", "f1", ", out of fold"),
    ],
)
def test_the_threshold_of_a_detector_that_saw_faults_is_out_of_fold_where_it_counts(series, phase, objective, ending):
    outcome = outcome_of(series, phase=phase, settings=settings_of(objective=objective))
    assert f"reference_quantile 0.8{ending}" == outcome.threshold_rule
    assert outcome.threshold_seconds >= 0


@pytest.mark.parametrize("detector", ["InstantNone", "Instant"])
def test_a_selection_draw_whose_objective_needs_no_threshold_has_none(series, detector):
    outcome = outcome_of(series, detector=detector, phase="select", shots=0 if detector == "InstantNone" else 20)
    assert ("ok", None, "none (the objective needs no threshold)") == (
        outcome.status, outcome.threshold, outcome.threshold_rule,
    )  # fmt: skip
    without = {name for name, value in outcome.metrics.items() if value is None}
    assert {name for name, metric in METRICS.items() if metric.needs_threshold} <= without
    assert outcome.metrics["average_precision"] is not None


def test_a_support_set_too_small_for_folds_says_that_its_threshold_is_in_sample(series):
    settings = settings_of(few_shot=FewShotSettings(shots=(0, 2)))
    outcome = outcome_of(series, shots=2, settings=settings)
    assert "ok" == outcome.status, outcome.reason
    assert ", in sample (the support set has 1 faults and 1 normal stretches" in outcome.threshold_rule


def test_a_zero_shot_draw_does_not_depend_on_any_label(series):
    """All fault labels of the support part are turned into normal: scores and threshold stay byte-equal."""
    parts = prepare(series, settings_of(), 0)
    before_validation = np.arange(len(series)) < parts.validation.ends.min() - parts.validation.length
    labels = np.where(before_validation, 0, series.labels).astype(np.int8)
    event = np.where(before_validation, -1, series.event).astype(np.int32)
    plain = outcome_of(series, "InstantNone", shots=0)
    blind = outcome_of(
        replace(series, labels=labels, event=event),
        "InstantNone",
        shots=0,
    )
    assert "ok" == blind.status, blind.reason
    assert plain.scores.score.tobytes() == blind.scores.score.tobytes()
    assert plain.threshold == blind.threshold


@pytest.mark.parametrize(
    ("detector", "status", "reason"),
    [
        ("Raising", "failed", "ValueError: planted error"),
        ("ReturningNan", "failed", "NonFiniteError"),
        ("ReturningWrongShape", "failed", "DetectorError: score returned shape"),
        ("MemoryHungry", "oom", "MemoryError"),
        ("FactsOfAnotherKind", "failed", "AttributeError"),
    ],
)
def test_a_failure_is_a_status_and_a_reason_and_never_a_score(series, detector, status, reason):
    outcome = outcome_of(series, detector)
    assert status == outcome.status
    assert outcome.reason.startswith(reason)
    assert {} == dict(outcome.metrics)
    assert outcome.scores is None
    assert "Traceback" in outcome.trace


def test_more_shots_than_the_pool_holds_fail_with_the_number(series):
    outcome = outcome_of(series, shots=1_000_000)
    assert "failed" == outcome.status
    assert "1,000,000" in outcome.reason or "1000000" in outcome.reason


def test_an_unknown_setting_of_a_detector_fails_the_draw(series):
    request = TrialRequest("Instant", 0, 40, "report", 100, 1, {"gian": 2.0}, f"{FAKES}:Instant")
    assert "gian" in run_trial(request, settings_of(), series, TrialResources()).reason


@pytest.mark.parametrize(("detector", "seen"), [("Instant", {0, 1}), ("InstantNormal", {0}), ("InstantNone", set())])
def test_a_detector_sees_only_the_labels_it_declares(series, detector, seen):
    import tests.fakes.detectors as fakes

    parts = prepare(series, settings_of(), 0)
    cls = getattr(fakes, detector)
    visible = visible_support(cls(cls.Config(), TrialResources()), parts.pool)
    assert seen == set(visible.y.tolist())


def test_the_same_request_gives_the_same_bytes(series):
    first, second = outcome_of(series), outcome_of(series)
    assert first.scores.score.tobytes() == second.scores.score.tobytes()
    assert dict(first.metrics) == dict(second.metrics)
