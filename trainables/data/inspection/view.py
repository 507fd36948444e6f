"""What the checks look at: one series with the statistics that several of them need, computed once."""

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from trainables.data.inspection.deviation import Blocks, coarsen, deviation
from trainables.data.series import UNLABELLED, LabelledSeries, Quality

MOST_ROWS = 20_000
"""Rows that statistics over pairs of columns look at, evenly spaced over the table."""

SHUFFLED_FAULTS, SHUFFLED = 20, 0.7
"""With so many faults, labels that change so often, as a share of what chance gives, belong to rows in random order."""

LEAST_SEGMENTS, PURE = 4, 0.9
"""Segments that it takes, and the share of them that must have one class, to speak of whole recordings."""


@dataclass(frozen=True, eq=False)
class View:
    """A series and what follows from it; `simulated` and label quality are taken as given."""

    series: LabelledSeries

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the sample [S], evenly spaced."""
        count = min(len(self.series), MOST_ROWS)
        return np.asarray(np.floor(np.arange(count) * (len(self.series) / count)), dtype=np.int64)

    @cached_property
    def sample(self) -> NDArray[np.float64]:
        """Values of the sample [S, C]."""
        return self.series.values[self.rows].astype(np.float64)

    @cached_property
    def low(self) -> NDArray[np.float32]:
        """Smallest value of each column [C]; no column is empty."""
        return np.asarray(np.fmin.reduce(self.series.values, axis=0))

    @cached_property
    def high(self) -> NDArray[np.float32]:
        """Largest value of each column [C]."""
        return np.asarray(np.fmax.reduce(self.series.values, axis=0))

    @cached_property
    def varying(self) -> NDArray[np.bool_]:
        """Columns that take more than one value [C]."""
        return np.asarray(self.low < self.high)

    @cached_property
    def missing_share(self) -> NDArray[np.float64]:
        """Share of missing values of each column [C]."""
        return np.asarray([np.isnan(column).mean() for column in self.series.values.T])

    @cached_property
    def event_rows(self) -> int:
        """Median length of a fault in rows; 0 without faults."""
        lengths = [event.stop - event.start for event in self.series.events]
        return int(np.median(lengths)) if lengths else 0

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First row of each segment, and the number of rows [segments + 1]."""
        return np.searchsorted(self.series.segment, np.arange(len(self.series.segments) + 1))

    @cached_property
    def clean(self) -> NDArray[np.bool_]:
        """Rows labelled normal, or not labelled, that nothing speaks against [T]."""
        return np.asarray((self.series.labels != 1) & (self.series.quality <= Quality.ASSUMED_NORMAL))

    @property
    def labelled(self) -> bool:
        """Whether there is any label."""
        return bool((self.series.labels != UNLABELLED).any())

    @cached_property
    def shuffled(self) -> tuple[float, float] | None:
        """Share of steps at which the label changes, and by chance alone; None unless they are about the same."""
        series = self.series
        used = series.labels != UNLABELLED
        pairs = used[1:] & used[:-1] & (series.segment[1:] == series.segment[:-1])
        if len(series.events) < SHUFFLED_FAULTS or not pairs.any():
            return None
        prevalence = float((series.labels[used] == 1).mean())
        changes = float((series.labels[1:] != series.labels[:-1])[pairs].mean())
        expected = 2 * prevalence * (1 - prevalence)
        return (changes, expected) if changes >= SHUFFLED * expected else None

    @cached_property
    def whole_segments(self) -> NDArray[np.bool_] | None:
        """Which segments are faulty [segments], where nearly all are faulty or normal throughout; else None."""
        series = self.series
        if len(series.segments) < LEAST_SEGMENTS or not series.events:
            return None
        share = np.bincount(series.segment, weights=series.labels == 1) / np.bincount(series.segment)
        whole = share == 1
        pure = float((whole | (share == 0)).mean())
        return whole if pure >= PURE and whole.any() and whole.sum() >= PURE * (share > 0).sum() else None

    @cached_property
    def blocks(self) -> Blocks:
        """Averages over a few rows each."""
        return coarsen(self.series, self.clean, self.event_rows, whole=self.whole_segments is not None)

    @cached_property
    def score(self) -> NDArray[np.float64]:
        """How far each block lies from the usual [B]; see `deviation`."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # medians of columns missing throughout a stretch
            return deviation(self.blocks)

    @cached_property
    def peaks(self) -> NDArray[np.float64]:
        """Largest score within each fault [events]."""
        peaks = np.zeros(len(self.series.events))
        for number, event in enumerate(self.series.events):
            first = np.searchsorted(self.blocks.start, event.start, side="right") - 1
            last = np.searchsorted(self.blocks.start, event.stop)
            peaks[number] = self.score[first:last].max()
        return peaks
