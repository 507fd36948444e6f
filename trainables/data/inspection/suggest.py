"""Settings of data, split and shots that fit a table, with the reason for each choice."""

import re
from dataclasses import dataclass

import numpy as np

from trainables.data.inspection.finding import duration
from trainables.data.inspection.labels import fault_share, reference_quantile
from trainables.data.inspection.shifts import SHIFTED, shift_between
from trainables.data.inspection.view import View
from trainables.data.parts import Cut, cut_windows
from trainables.data.readers import drop_columns, select_segments
from trainables.data.series import LabelledSeries
from trainables.data.supply import check_labels, check_supply
from trainables.data.wording import number_of
from trainables.errors import ProtocolError
from trainables.settings import (
    DataSettings,
    FewShotSettings,
    MissingByColumn,
    SeedRange,
    SplitSettings,
    ThresholdSettings,
    WindowCaps,
)
from trainables.trial import EvaluationSettings

WINDOWS = (32, 16, 8)
ENOUGH_FAULTS = 40
"""With fewer, one fold would test on fewer than ten."""
MOST_FOLDS = 4
CAPS: tuple[tuple[int | None, int | None], ...] = ((150, 300), (300, 600), (600, 1200), (1200, 2400), (None, None))
"""Validation and test windows; the smallest pair that leaves no fault without a window is taken."""
LADDER = ((500, (20, 100, 500)), (200, (20, 100, 200)), (100, (20, 100)), (50, (10, 50)), (20, (10, 20)), (4, (4,)))
"""Shots by the most that the pool can give."""
POOL_SHARE = 4
"""At most a quarter of the pool: larger draws overlap too much to say how draws differ."""
LONG_TAILS = 30.0
"""Largest values this many interquartile ranges from the median, in the median column: scale robustly."""
COUNTS = re.compile(r"requests|_rps|_qps|_count|_total|_ops|workload|spans_per_s|calls", re.IGNORECASE)
"""Names of rates and counts, where a missing value means none."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Settings that the data can carry, and why.

    Attributes
    ----------
    reasons
        Key of the sweep file -> one sentence.
    """

    data: DataSettings
    split: SplitSettings
    few_shot: FewShotSettings
    threshold: ThresholdSettings
    reasons: dict[str, str]

    @property
    def evaluation(self) -> EvaluationSettings:
        """The same as `run_trial` takes it."""
        return EvaluationSettings(self.data, self.split, self.few_shot, self.threshold)

    def kept(self, series: LabelledSeries) -> LabelledSeries:
        """Return the suggested segments and columns of the whole series."""
        return drop_columns(select_segments(series, self.data), self.data)


def suggest(view: View, source: DataSettings, *, drop: tuple[str, ...] = ()) -> Suggestion:
    """Return settings that fit the series.

    Parameters
    ----------
    view
        All segments of the source, as read by `source`.
    source
        Where it comes from; path, incidents and time zone are kept.
    drop
        Columns to leave out.

    Raises
    ------
    ProtocolError
        No labels, one class, or too few faults for any split; says what is needed.
    """
    series, reasons = view.series, dict[str, str]()
    lacking = check_labels(series, source)
    if lacking:
        raise ProtocolError(lacking)
    if len(series.events) < 3:
        raise ProtocolError(
            f"{series.name!r} has {number_of(len(series.events), 'labelled fault')}; at least 3 are needed, one each "
            "to learn from, to select on and to test on: label more of them, or add recordings that hold some"
        )
    by = _split_by(view, reasons)
    segments = _segments(view, by, reasons)
    data = source.model_copy(update={"segments": segments, "drop": drop})
    kept = select_segments(series, data)
    data = data.model_copy(update=_rows(kept, reasons))
    data = data.model_copy(update=_values(kept, reasons))
    split, data = _split(kept, data, by, reasons)
    few_shot, data = _shots(kept, data, split, reasons)
    return Suggestion(data, split, few_shot, _threshold(kept, reasons), reasons)


