"""Where an alarm begins: chosen on the reference or on the support set, so that test data cannot enter."""

import math

import numpy as np
from numpy.typing import NDArray

from trainables.errors import NonFiniteError, ProtocolError
from trainables.event_metrics import DAY_S, alarm_runs
from trainables.settings import ThresholdSettings

MOST_ALARMING = 0.5
"""Most of the reference that may alarm under `reference_alarms_per_day`: an alarm that never ends is just one."""


def choose_threshold(
    settings: ThresholdSettings,
    *,
    reference_scores: NDArray[np.floating],
    spacing_s: float,
    support_scores: NDArray[np.floating] | None = None,
    support_y: NDArray[np.integer] | None = None,
) -> tuple[float, str]:
    """Return the threshold (an alarm is ``score >= threshold``) and, in words, the rule that gave it.

    A detector that scores all of the reference alike (`always_alarm`) alarms at exactly that score.

    Parameters
    ----------
    settings
        The rule asked for.
    reference_scores : float [R]
        Scores of the unlabelled reference, in order of time.
    spacing_s
        Seconds that one reference window stands for.
    support_scores : float [K], optional
        Out-of-fold scores of the support set; None for detectors that see no fault labels. Used by `support_f1`
        alone. The support set may be balanced: its F1 is then not the F1 at the natural rate of faults.
    support_y : int [K], optional
        Labels of the support set, 1 fault and 0 normal.

    Raises
    ------
    ProtocolError
        An empty reference; or a support set without both classes under `support_f1`.
    NonFiniteError
        A score is NaN or infinite.
    """
    reference = _checked(reference_scores, "reference")
    if settings.rule == "support_f1" and support_scores is not None:
        if support_y is None:
            raise ProtocolError("support_f1 needs the labels of the support set")
        return _support_f1(_checked(support_scores, "support"), np.asarray(support_y))
    if reference.min() == reference.max():
        return float(reference[0]), f"{settings.rule}: the only score of the reference"
    if settings.rule == "reference_alarms_per_day":
        return _alarms_per_day(reference, settings.alarms_per_day, spacing_s)
    threshold, rule = _quantile(reference, settings.quantile)
    if settings.rule == "support_f1":
        return threshold, f"{rule} (support_f1 has no support scores here)"
    return threshold, rule


def _quantile(reference: NDArray[np.float64], quantile: float) -> tuple[float, str]:
    """Return that quantile; above the lowest score, which many windows may share and which must not alarm."""
    rule = f"reference_quantile {quantile:g}"
    threshold = float(np.quantile(reference, quantile))
    if threshold > reference.min():
        return threshold, rule
    return float(reference[reference > reference.min()].min()), f"{rule}, raised above the shared lowest score"


def _alarms_per_day(reference: NDArray[np.float64], per_day: float, spacing_s: float) -> tuple[float, str]:
    """Go down from the highest score while alarms stay within the budget and most of the reference stays silent."""
    hours = len(reference) * spacing_s / 3600
    budget = math.floor(per_day * len(reference) * spacing_s / DAY_S)
    rule = f"reference_alarms_per_day {per_day:g}: {budget} in {hours:.2g} h"
    threshold = float(np.nextafter(np.float32(reference.max()), np.float32(np.inf)))
    if budget == 0:
        return threshold, f"{rule}, so above the highest score of the reference"
    for candidate in np.unique(reference)[::-1]:
        alarm = reference >= candidate
        if alarm_runs(alarm) > budget or alarm.mean() > MOST_ALARMING:
            break
        threshold = float(candidate)
    return threshold, rule


def _support_f1(scores: NDArray[np.float64], y: NDArray[np.integer]) -> tuple[float, str]:
    """Return the middle between the score with the best F1 (the highest of equals) and the next lower one."""
    positives = int((y == 1).sum())
    if positives in {0, len(y)}:
        raise ProtocolError(f"support_f1 needs faulty and normal windows in the support set, got {positives} faulty")
    candidates = np.unique(scores)[::-1]
    alarm = scores[None, :] >= candidates[:, None]  # [candidates, K]
    hits = (alarm & (y == 1)).sum(axis=1)
    f1 = 2 * hits / (alarm.sum(axis=1) + positives)
    best = int(f1.argmax())
    threshold = candidates[best] if best == len(candidates) - 1 else (candidates[best] + candidates[best + 1]) / 2
    return float(threshold), f"support_f1 {f1[best]:.3f} on {len(y)} windows out of fold"


def _checked(scores: NDArray[np.floating], part: str) -> NDArray[np.float64]:
    values = np.asarray(scores, dtype=np.float64)
    if not len(values):
        raise ProtocolError(f"no scores of the {part} to choose a threshold on")
    if not np.isfinite(values).all():
        raise NonFiniteError(f"{int((~np.isfinite(values)).sum())} of {len(values)} {part} scores are not finite")
    return values
