"""Which part of the telemetry is support pool, validation and test, and which windows lie wholly inside one.

Parts are drawn as a territory: one part code a row. A window belongs to a part only if every row it
covers has that code, so two parts never share a row: the purge between parts is the window itself.
"""

import itertools
import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainables.data.series import Event, LabelledSeries, Quality
from trainables.errors import ProtocolError
from trainables.settings import PartShares, SplitSettings

SUPPORT: Final = 0
VALIDATION: Final = 1
TEST: Final = 2
PART_NAMES: Final = ("support", "validation", "test")

LONG_STRETCH = 8
"""Fault-free stretches longer than this many windows are dealt among the parts; shorter ones stay whole."""

_RANDOM_WINDOWS_SEED = 20260101


def deal(count: int, shares: PartShares, folds: int = 1, fold: int = 0) -> NDArray[np.int8]:
    """Return the part code of each of `count` things in order of time [count].

    One fold: contiguous blocks, support first, then validation, then test, by largest remainder, each
    at least one. Several folds: the things are cut into `folds` blocks; block `fold` is the test part,
    the things after it (round the end) are validation up to its share, the others are support, so
    that over all folds each thing is tested exactly once.

    Raises
    ------
    ProtocolError
        Fewer than three things, more folds than things, or a fold that leaves no support.
    """
    if count < 3:
        raise ProtocolError(f"{count} cannot be dealt to support, validation and test: at least 3 are needed")
    if folds == 1:
        return np.repeat(np.arange(3, dtype=np.int8), _largest_remainder(count, shares))
    if folds > count:
        raise ProtocolError(f"{folds} folds need at least {folds} to deal, there are {count}")
    edges = np.linspace(0, count, folds + 1).round().astype(int)
    first, stop = int(edges[fold]), int(edges[fold + 1])
    validation = min(max(1, round(shares.validation * count)), count - (stop - first) - 1)
    if validation < 1:
        raise ProtocolError(f"with {folds} folds, fold {fold} of {count} leaves nothing for validation and support")
    part = np.full(count, SUPPORT, dtype=np.int8)
    part[np.arange(stop, stop + validation) % count] = VALIDATION
    part[first:stop] = TEST
    return part


def _largest_remainder(count: int, shares: PartShares) -> NDArray[np.int64]:
    exact = np.array([shares.support, shares.validation, shares.test]) * count
    counts = np.floor(exact + 1e-9).astype(np.int64)
    by_remainder = np.argsort(-(exact - counts), kind="stable")
    counts[by_remainder[: count - counts.sum()]] += 1
    while counts.min() == 0:
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return counts


def territory(series: LabelledSeries, length: int, split: SplitSettings, fold: int) -> NDArray[np.int8]:
    """Return the part code of each row [T] for splits by event or by run.

    Parameters
    ----------
    length
        Window length L in rows.

    Raises
    ------
    ProtocolError
        Too few events or runs for three parts and the folds; a fold that does not exist.
    """
    if not 0 <= fold < split.folds:
        raise ProtocolError(f"fold {fold} does not exist: split.folds is {split.folds}")
    if split.by == "run":
        return _by_run(series, split, fold)
    return _by_event(series, length, split, fold)


def random_parts(count: int, split: SplitSettings, fold: int) -> NDArray[np.int8]:
    """Return a part code for each of `count` windows at random: leaks on purpose (`split.by: random_windows`)."""
    order = np.random.default_rng(_RANDOM_WINDOWS_SEED).permutation(count)
    part = np.empty(count, dtype=np.int8)
    part[order] = deal(count, split.parts, split.folds, fold)
    return part