def _split_by(view: View, reasons: dict[str, str]) -> str:
    whole = view.whole_segments
    if whole is not None and whole.sum() >= 3 and not whole.all():
        reasons["split.by"] = "whole recordings are faulty or normal, so recordings are dealt"
        return "run"
    reasons["split.by"] = "whole faults are dealt, never rows of one fault to two parts"
    return "event"


def _segments(view: View, by: str, reasons: dict[str, str]) -> tuple[str, ...] | str:
    """Leave out fault-free segments of another regime."""
    series = view.series
    base = [re.sub(r"#\d+$", "", name) for name in series.segments]
    holding = {base[series.segment[event.start]] for event in series.events}
    others = [name for name in dict.fromkeys(base) if name not in holding]
    if by == "run" or not others or len(others) > 12:
        reasons["data.segments"] = "all of them" if len(base) > 1 else "the table has one"
        return "all"
    of_block = np.asarray(base, dtype=object)[view.blocks.segment]
    clean = view.blocks.clean
    with_faults = np.flatnonzero(clean & np.isin(of_block, list(holding)))
    strange = []
    for name in others:
        shift = shift_between(view, with_faults, np.flatnonzero(clean & (of_block == name)), "faults", name)
        if shift is not None and shift.share >= SHIFTED:
            strange.append(f"{name} ({shift.share:.0%} of the columns elsewhere)")
    names = {entry.partition(" (")[0] for entry in strange}
    if not names:
        reasons["data.segments"] = "the fault-free ones are like those with faults"
        return "all"
    reasons["data.segments"] = f"left out, fault-free and another regime: {', '.join(strange)}"
    return tuple(name for name in dict.fromkeys(base) if name not in names)


