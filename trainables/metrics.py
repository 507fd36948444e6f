"""METRICS: name, direction and meaning of every metric; compute_metrics: all of them for one draw.

Thresholdless metrics first. Nothing here adjusts points: a window is right or wrong as it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.affiliation import affiliation
from trainables.errors import NonFiniteError, ProtocolError
from trainables.event_metrics import Timeline, delay_s, event_recall, false_alarms_per_day, timeline
from trainables.trial import WindowScores
from trainables.vus import vus_pr

VUS_BUFFER = 10
"""L of VUS-PR, in scored windows: the same for every source and detector, so that no detector gains by it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a column of results means.

    Attributes
    ----------
    name
        Column name.
    direction
        "max" if higher is better, "min" if lower is.
    meaning
        One line for people.
    needs_threshold
        True if it depends on where an alarm begins.
    """

    name: str
    direction: Literal["max", "min"]
    meaning: str
    needs_threshold: bool


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                "average_precision",
                "max",
                "Mean precision over recall levels, no threshold; a random score gets the share of faulty windows.",
                needs_threshold=False,
            ),
            Metric(
                "auroc",
                "max",
                "Chance that a faulty window scores above a normal one; 0.5 is random.",
                needs_threshold=False,
            ),
            Metric(
                "vus_pr",
                "max",
                f"Average precision that forgives near misses (TSB-AD's VUS-PR, L = {VUS_BUFFER} scored windows).",
                needs_threshold=False,
            ),
            Metric("f1", "max", "F1 of windows at the deployed threshold.", needs_threshold=True),
            Metric("precision", "max", "Share of alarming windows that are faulty.", needs_threshold=True),
            Metric("recall", "max", "Share of faulty windows that alarm.", needs_threshold=True),
            Metric(
                "oracle_f1",
                "max",
                "Best F1 over all thresholds, chosen with the test labels: nobody can deploy it.",
                needs_threshold=False,
            ),
            Metric("event_recall", "max", "Share of faults caught: an alarm in any of their windows.", True),
            Metric("composite_f1", "max", "Harmonic mean of the share of faults caught and precision.", True),
            Metric(
                "affiliation_precision",
                "max",
                "How close alarms are to faults, against places at random: random alarms get 0.5 and more.",
                needs_threshold=True,
            ),
            Metric(
                "affiliation_recall",
                "max",
                "How close faults are to alarms, against places at random: many random alarms get nearly 1.",
                needs_threshold=True,
            ),
            Metric("false_alarms_per_day", "min", "Alarms outside faults per day of fault-free time.", True),
            Metric(
                "delay_s",
                "min",
                "Median seconds from fault to alarm, a missed fault counted as latest; empty if most are missed.",
                needs_threshold=True,
            ),
            Metric(
                "macro_f1",
                "max",
                "F1 of naming the fault type, averaged over the types in the test part.",
                needs_threshold=False,
            ),
        )
    }
)
"""Every metric, in the order of tables."""


def compute_metrics(scores: WindowScores, threshold: float | None, step_s: float) -> dict[str, float | None]:
    """Return every metric of `METRICS` for one draw; one that is not defined here is None, never 0.

    Parameters
    ----------
    scores
        Window scores [N], as the score file holds them. Any order; sorted by time within segments first.
    threshold
        A window alarms where ``score >= threshold``, compared in double precision. None: whatever needs one is None.
    step_s
        Seconds between rows; used only where a single window leaves no spacing to measure.

    Raises
    ------
    ProtocolError
        No windows, or labels other than 0 and 1.
    NonFiniteError
        A score or the threshold is NaN or infinite.
    """
    _check(scores, threshold)
    line = timeline(scores, step_s)
    values: dict[str, float | None] = {
        "vus_pr": vus_pr(line.y, line.score, VUS_BUFFER, line.stretch),
        **_ranking_metrics(line.y, line.score),
        **(_alarm_metrics(line, line.score >= threshold) if threshold is not None else {}),
        "macro_f1": _macro_f1(scores),
    }
    return {name: values.get(name) for name in METRICS}


def _alarm_metrics(line: Timeline, alarm: NDArray[np.bool_]) -> dict[str, float | None]:
    caught = event_recall(line, alarm)
    windows = _window_metrics(line.y, alarm)
    precision, recall = affiliation(line.y, line.event, alarm)
    return {
        **windows,
        "event_recall": caught,
        "composite_f1": _composite_f1(caught, windows["precision"]),
        "affiliation_precision": precision,
        "affiliation_recall": recall,
        "false_alarms_per_day": false_alarms_per_day(line, alarm),
        "delay_s": delay_s(line, alarm),
    }


def _check(scores: WindowScores, threshold: float | None) -> None:
    if not len(scores.score):
        raise ProtocolError("no windows to score")
    if not np.isin(scores.label, (0, 1)).all():
        raise ProtocolError(f"labels of scored windows must be 0 or 1, found {np.unique(scores.label).tolist()}")
    if not np.isfinite(scores.score).all() or not (threshold is None or np.isfinite(threshold)):
        raise NonFiniteError(f"scores and threshold must be finite, threshold is {threshold}")


def _ranking_metrics(y: NDArray[np.int8], score: NDArray[np.float64]) -> dict[str, float | None]:
    # Here and below: a report knows the metrics by name, and half a second of imports is a share of its time.
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score  # noqa: PLC0415

    positives = int(y.sum())
    if positives == 0:
        return {"average_precision": None, "auroc": None, "oracle_f1": None}
    precision, recall, _ = precision_recall_curve(y, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(float).tiny)
    return {
        "average_precision": float(average_precision_score(y, score)),
        "auroc": float(roc_auc_score(y, score)) if positives < len(y) else None,
        "oracle_f1": float(f1.max()),
    }


def _window_metrics(y: NDArray[np.int8], alarm: NDArray[np.bool_]) -> dict[str, float | None]:
    """Return precision (None without alarms), recall and F1 (None without positives)."""
    hits, alarms, positives = int((y[alarm] == 1).sum()), int(alarm.sum()), int(y.sum())
    return {
        "f1": 2 * hits / (alarms + positives) if positives else None,
        "precision": hits / alarms if alarms else None,
        "recall": hits / positives if positives else None,
    }


def _composite_f1(caught: float | None, precision: float | None) -> float | None:
    """Return the harmonic mean of event recall and window precision; 0 if events exist and none is caught."""
    if caught is None:
        return None
    if not caught or not precision:
        return 0.0
    return 2 * caught * precision / (caught + precision)


def _macro_f1(scores: WindowScores) -> float | None:
    """Return F1 averaged over the fault types present, wrong names and false alarms both counting against a type."""
    from sklearn.metrics import f1_score  # noqa: PLC0415

    from trainables.data.series import NORMAL  # noqa: PLC0415

    present = np.unique(scores.fault_type[scores.label == 1])
    present = present[present != NORMAL]
    if scores.predicted_type is None or not len(present):
        return None
    return float(f1_score(scores.fault_type, scores.predicted_type, labels=present, average="macro", zero_division=0.0))
