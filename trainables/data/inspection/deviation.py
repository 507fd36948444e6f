"""How far telemetry lies from what is usual around it: a yardstick for labels, made without them where it can.

Rows are averaged in blocks of a sixth of a fault. A block's deviation in a column is its distance from the median of
fault-free blocks around it, or what parts it from the column that it usually moves with (`relations`), in units of what
fault-free blocks reach. Its score is the mean of the largest deviations, over a twentieth of the columns, smoothed over
half a fault. It is a yardstick, not a detector: levels and units come from the whole table. Where it tells labelled
faults from the rest (`visibility` checks that first), it can say where labels and telemetry disagree.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from trainables.data.inspection.relations import partings
from trainables.data.series import LabelledSeries

BLOCKS_A_FAULT = 6
SURROUNDINGS = 20
"""Half a surrounding is this many faults long: the level may wander, a fault may not pull it along."""
LEAST_SURROUNDINGS = 60
"""Blocks."""
MOST_CELLS = 6_000_000
"""Blocks times columns: bounds memory to about 250 MB; on large tables blocks grow, and short faults blur."""
UNLABELLED_BLOCKS = 5_000
"""Blocks of a table without faults, whose length is not known."""
LEAST_UNIT = 1e-3
"""The unit is at least this share of a column's standard deviation, of a relation's too: rounding is no deviation."""
TOP_SHARE = 0.05
LEAST_TOP = 3
USUAL, RARE = 0.95, 0.99
"""The unit of a deviation is the larger of the first quantile and half of the second over fault-free blocks: columns
that are mostly silent have a first quantile of almost nothing."""
TRUSTED = 0.9
"""Share of fault-free blocks that the second round goes by."""
LEAST_OWN = 100
"""Fault-free blocks from which on a segment has units of its own."""
NEIGHBOURS = 4
"""Fault-free segments beside a segment, where segments are faulty or fault-free as a whole."""
LEAST_CLEAN = 8
"""Fault-free blocks that a level needs; with fewer, that of the whole table is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """Averages over a few rows each, in order; none crosses a segment.

    Attributes
    ----------
    start, stop : int64 [B]
        Rows of each block.
    values : float64 [B, C]
        Mean of the present values; NaN where there is none.
    fault, clean : bool [B]
        Any row in a fault; all rows fault-free and trusted.
    segment : int32 [B]
    per_fault
        Blocks of a median fault, at least 1.
    whole
        Segments are faulty or fault-free as a whole.
    """

    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    values: NDArray[np.float64]
    fault: NDArray[np.bool_]
    clean: NDArray[np.bool_]
    segment: NDArray[np.int32]
    per_fault: int
    whole: bool

    def __len__(self) -> int:
        return len(self.start)