def _rows(series: LabelledSeries, reasons: dict[str, str]) -> dict[str, object]:
    lengths = np.asarray([event.stop - event.start for event in series.events])
    median = int(np.median(lengths))
    rows = np.bincount(series.segment)
    window = next((size for size in WINDOWS if size <= max(8, median) and (rows >= 2 * size).mean() > 0.5), 8)
    reasons["data.window"] = (
        f"{duration(window * series.step_s)}; a fault lasts {duration(median * series.step_s)} ("
        f"{number_of(median, 'row')}) at the median"
    )
    stride = int(np.clip(np.quantile(lengths, 0.1) // 2, 1, 4))
    reasons["data.score_stride"] = (
        f"at least {max(1, int(np.quantile(lengths, 0.1)) // stride)} scored windows in nine of ten faults"
    )
    return {"window": window, "score_stride": stride, "support_stride": 1}


def _values(series: LabelledSeries, reasons: dict[str, str]) -> dict[str, object]:
    values = series.values[:: max(1, len(series) // 20_000)].astype(np.float64)
    low, middle, high, top = np.nanquantile(
        np.where(np.isnan(values).all(axis=0), 0, values), [0.25, 0.5, 0.75, 0.999], axis=0
    )
    width = high - low
    tail = float(np.median(((top - middle)[width > 0]) / width[width > 0])) if (width > 0).any() else 0.0
    robust = tail > LONG_TAILS
    reasons["data.normalise"] = (
        f"long tails: the largest values lie {tail:.0f} interquartile ranges from the median"
        if robust
        else f"the largest values lie {tail:.0f} interquartile ranges from the median in the median column"
    )
    absent = np.isnan(values)
    silent = [
        series.columns[column]
        for column in np.flatnonzero(absent.any(axis=0) & ~(values == 0).any(axis=0))
        if COUNTS.search(series.columns[column])
    ]
    rule = "a rate that is missing is none, anything else holds" if silent else "a column holds"
    reasons["data.missing"] = (
        f"{absent.mean():.1%} of the cells; {rule} its last value: zero would look like the best there is"
        if absent.any()
        else "nothing is missing"
    )
    missing = MissingByColumn(default="hold", columns=dict.fromkeys(silent, "zero")) if 0 < len(silent) <= 8 else "hold"
    return {"normalise": "robust" if robust else "zscore", "missing": missing}


def _split(
    series: LabelledSeries, data: DataSettings, by: str, reasons: dict[str, str]
) -> tuple[SplitSettings, DataSettings]:
    """Return the split with as many folds as few faults ask for, and smaller windows if need be."""
    count = len(series.events)
    wanted = 1 if count >= ENOUGH_FAULTS else min(MOST_FOLDS, count) if count >= 8 else 3
    problems: list[str] = []
    for window in [size for size in WINDOWS if size <= data.window]:
        for folds in range(wanted, 0, -1):
            split = SplitSettings.model_validate({"by": by, "folds": folds})
            tried = data.model_copy(update={"window": window})
            problems = check_supply(series, _evaluation(tried, split, (0,)), (0,))
            if not problems:
                reasons["split.folds"] = (
                    f"{count} faults, a quarter of them to test on" if folds == 1
                    else f"{count} faults: roles rotate, so that each comes into the test part once"
                )  # fmt: skip
                if window != data.window:
                    reasons["data.window"] += "; larger ones do not fit between the faults"
                return split, tried
    raise ProtocolError("\n".join(problems))


def _shots(
    series: LabelledSeries, data: DataSettings, split: SplitSettings, reasons: dict[str, str]
) -> tuple[FewShotSettings, DataSettings]:
    cuts = [cut_windows(series, _evaluation(data, split, (0,)), fold) for fold in range(split.folds)]
    faulty = min(int((series.labels[cut.pool] == 1).sum()) for cut in cuts)
    normal = min(int((series.labels[cut.pool] == 0).sum()) for cut in cuts)
    most = min((faulty + normal) // POOL_SHARE, 2 * faulty, 2 * normal)
    shots = next((rungs for least, rungs in LADDER if most >= least), None)
    if shots is None:
        raise ProtocolError(
            f"{series.name!r}: the support part has {faulty} faulty and {normal} normal windows, too few to learn from"
        )
    events = min(len(np.unique(series.event[cut.pool[series.labels[cut.pool] == 1]])) for cut in cuts)
    reasons["few_shot.shots"] = (
        f"the pool holds {faulty} faulty and {normal} normal windows of {number_of(events, 'fault')}; at most a "
        "quarter is drawn"
    )
    data = _capped(series, data, split, reasons)
    few_shot = FewShotSettings(
        shots=(0, *shots), selection_seeds=SeedRange(first=0, count=3), report_seeds=SeedRange(first=100, count=10)
    )
    problems = check_supply(series, _evaluation(data, split, few_shot.shots), few_shot.shots)
    if problems:
        raise ProtocolError("\n".join(problems))
    return few_shot, data


def _capped(series: LabelledSeries, data: DataSettings, split: SplitSettings, reasons: dict[str, str]) -> DataSettings:
    """Return the smallest caps of scored windows that leave no fault without a window."""
    whole = _scored_faults(
        series,
        data.model_copy(update={"max_score_windows": WindowCaps(reference=150, validation=None, test=None)}),
        split,
    )
    for validation, test in CAPS:
        capped = data.model_copy(
            update={"max_score_windows": WindowCaps(reference=150, validation=validation, test=test)}
        )
        if _scored_faults(series, capped, split) == whole:
            reasons["data.max_score_windows"] = "evenly spaced; as many as leave no fault without a scored window"
            return capped
    raise AssertionError("no cap at all scores every fault")


def _scored_faults(series: LabelledSeries, data: DataSettings, split: SplitSettings) -> list[tuple[int, int]]:
    cuts: list[Cut] = [cut_windows(series, _evaluation(data, split, (0,)), fold) for fold in range(split.folds)]
    return [(_faults(series, cut.validation), _faults(series, cut.test)) for cut in cuts]


def _faults(series: LabelledSeries, ends: np.ndarray) -> int:
    return int((np.unique(series.event[ends]) >= 0).sum())


def _threshold(series: LabelledSeries, reasons: dict[str, str]) -> ThresholdSettings:
    reasons["threshold.quantile"] = (
        f"{fault_share(series):.1%} of the rows are faulty, and the unlabelled reference holds them too"
    )
    return ThresholdSettings(rule="reference_quantile", quantile=reference_quantile(series))


def _evaluation(data: DataSettings, split: SplitSettings, shots: tuple[int, ...]) -> EvaluationSettings:
    return EvaluationSettings(data, split, FewShotSettings(shots=shots), ThresholdSettings())
