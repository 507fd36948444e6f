"""From columns in any order to a checked `LabelledSeries`: sorting, duplicates, gaps, events."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trainables.data.big_tables import blocks, columns_of, empty, rows_of
from trainables.data.series import UNLABELLED, Event, LabelledSeries
from trainables.data.wording import number_of
from trainables.errors import DataError

GAP_STEPS = 5
"""A pause longer than this many median steps starts a new segment: a window must not bridge an outage."""

IRREGULAR = 0.5
"""Steps that differ from the median by more than this share of it are reported as irregular."""


@dataclass(frozen=True, slots=True, eq=False)
class RawColumns:
    """One source as read, rows in the order of the file.

    Attributes
    ----------
    where
        What error messages start with: the path.
    timestamps : datetime64[ns] [T]
        UTC.
    values : float32 [T, C]
        NaN is missing; infinities are allowed here.
    columns
        C feature names.
    labels : int8 [T]
        1, 0 or -1.
    fault_type, service : str [T]
        Empty where there is no fault or it is not known.
    segment : str [T]
    quality : int8 [T]
    line
        From a row number to the words that name its place in the file ("line 17").
    simulated
        True for generated telemetry.
    """

    where: str
    timestamps: NDArray[np.datetime64]
    values: NDArray[np.float32]
    columns: tuple[str, ...]
    labels: NDArray[np.int8]
    fault_type: NDArray[np.object_]
    service: NDArray[np.object_]
    segment: NDArray[np.object_]
    quality: NDArray[np.int8]
    line: Callable[[int], str]
    simulated: bool = False

    def __len__(self) -> int:
        return len(self.timestamps)

    def take(self, rows: NDArray[np.integer]) -> "RawColumns":
        """Return these rows, in that order; `line` still refers to the file."""
        line = self.line
        return replace(
            self,
            timestamps=self.timestamps[rows],
            values=rows_of(self.values, rows),
            labels=self.labels[rows],
            fault_type=self.fault_type[rows],
            service=self.service[rows],
            segment=self.segment[rows],
            quality=self.quality[rows],
            line=lambda row: line(int(rows[row])),
        )


def assemble(raw: RawColumns, name: str, *, notes: tuple[str, ...] = (), drop_empty: bool = True) -> LabelledSeries:
    """Sort, remove repeated rows, split at gaps and find the events.

    Segments are put in order of their first row in time. Columns without any value are dropped with `drop_empty`.

    Raises
    ------
    DataError
        Fewer than two rows, two rows of one segment with the same time and different values, or no value at all.
    """
    said = list(notes)
    raw, code, names = _in_order(raw, said)
    raw, code = _without_repeats(raw, code, names, said)
    if len(raw) < 2:
        raise DataError(f"{raw.where}: {len(raw)} row(s); at least 2 rows of telemetry are needed")
    code, names, step_s = _split_at_gaps(raw, code, names, said)
    raw = replace(raw, values=_finite_or_missing(raw, said))
    everything = raw.columns
    if drop_empty:
        raw = _without_empty_columns(raw, said)
    event, events = find_events(raw.labels, raw.fault_type, raw.service, code)
    unlabelled = int((raw.labels == UNLABELLED).sum())
    if 0 < unlabelled < len(raw):
        said.append(f"{number_of(unlabelled, 'row')} without a label: neither trained nor scored on.")
    return LabelledSeries(
        name=name,
        timestamps=raw.timestamps,
        values=raw.values,
        columns=raw.columns,
        labels=raw.labels,
        event=event,
        events=events,
        segment=code,
        segments=names,
        quality=raw.quality,
        step_s=step_s,
        simulated=raw.simulated,
        notes=tuple(said),
        dropped=tuple(name for name in everything if name not in set(raw.columns)),
    )


def find_events(
    labels: NDArray[np.int8],
    fault_type: NDArray[np.object_],
    service: NDArray[np.object_],
    segment: NDArray[np.int32],
) -> tuple[NDArray[np.int32], tuple[Event, ...]]:
    """Return the event number of each row (int32 [T], -1 outside) and the events.

    An event is a contiguous run of rows labelled 1 with the same fault type and service in one segment.
    """
    fault = labels == 1
    same = np.zeros(len(labels), dtype=bool)
    same[1:] = (
        fault[1:]
        & fault[:-1]
        & (segment[1:] == segment[:-1])
        & np.asarray(fault_type[1:] == fault_type[:-1], dtype=bool)
        & np.asarray(service[1:] == service[:-1], dtype=bool)
    )
    starts = np.flatnonzero(fault & ~same)
    number = np.where(fault, np.cumsum(fault & ~same, dtype=np.int32) - np.int32(1), np.int32(-1))
    lengths = np.bincount(number[fault], minlength=len(starts))
    events = tuple(
        Event(int(start), int(start + length), str(fault_type[start]) or "fault", str(service[start]))
        for start, length in zip(starts, lengths, strict=True)
    )
    return number, events


def _in_order(raw: RawColumns, said: list[str]) -> tuple[RawColumns, NDArray[np.int32], tuple[str, ...]]:
    """Return the rows sorted by (segment, time), the segment code of each row and the segments' names."""
    names, first_seen = _unique_in_order(raw.segment)
    code = first_seen
    starts = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(starts, code, raw.timestamps.astype(np.int64))
    rank = np.empty(len(names), dtype=np.int32)
    rank[np.argsort(starts, kind="stable")] = np.arange(len(names), dtype=np.int32)
    code = rank[code]
    ordered_names = tuple(np.asarray(names, dtype=object)[np.argsort(rank)])
    stamps = raw.timestamps.astype(np.int64)
    later = stamps[1:] >= stamps[:-1]
    backwards = int((~later & (code[1:] == code[:-1])).sum())
    if backwards:
        said.append(f"Rows were not in order of time ({number_of(backwards, 'step')} backwards); they were sorted.")
    if not backwards and (code[1:] >= code[:-1]).all():
        return raw, code, ordered_names
    order = np.lexsort((stamps, code))
    return raw.take(order), code[order], ordered_names