def run_starts(*codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return for each row the first row of the run in which no code changes [T]."""
    changed = np.ones(len(codes[0]), dtype=bool)
    changed[1:] = np.logical_or.reduce([code[1:] != code[:-1] for code in codes])
    return np.maximum.accumulate(np.where(changed, np.arange(len(changed)), 0))


def whole_windows(starts: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """Return where a window of `length` rows may end without leaving its run [T]."""
    return np.arange(len(starts)) - starts >= length - 1


def _by_event(series: LabelledSeries, length: int, split: SplitSettings, fold: int) -> NDArray[np.int8]:
    part_of_event = _deal_named("fault events", len(series.events), split, fold)
    guarded = bool((series.quality == Quality.GUARD).any())
    part = np.empty(len(series), dtype=np.int8)
    short: list[slice] = []
    for stretch in _segment_slices(series):
        inside = [i for i, event in enumerate(series.events) if stretch.start <= event.start < stretch.stop]
        if inside:
            _settle(part, stretch, series, inside, part_of_event, length, guarded)
            _deal_free_ends(part, stretch, series, inside, length, guarded, split, fold)
        elif stretch.stop - stretch.start > LONG_STRETCH * length:
            part[stretch] = deal(stretch.stop - stretch.start, split.parts, split.folds, fold)
        else:
            short.append(stretch)
    _spread_whole(part, short, split.parts)
    return part


def _settle(
    part: NDArray[np.int8],
    stretch: slice,
    series: LabelledSeries,
    inside: list[int],
    part_of_event: NDArray[np.int8],
    length: int,
    guarded: bool,
) -> None:
    """Give each row of a segment to the part of the event beside it."""
    begin = stretch.start
    for position, number in enumerate(inside):
        stop = stretch.stop
        if position + 1 < len(inside):
            following = series.events[inside[position + 1]]
            stop = _border(series, series.events[number], following, length, guarded)
        part[begin:stop] = part_of_event[number]
        begin = stop


def _border(series: LabelledSeries, event: Event, following: Event, length: int, guarded: bool) -> int:
    """Return the first row that belongs to the following event.

    The middle of the fault-free gap after recovery, but early enough that the following event has a
    whole window of history where the gap allows it.
    """
    recovered = recovery_end(series, event, following.start, length, guarded)
    middle = (recovered + following.start) // 2
    return max(recovered, min(middle, following.start - length + 1))


def recovery_end(series: LabelledSeries, event: Event, limit: int, length: int, guarded: bool) -> int:
    """Return the row after which the event no longer shows: the end of its guard rows.

    Without any guard rows in the table it is one window, at most half of the gap up to row `limit`.
    """
    if not guarded:
        return min(event.stop + length, (event.stop + limit) // 2)
    after = series.quality[event.stop : limit] != Quality.GUARD
    return event.stop + (int(after.argmax()) if after.any() else limit - event.stop)


def _deal_free_ends(
    part: NDArray[np.int8],
    stretch: slice,
    series: LabelledSeries,
    inside: list[int],
    length: int,
    guarded: bool,
    split: SplitSettings,
    fold: int,
) -> None:
    """Deal a long fault-free lead-in and tail of a segment among the parts."""
    lead_stop = series.events[inside[0]].start - length  # the first event keeps a window of history
    if lead_stop - stretch.start > LONG_STRETCH * length:
        part[stretch.start : lead_stop] = deal(lead_stop - stretch.start, split.parts, split.folds, fold)
    tail = recovery_end(series, series.events[inside[-1]], stretch.stop, length, guarded)
    if stretch.stop - tail > LONG_STRETCH * length:
        part[tail : stretch.stop] = deal(stretch.stop - tail, split.parts, split.folds, fold)


def _by_run(series: LabelledSeries, split: SplitSettings, fold: int) -> NDArray[np.int8]:
    """Deal whole runs, within each set of fault types that runs contain, in order of time."""
    slices = _segment_slices(series)
    pieces: dict[str, list[int]] = {}
    for number, name in enumerate(series.segments):
        pieces.setdefault(re.sub(r"#\d+$", "", name), []).append(number)
    runs = list(pieces.values())
    if len(runs) < 3:
        raise ProtocolError(f"split.by: run needs at least 3 runs (segments), {series.name!r} has {len(runs)}")
    types_in: list[set[str]] = [set() for _ in series.segments]
    for event in series.events:
        types_in[series.segment[event.start]].add(event.fault_type)
    strata: dict[tuple[str, ...], list[list[int]]] = {}
    for run in runs:
        strata.setdefault(tuple(sorted(set().union(*(types_in[number] for number in run)))), []).append(run)
    part = np.empty(len(series), dtype=np.int8)
    few: list[slice] = []
    for members in strata.values():
        if len(members) < max(3, split.folds):
            few.extend(slice(slices[run[0]].start, slices[run[-1]].stop) for run in members)
            continue
        for run, code in zip(members, deal(len(members), split.parts, split.folds, fold), strict=True):
            for number in run:
                part[slices[number]] = code
    _spread_whole(part, few, split.parts)
    return part


def _spread_whole(part: NDArray[np.int8], stretches: list[slice], shares: PartShares) -> None:
    """Give whole stretches, in order, to the part that lacks most of its share of their rows."""
    target = np.array([shares.support, shares.validation, shares.test])
    given = np.zeros(3)
    for stretch in stretches:
        rows = stretch.stop - stretch.start
        code = int(np.argmax(target * (given.sum() + rows) - given))
        part[stretch] = code
        given[code] += rows


def _deal_named(what: str, count: int, split: SplitSettings, fold: int) -> NDArray[np.int8]:
    if count < 3 or count < split.folds:
        raise ProtocolError(
            f"split.by: {split.by} needs at least {max(3, split.folds)} {what} "
            f"(one each for support, validation and test, one a fold), there are {count}"
        )
    return deal(count, split.parts, split.folds, fold)


def _segment_slices(series: LabelledSeries) -> list[slice]:
    edges = np.searchsorted(series.segment, np.arange(len(series.segments) + 1))
    return [slice(int(start), int(stop)) for start, stop in itertools.pairwise(edges)]
