"""Parts: one source cut into support pool, unlabelled reference, validation and test windows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainables.data.scaling import Scaler, fit_scaler
from trainables.data.series import NORMAL, LabelledSeries
from trainables.data.splits import (
    SUPPORT,
    TEST,
    VALIDATION,
    random_parts,
    run_starts,
    territory,
    whole_windows,
)
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import ProtocolError

if TYPE_CHECKING:  # trainables.trial imports the windows of this package
    from trainables.trial import EvaluationSettings


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """Last rows of the windows of each part, increasing, before anything is scaled.

    Attributes
    ----------
    territory : int8 [T] or None
        Part of each row; None if windows were dealt at random.
    pool, reference, validation, test : int64
        Ends of windows; the reference disregards labels and their quality.
    fitted_on : int64
        Rows that normalisation is fitted on.
    """

    territory: NDArray[np.int8] | None
    pool: NDArray[np.int64]
    reference: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    fitted_on: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """What one fold of one source offers: the same for every detector, K and draw.

    Attributes
    ----------
    pool
        Labelled, trusted windows of the support part, from which shots are drawn.
    reference
        Windows of the support part without labels, evenly spaced, labels and quality disregarded.
    validation, test
        Labelled, trusted windows of the other parts at `score_stride`, evenly thinned to their caps.
    scaler
        Normalisation, fitted on rows of the support part.
    series
        The source, for times and segments by row.
    territory : int8 [T] or None
        Part of each row (`splits.PART_NAMES`); None if windows were dealt at random, which leaks.
    notes
        What preparing changed or noticed, one sentence each.
    """

    pool: LabelledWindows
    reference: Windows
    validation: LabelledWindows
    test: LabelledWindows
    scaler: Scaler
    series: LabelledSeries
    territory: NDArray[np.int8] | None
    notes: tuple[str, ...]


def prepare(series: LabelledSeries, settings: "EvaluationSettings", fold: int) -> Parts:
    """Split, scale and cut a source; deterministic.

    Raises
    ------
    ProtocolError
        Too few events or runs for the split, a part without windows, no column that varies.
    """
    data = settings.data
    cut = cut_windows(series, settings, fold)
    for name, ends in (("support", cut.pool), ("validation", cut.validation), ("test", cut.test)):
        if not len(ends):
            raise ProtocolError(
                f"{series.name!r}, fold {fold}: the {name} part has no labelled window of {data.window} steps"
            )
    scaler, notes = fit_scaler(series.values, series.columns, cut.fitted_on, data.normalise, data.missing)
    table = scaler.apply(series.values, series.segment)
    table.flags.writeable = False
    notes += _coverage_notes(series, cut, data.window)
    if cut.territory is None:
        notes += ("Windows were dealt at random (split.by: random_windows): parts share rows and faults, no audit.",)

    def labelled(ends: NDArray[np.int64]) -> LabelledWindows:
        return _labelled(series, table, ends, data.window, scaler.columns)

    return Parts(
        pool=labelled(cut.pool),
        reference=Windows(table, cut.reference, data.window, scaler.columns, series.step_s),
        validation=labelled(cut.validation),
        test=labelled(cut.test),
        scaler=scaler,
        series=series,
        territory=cut.territory,
        notes=notes,
    )


def cut_windows(series: LabelledSeries, settings: "EvaluationSettings", fold: int) -> Cut:
    """Return which windows each part has; see `Cut`.

    Raises
    ------
    ProtocolError
        Too few events or runs for the split.
    """
    data, split = settings.data, settings.split
    caps = data.max_score_windows
    if split.by == "random_windows":
        codes = None
        whole = whole_windows(run_starts(series.segment), data.window)
        ends = np.flatnonzero(whole)
        if len(ends) < 3:
            raise ProtocolError(f"{series.name!r} has {len(ends)} windows of {data.window} steps, too few to deal")
        part = np.full(len(series), -1, dtype=np.int8)
        part[ends] = random_parts(len(ends), split, fold)
        covered = np.zeros(len(series) + 1, dtype=np.int64)
        np.add.at(covered, ends[part[ends] == SUPPORT] - data.window + 1, 1)
        np.add.at(covered, ends[part[ends] == SUPPORT] + 1, -1)
        fitted_on = np.flatnonzero(np.cumsum(covered[:-1]) > 0)
    else:
        codes = part = territory(series, data.window, split, fold)
        whole = whole_windows(run_starts(series.segment, part), data.window)
        fitted_on = np.flatnonzero(part == SUPPORT)
    within = np.arange(len(series)) - run_starts(series.segment)
    at_support, at_score = within % data.support_stride == 0, within % data.score_stride == 0
    usable = series.usable
    return Cut(
        territory=codes,
        pool=np.flatnonzero(whole & (part == SUPPORT) & at_support & usable),
        reference=thin(np.flatnonzero(whole & (part == SUPPORT) & at_score), caps.reference),
        validation=thin(np.flatnonzero(whole & (part == VALIDATION) & at_score & usable), caps.validation),
        test=thin(np.flatnonzero(whole & (part == TEST) & at_score & usable), caps.test),
        fitted_on=fitted_on,
    )


def _coverage_notes(series: LabelledSeries, cut: Cut, length: int) -> tuple[str, ...]:
    """Say which segments and faults no window stands for."""
    notes = []
    short = int((np.bincount(series.segment) < length).sum())
    if short:
        notes.append(f"{short} of {len(series.segments)} segments are shorter than a window of {length} steps.")
    seen = np.unique(series.event[np.concatenate([cut.pool, cut.validation, cut.test])])
    unseen = len(series.events) - int((seen >= 0).sum())
    if unseen:
        notes.append(f"{unseen} of {len(series.events)} faults have no window in their part and are not counted.")
    return tuple(notes)


def thin(ends: NDArray[np.int64], most: int | None) -> NDArray[np.int64]:
    """Return at most `most` of the ends, evenly spaced over their order."""
    if most is None or len(ends) <= most:
        return ends
    return ends[np.floor((np.arange(most) + 0.5) * len(ends) / most).astype(np.int64)]


def _labelled(
    series: LabelledSeries,
    table: NDArray[np.float32],
    ends: NDArray[np.int64],
    length: int,
    columns: tuple[str, ...],
) -> LabelledWindows:
    type_names = np.asarray([*(event.fault_type for event in series.events), NORMAL], dtype=np.str_)
    event = series.event[ends]
    return LabelledWindows(
        table=table,
        ends=ends,
        length=length,
        columns=columns,
        step_s=series.step_s,
        y=series.labels[ends],
        fault_type=type_names[event],
        event=event,
    )


def events_of(windows: LabelledWindows) -> NDArray[np.int32]:
    """Return the numbers of the fault events that the windows show, increasing."""
    return np.unique(windows.event[windows.y == 1])