def coarsen(series: LabelledSeries, clean: NDArray[np.bool_], event_rows: int, *, whole: bool) -> Blocks:
    """Return block averages: a sixth of a median fault each, more where the table would give too many."""
    size = max(1, event_rows // BLOCKS_A_FAULT) if event_rows else -(-len(series) // UNLABELLED_BLOCKS)
    size = max(size, -(-len(series) * len(series.columns) // MOST_CELLS))
    starts = np.searchsorted(series.segment, np.arange(len(series.segments)))
    within = np.arange(len(series)) - starts[series.segment]
    start = np.flatnonzero(within % size == 0)
    return Blocks(
        start=start,
        stop=np.append(start[1:], len(series)),
        values=np.stack([_means(column, start) for column in series.values.T], axis=1),
        fault=np.logical_or.reduceat(series.labels == 1, start),
        clean=np.logical_and.reduceat(clean, start),
        segment=series.segment[start],
        per_fault=max(1, round(event_rows / size)) if event_rows else BLOCKS_A_FAULT,
        whole=whole,
    )


def _means(column: NDArray[np.float32], start: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean of the present values of each block [B]; by column, so that no copy of the table is made."""
    present = ~np.isnan(column)
    count = np.add.reduceat(present, start, dtype=np.int64)
    total = np.add.reduceat(np.where(present, column, np.float32(0)), start, dtype=np.float64)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def deviation(blocks: Blocks) -> NDArray[np.float64]:
    """Return the score of each block [B], 0 and more.

    Levels and units come from fault-free blocks; twice, the second time without those that deviated most at first:
    they may be faults that nobody listed.
    """
    clean = blocks.clean if blocks.clean.any() else np.ones(len(blocks), dtype=bool)
    first = _score(blocks, clean)
    return _score(blocks, clean & (first <= np.quantile(first[clean], TRUSTED)))


def _score(blocks: Blocks, clean: NDArray[np.bool_]) -> NDArray[np.float64]:
    least = LEAST_UNIT * np.nanstd(blocks.values, axis=0)
    grown = _grown(blocks, blocks.values, clean, least)  # [B, C]
    parted, related = partings(blocks.values, clean)
    grown[:, related] = np.maximum(grown[:, related], _grown(blocks, parted, clean, least[related]))
    top = min(grown.shape[1], max(LEAST_TOP, round(TOP_SHARE * grown.shape[1])))
    score = np.partition(grown, -top, axis=1)[:, -top:].mean(axis=1)
    width = max(1, round(blocks.per_fault / 2))
    for rows in _segments(blocks):
        score[rows] = uniform_filter1d(score[rows], width, mode="nearest")
    return np.asarray(score)


def _grown(
    blocks: Blocks, values: NDArray[np.float64], clean: NDArray[np.bool_], least: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the deviation of each block in each column, as a logarithm; 0 where a value is missing [B, C].

    `least` is the smallest unit of each column [C].
    """
    distance = np.abs(values - _levels(blocks, values, clean))
    return np.asarray(np.log2(1 + np.nan_to_num(distance / _units(blocks, distance, clean, least))))


def _units(
    blocks: Blocks, distance: NDArray[np.float64], clean: NDArray[np.bool_], least: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what fault-free blocks reach in each column [B, C]: of the block's segment if it is long enough."""
    overall = np.fmax(_unit(distance[clean]), np.where(least > 0, least, 1.0))
    units = np.broadcast_to(overall, distance.shape).copy()
    for rows in _segments(blocks):
        own = distance[rows][clean[rows]]
        if len(own) >= LEAST_OWN:
            units[rows] = np.fmax(_unit(own), overall / 10)
    return units


def _unit(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.fmax(np.nanquantile(distance, USUAL, axis=0), np.nanquantile(distance, RARE, axis=0) / 2)


def _segments(blocks: Blocks) -> list[slice]:
    edges = np.searchsorted(blocks.segment, np.arange(blocks.segment[-1] + 2))
    return [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def _levels(blocks: Blocks, values: NDArray[np.float64], clean: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the median of fault-free blocks around each block [B, C].

    Where whole segments are faulty, around means in the neighbouring fault-free segments, for all segments alike.
    """
    half = max(SURROUNDINGS * blocks.per_fault, LEAST_SURROUNDINGS) // 2
    overall = np.nanmedian(values[clean], axis=0)
    levels = np.empty_like(values)
    if blocks.whole:
        for rows, around in _neighbours(blocks, clean):
            level = np.nanmedian(values[around], axis=0)
            levels[rows] = np.where(np.isnan(level), overall, level)
        return levels
    for rows in _segments(blocks):
        pieces = max(1, round((rows.stop - rows.start) / half))
        cuts = np.linspace(rows.start, rows.stop, pieces + 1).astype(int)
        for piece in range(pieces):
            around = np.arange(cuts[max(0, piece - 1)], cuts[min(pieces, piece + 2)])
            around = around[clean[around]]
            level = np.nanmedian(values[around], axis=0) if len(around) >= LEAST_CLEAN else overall
            levels[cuts[piece] : cuts[piece + 1]] = np.where(np.isnan(level), overall, level)
    return levels


def _neighbours(blocks: Blocks, clean: NDArray[np.bool_]) -> Iterator[tuple[slice, NDArray[np.int64]]]:
    """Yield the rows of each segment, and the fault-free blocks of the nearest other segments that have any."""
    segments = _segments(blocks)
    free = np.asarray([number for number, rows in enumerate(segments) if clean[rows].any()])
    for number, rows in enumerate(segments):
        others = free[free != number]
        nearest = others[np.argsort(np.abs(others - number), kind="stable")][:NEIGHBOURS]
        around = np.concatenate(
            [np.arange(segments[n].start, segments[n].stop) for n in (nearest if len(nearest) else free)]
        )
        yield rows, around[clean[around]]