def _unique_in_order(values: NDArray[np.object_]) -> tuple[list[str], NDArray[np.int32]]:
    """Return distinct values in order of appearance and the position of each row's value among them."""
    if not len(values):
        return [], np.empty(0, dtype=np.int32)
    changed = np.ones(len(values), dtype=bool)
    changed[1:] = values[1:] != values[:-1]
    runs = np.flatnonzero(changed)
    seen: dict[str, int] = {}
    of_run = np.asarray([seen.setdefault(str(values[row]), len(seen)) for row in runs], dtype=np.int32)
    return list(seen), np.repeat(of_run, np.diff(np.append(runs, len(values))))


def _without_repeats(
    raw: RawColumns, code: NDArray[np.int32], names: tuple[str, ...], said: list[str]
) -> tuple[RawColumns, NDArray[np.int32]]:
    """Drop rows that repeat their predecessor; refuse two different rows at one time."""
    repeats = np.zeros(len(raw), dtype=bool)
    repeats[1:] = (raw.timestamps[1:] == raw.timestamps[:-1]) & (code[1:] == code[:-1])
    if not repeats.any():
        return raw, code
    later = np.flatnonzero(repeats)
    equal = (
        (raw.values[later] == raw.values[later - 1]) | (np.isnan(raw.values[later]) & np.isnan(raw.values[later - 1]))
    ).all(axis=1)
    for column in (raw.labels, raw.fault_type, raw.service, raw.quality):
        equal &= np.asarray(column[later] == column[later - 1], dtype=bool)
    if not equal.all():
        bad = int(later[~equal][0])
        raise DataError(
            f"{raw.where}: {raw.line(bad)} and {raw.line(bad - 1)} have the same timestamp "
            f"{_text(raw.timestamps[bad])} in segment {names[code[bad]]!r} but different values "
            f"({int((~equal).sum())} such rows); one row per time and segment is needed: "
            "merge them, or tell parallel sources apart in a column named segment"
        )
    said.append(f"{number_of(len(later), 'exactly repeated row')} dropped.")
    keep = np.flatnonzero(~repeats)
    return raw.take(keep), code[keep]


