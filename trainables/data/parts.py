"""Parts: one source cut into support pool, unlabelled reference, validation and test windows."""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from trainables.data.big_tables import file_of, shared
from trainables.data.hold_out import HeldOut, folds, touched
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
    held_out
        The kind of fault that the fold is judged on; None: all of them.
    """

    territory: NDArray[np.int8] | None
    pool: NDArray[np.int64]
    reference: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]
    fitted_on: NDArray[np.int64]
    held_out: HeldOut | None = None


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
    held_out
        The kind of fault that the fold is judged on; None: all of them.
    """

    pool: LabelledWindows
    reference: Windows
    validation: LabelledWindows
    test: LabelledWindows
    scaler: Scaler
    series: LabelledSeries
    territory: NDArray[np.int8] | None
    held_out: HeldOut | None = None


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
    scaler, _ = fit_scaler(series.values, series.columns, cut.fitted_on, data.normalise, data.missing)
    shape = (len(series), len(scaler.columns))
    table = shared(_name(series, scaler), shape, lambda into: scaler.apply_to(series.values, series.segment, into))

    def labelled(ends: NDArray[np.int64]) -> LabelledWindows:
        return _labelled(series, table, ends, data.window, scaler.columns)

    return Parts(
        pool=labelled(cut.pool),
        reference=Windows(table, cut.reference, data.window, scaler.columns, series.step_s, times=series.timestamps),
        validation=labelled(cut.validation),
        test=labelled(cut.test),
        scaler=scaler,
        series=series,
        territory=cut.territory,
        held_out=cut.held_out,
    )


def _name(series: LabelledSeries, scaler: Scaler) -> str:
    """Return what names a scaled table: the raw one's file and all that is done to it; in memory it has none."""
    file = file_of(series.values)
    if file is None:
        return f"own-{uuid4().hex}"
    state = hashlib.sha256(repr((str(file), scaler.columns, scaler.rules)).encode())
    for array in (scaler.kept, scaler.centre, scaler.spread, scaler.median):
        state.update(array.tobytes())
    return state.hexdigest()[:32]


def cut_windows(series: LabelledSeries, settings: "EvaluationSettings", fold: int) -> Cut:
    """Return which windows each part has; see `Cut`.

    Raises
    ------
    ProtocolError
        Too few events or runs for the split.
    """
    data, split = settings.data, settings.split
    if split.by == "random_windows":
        return _dealt_at_random(series, settings, fold)
    held_out = _held_out(series, settings, fold)
    part = territory(series, data.window, split, held_out.rotation if held_out else fold)
    hidden = judged_apart = np.zeros(len(series), dtype=bool)
    if held_out is not None:
        judged_apart = held_out.of_other_kinds(series)
        hidden = held_out.of_kind(series) if held_out.exposure == "unseen" else hidden
    whole = whole_windows(run_starts(series.segment, part), data.window)
    learnable = whole & ~touched(hidden, data.window)
    testable = whole & ~touched(judged_apart, data.window)
    cut = _cut(series, settings, part, learnable, testable)
    return replace(cut, territory=part, fitted_on=np.flatnonzero((part == SUPPORT) & ~hidden), held_out=held_out)


def _held_out(series: LabelledSeries, settings: "EvaluationSettings", fold: int) -> HeldOut | None:
    known = folds(series, settings.data.window, settings.split)
    if not 0 <= fold < len(known):
        raise ProtocolError(f"fold {fold} does not exist: there are {len(known)}")
    return known[fold]


def _dealt_at_random(series: LabelledSeries, settings: "EvaluationSettings", fold: int) -> Cut:
    """Deal windows, not faults: leaks on purpose."""
    length = settings.data.window
    whole = whole_windows(run_starts(series.segment), length)
    ends = np.flatnonzero(whole)
    if len(ends) < 3:
        raise ProtocolError(f"{series.name!r} has {len(ends)} windows of {length} steps, too few to deal")
    part = np.full(len(series), -1, dtype=np.int8)
    part[ends] = random_parts(len(ends), settings.split, fold)
    covered = np.zeros(len(series) + 1, dtype=np.int64)
    np.add.at(covered, ends[part[ends] == SUPPORT] - length + 1, 1)
    np.add.at(covered, ends[part[ends] == SUPPORT] + 1, -1)
    cut = _cut(series, settings, part, whole, whole)
    return replace(cut, fitted_on=np.flatnonzero(np.cumsum(covered[:-1]) > 0))


def _cut(
    series: LabelledSeries,
    settings: "EvaluationSettings",
    part: NDArray[np.int8],
    learnable: NDArray[np.bool_],
    testable: NDArray[np.bool_],
) -> Cut:
    """Return the ends of the windows of each part, at its stride and below its cap."""
    data, caps = settings.data, settings.data.max_score_windows
    within = np.arange(len(series)) - run_starts(series.segment)
    at_support, at_score = within % data.support_stride == 0, within % data.score_stride == 0
    usable = series.usable
    return Cut(
        territory=None,
        pool=np.flatnonzero(learnable & (part == SUPPORT) & at_support & usable),
        reference=thin(np.flatnonzero(learnable & (part == SUPPORT) & at_score), caps.reference),
        validation=thin(np.flatnonzero(learnable & (part == VALIDATION) & at_score & usable), caps.validation),
        test=thin(np.flatnonzero(testable & (part == TEST) & at_score & usable), caps.test),
        fitted_on=np.flatnonzero(part == SUPPORT),
    )


def preparation_notes(series: LabelledSeries, settings: "EvaluationSettings") -> tuple[str, ...]:
    """Return what preparing drops, fills or leaves unused, one sentence each; columns as in the first fold.

    Raises
    ------
    ProtocolError
        As `prepare`.
    """
    data = settings.data
    cuts = [cut_windows(series, settings, fold) for fold in range(len(folds(series, data.window, settings.split)))]
    _, notes = fit_scaler(series.values, series.columns, cuts[0].fitted_on, data.normalise, data.missing)
    short = int((np.bincount(series.segment) < data.window).sum())
    if short:
        notes += (f"Segments shorter than a window of {data.window} steps: {short} of {len(series.segments)}.",)
    kept = [np.unique(series.event[np.concatenate([cut.pool, cut.validation, cut.test])]) for cut in cuts]
    lost = [len(series.events) - int((events >= 0).sum()) for events in kept]
    if any(lost) and cuts[0].held_out is None:
        counts = ", ".join(f"{count} in fold {fold}" for fold, count in enumerate(lost) if count)
        notes += (f"Faults not counted, because no trusted window that is kept ends in them: {counts}.",)
    if cuts[0].territory is None:
        notes += ("Windows are dealt at random (split.by: random_windows): parts share rows and faults, no audit.",)
    return notes


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
        times=series.timestamps,
        y=series.labels[ends],
        fault_type=type_names[event],
        event=event,
    )


def events_of(windows: LabelledWindows) -> NDArray[np.int32]:
    """Return the numbers of the fault events that the windows show, increasing."""
    return np.unique(windows.event[windows.y == 1])
