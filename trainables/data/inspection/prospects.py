"""What a table can prove: independent faults behind each split and number of shots, and the strongest claim."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from trainables.data.draws import draw_support
from trainables.data.inspection.finding import duration, rounded
from trainables.data.inspection.suggest import Suggestion
from trainables.data.parts import cut_windows
from trainables.data.series import LabelledSeries
from trainables.data.supply import bare_pool
from trainables.data.wording import number_of
from trainables.errors import ProtocolError
from trainables.settings import SplitSettings
from trainables.trial import EvaluationSettings

SIGNIFICANT = 0.05
LEAST_DISCORDANT = 6
"""Two-sided exact sign test: 2 * 0.5^6 = 0.03 is the first below 0.05."""
NO_EVENT = 3.0
"""Upper 95 % limit of a Poisson mean after none was seen, -ln 0.05 (the rule of three)."""


@dataclass(frozen=True, slots=True)
class SplitFacts:
    """Faults of each part, averaged over folds, and faults tested over all folds; `reason` where it is impossible."""

    by: str
    folds: int
    support: float
    validation: float
    test: float
    tested: int
    lowest: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ShotFacts:
    """What stands behind K shots: mean over draws and folds."""

    shots: int
    faulty_windows: float
    normal_windows: float
    faults: float
    pool_share: float


@dataclass(frozen=True, slots=True)
class Prospects:
    """What can be claimed.

    Attributes
    ----------
    tested
        Faults behind every number, over all folds.
    all_caught, half_caught
        95 % interval of the share caught after catching all of them, or half.
    quiet_days
        Fault-free days that are scored.
    claims
        The same in words.
    """

    splits: tuple[SplitFacts, ...]
    shots: tuple[ShotFacts, ...]
    tested: int
    all_caught: tuple[float, float]
    half_caught: tuple[float, float]
    quiet_days: float
    claims: tuple[str, ...]


def prospects(series: LabelledSeries, suggestion: Suggestion) -> Prospects:
    """Return what the suggested settings, and the other splits, leave to prove.

    `series` holds the suggested segments.
    """
    evaluation = suggestion.evaluation
    chosen = _split_facts(series, evaluation, suggestion.split)
    others = [
        SplitSettings.model_validate({"by": by, "folds": folds})
        for by in ("event", "run")
        for folds in (1, 2, 4)
        if (by, folds) != (suggestion.split.by, suggestion.split.folds)
    ]
    tested = chosen.tested
    days = _quiet_days(series, evaluation)
    return Prospects(
        splits=(chosen, *(_split_facts(series, evaluation, split) for split in others)),
        shots=tuple(_shot_facts(series, evaluation, shots) for shots in suggestion.few_shot.shots if shots),
        tested=tested,
        all_caught=_interval(tested, tested),
        half_caught=_interval(tested // 2, tested),
        quiet_days=days,
        claims=(*_untested(len(series.events) - tested, suggestion), *_claims(tested, days)),
    )


def _untested(count: int, suggestion: Suggestion) -> tuple[str, ...]:
    """Say how many faults no fold tests, though the folds take turns; with one fold most are not tested by design."""
    if not count or suggestion.split.folds == 1:
        return ()
    window = f"window of {suggestion.data.window} steps"
    return (f"Never tested: {number_of(count, 'fault')}, where no whole {window} with a trusted label ends.",)


def _claims(tested: int, days: float) -> tuple[str, ...]:
    low, high = _interval(tested, tested)
    half_low, half_high = _interval(tested // 2, tested)
    caught = (
        f"Catching {tested} of {tested} test faults only says that {low:.0%} to {high:.0%} of such faults are caught "
        f"(95 %, Clopper-Pearson); {tested // 2} of {tested} says {half_low:.0%} to {half_high:.0%}."
    )
    told = [caught]
    if tested < LEAST_DISCORDANT:
        told.append(
            f"No difference between two detectors in faults caught can be significant: {number_of(tested, 'fault')}, "
            f"{LEAST_DISCORDANT} are needed."
        )
    else:
        told.append(
            f"To differ in faults caught, one detector must catch {LEAST_DISCORDANT} of the {tested} that the other "
            "misses and miss none that it catches (exact sign test, p = 0.03)."
        )
    if days > 0:
        told.append(
            f"No false alarm in the {duration(days * 86_400)} without a fault that are tested only says fewer than "
            f"{rounded(NO_EVENT / days, 2)} a day."
        )
    return tuple(told)


def _interval(caught: int, of: int) -> tuple[float, float]:
    interval = binomtest(caught, of).proportion_ci(confidence_level=0.95, method="exact")
    return float(interval.low), float(interval.high)


def _split_facts(series: LabelledSeries, evaluation: EvaluationSettings, split: SplitSettings) -> SplitFacts:
    settings = EvaluationSettings(evaluation.data, split, evaluation.few_shot, evaluation.threshold)
    counts, tested = [], set[int]()
    try:
        for fold in range(split.folds):
            cut = cut_windows(series, settings, fold)
            parts = [np.unique(series.event[ends]) for ends in (cut.pool, cut.validation, cut.test)]
            counts.append([int((part >= 0).sum()) for part in parts])
            tested |= {int(event) for event in parts[2] if event >= 0}
    except ProtocolError as err:
        return SplitFacts(split.by, split.folds, 0.0, 0.0, 0.0, 0, None, str(err))
    support, validation, test = np.mean(counts, axis=0).tolist()
    lowest = _interval(len(tested), len(tested))[0] if tested else None
    reason = "" if min(min(row) for row in counts) else "a part without faults"
    return SplitFacts(split.by, split.folds, support, validation, test, len(tested), lowest, reason)


def _shot_facts(series: LabelledSeries, evaluation: EvaluationSettings, shots: int) -> ShotFacts:
    rows = []
    for fold in range(evaluation.split.folds):
        pool = bare_pool(series, cut_windows(series, evaluation, fold), evaluation.data.window)
        for draw in evaluation.few_shot.report_seeds.draws:
            index = draw_support(pool, source=series.name, shots=shots, draw=draw, few_shot=evaluation.few_shot)
            drawn = pool.take(index)
            faulty = drawn.y == 1
            rows.append((faulty.sum(), (~faulty).sum(), len(np.unique(drawn.event[faulty])), len(index) / len(pool)))
    faulty_windows, normal_windows, faults, share = np.mean(rows, axis=0).tolist()
    return ShotFacts(shots, faulty_windows, normal_windows, faults, share)


def _quiet_days(series: LabelledSeries, evaluation: EvaluationSettings) -> float:
    """Return the fault-free time that test windows of all folds stand for, in days."""
    rows = 0
    uncapped = evaluation.data.model_copy(
        update={"max_score_windows": evaluation.data.max_score_windows.model_copy(update={"test": None})}
    )
    settings = EvaluationSettings(uncapped, evaluation.split, evaluation.few_shot, evaluation.threshold)
    for fold in range(evaluation.split.folds):
        ends = cut_windows(series, settings, fold).test
        rows += int((series.labels[ends] == 0).sum()) * evaluation.data.score_stride
    return rows * series.step_s / 86_400