def _split_at_gaps(
    raw: RawColumns, code: NDArray[np.int32], names: tuple[str, ...], said: list[str]
) -> tuple[NDArray[np.int32], tuple[str, ...], float]:
    """Return new segment codes and names, and the median step in seconds."""
    step = np.diff(raw.timestamps.astype(np.int64)) / 1e9  # [T - 1] seconds
    inside = code[1:] == code[:-1]
    if not inside.any():
        raise DataError(f"{raw.where}: no segment has two rows, so there is no sampling step")
    overall = float(np.median(step[inside]))
    of_segment = np.full(len(names), overall)
    gap, odd = np.zeros(len(step), dtype=bool), np.zeros(len(step), dtype=bool)
    bounds = np.searchsorted(code, np.arange(len(names) + 1))
    for segment, (start, stop) in enumerate(pairwise(bounds)):
        own = step[start : stop - 1]
        if len(own):
            expected = of_segment[segment] = np.median(own)
            gap[start : stop - 1] = own > GAP_STEPS * expected
            odd[start : stop - 1] = np.abs(own - expected) > IRREGULAR * expected
    odd &= ~gap
    if gap.any():
        worst = int(np.argmax(np.where(gap, step, -1)))
        said.append(
            f"{number_of(int(gap.sum()), 'gap')} longer than {GAP_STEPS} steps: a new segment starts after each "
            f"(longest {step[worst]:g} s after {_text(raw.timestamps[worst])})."
        )
    if odd.any():
        said.append(
            f"Irregular sampling: {int(odd.sum())} of {int(inside.sum())} steps more than half off {overall:g} s."
        )
    if len(np.unique(of_segment)) > 1 and of_segment.max() > (1 + IRREGULAR) * of_segment.min():
        said.append(f"Segments are sampled at different steps, from {of_segment.min():g} s to {of_segment.max():g} s.")
    starts_new = np.ones(len(code), dtype=bool)
    starts_new[1:] = gap | ~inside
    new_code = np.cumsum(starts_new, dtype=np.int32) - np.int32(1)
    pieces: dict[int, int] = {}
    new_names = []
    for old in code[starts_new]:
        piece = pieces[int(old)] = pieces.get(int(old), 0) + 1
        new_names.append(names[old] if piece == 1 else f"{names[old]}#{piece}")
    return new_code, tuple(new_names), overall


def _finite_or_missing(raw: RawColumns, said: list[str]) -> NDArray[np.float32]:
    """Return the values with infinities as missing."""
    counts = np.zeros(raw.values.shape[1], dtype=np.int64)
    for rows in blocks(raw.values):
        counts += np.isinf(raw.values[rows]).sum(axis=0)
    if not counts.any():
        return raw.values
    listed = ", ".join(f"{raw.columns[i]} ({counts[i]})" for i in np.flatnonzero(counts)[:8])
    said.append(f"{number_of(int(counts.sum()), 'infinite value')} taken as missing: {listed}.")
    values = empty(*raw.values.shape)
    for rows in blocks(raw.values):
        values[rows] = np.where(np.isinf(raw.values[rows]), np.float32(np.nan), raw.values[rows])
    return values


def _without_empty_columns(raw: RawColumns, said: list[str]) -> RawColumns:
    """Drop columns without a single value."""
    without = np.ones(raw.values.shape[1], dtype=bool)
    for rows in blocks(raw.values):
        without &= np.isnan(raw.values[rows]).all(axis=0)
    if not without.any():
        return raw
    names = [raw.columns[i] for i in np.flatnonzero(without)]
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    if without.all():
        raise DataError(f"{raw.where}: every feature column is empty ({listed})")
    said.append(f"{number_of(len(names), 'column')} without any value: dropped ({listed}).")
    kept = np.flatnonzero(~without)
    return replace(raw, values=columns_of(raw.values, kept), columns=tuple(raw.columns[i] for i in kept))


def _text(stamp: np.datetime64) -> str:
    return str(np.datetime_as_string(stamp, unit="ms")).removesuffix(".000") + "Z"
