"""Samples of named series, as monitoring systems store them: gathered in any order, then made one wide table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from trainables.data.assemble import GAP_STEPS, RawColumns
from trainables.data.big_tables import blocks, empty
from trainables.data.readers.columns import MEANINGS
from trainables.data.readers.counters import is_counter_by_name, rate
from trainables.data.readers.reader import Say, recording
from trainables.data.readers.sample_store import SampleStore
from trainables.data.wording import number_of
from trainables.errors import DataError

Kind = Literal["counter", "gauge"]

LOOK_BACK: Final = 1.5
"""A row takes the latest sample of a series that is at most this many steps old (steps of the slower of the two)."""

MS: Final = 1_000_000
"""Nanoseconds; monitoring systems store times in milliseconds."""

_CHURN = 0.5
"""Series that exist in less than this share of the rows are reported: pods that come and go make columns."""


@dataclass(frozen=True, slots=True)
class _Series:
    name: str
    column: str
    times: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def step(self) -> float:
        """Median nanoseconds between samples (of two, the smaller); NaN for a single one."""
        if len(self.times) < 2:
            return float("nan")
        return float(np.percentile(np.diff(self.times), 50, method="lower"))


class Samples:
    """Collects samples by series.

    Parameters
    ----------
    where
        The path, with which error messages start.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._number: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._store = SampleStore()
        self._kinds: dict[str, Kind] = {}

    def add(self, name: str, labels: Mapping[str, str], times: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Take samples of one series; times in nanoseconds since 1970 (UTC), in any order."""
        present = tuple(sorted((key, value) for key, value in labels.items() if value))
        self._store.add(self._number.setdefault((name, present), len(self._number)), times, values)

    def declare(self, name: str, kind: Kind) -> None:
        """Say what a metric is; for metrics of which nothing is said, the name decides."""
        self._kinds[name] = kind

    def wide(self, say: Say) -> RawColumns:
        """Return one column a series and one row a step, counters as rates per second, without labels.

        The step is the median of the series' median steps. Samples that lie on one grid of that step stay as
        they are; others are resampled: each row takes the latest sample at most `LOOK_BACK` steps old, so that
        nothing is taken from the future. Stretches of `GAP_STEPS` and more steps without any sample have no rows.

        Raises
        ------
        DataError
            No samples, or no series with two.
        """
        rated = self._rates(self._in_order(say), say)
        if not rated:
            raise DataError(f"{self.where}: there are no samples; did the query name a series, and a time with data?")
        steps = np.asarray([one.step for one in rated])
        if np.isnan(steps).all():
            raise DataError(
                f"{self.where}: no series has two samples; a range of time is needed, not the values of one moment"
            )
        step = max(round(float(np.nanpercentile(steps, 50, method="lower")) / MS), 1) * MS
        grid = _grid(rated, step)
        exact = bool(np.nanmax(steps) <= step) and all(np.isin(one.times, grid).all() for one in rated)
        ages = np.zeros(len(rated)) if exact else LOOK_BACK * np.fmax(step, steps)
        values = empty(len(grid), len(rated))
        filled, lengths = np.zeros(len(grid), dtype=bool), np.zeros(len(rated), dtype=np.int64)
        for rows in blocks(values):
            there = _fill(values[rows], rated, grid[rows], ages)
            filled[rows] = there.any(axis=1)
            lengths += there.sum(axis=0)
        if not exact:
            say(
                f"Samples are not all on one grid: resampled to the median step, {step / 1e9:g} s; a row takes the "
                f"latest sample of each series that is at most {LOOK_BACK:g} steps old."
            )
        _say_churn(lengths / len(grid), say)
        kept = np.flatnonzero(filled)
        if not len(kept):
            raise DataError(f"{self.where}: no sample has a value")
        rows = slice(int(kept[0]), int(kept[-1]) + 1)  # counters have no rate at their first sample
        stamps = grid[rows].astype("datetime64[ns]")
        return recording(self.where, stamps, values[rows], [one.column for one in rated], segment="all")

    def _in_order(self, say: Say) -> list[_Series]:
        """Return the series sorted by time, one sample a time; of several, the one that was read last."""
        series, conflicts = [], 0
        for (name, labels), (times, values) in zip(self._number, self._store.by_series(), strict=True):
            count = len(times)
            if not (times[1:] > times[:-1]).all():
                order = np.argsort(times, kind="stable")
                ordered, theirs = times[order], values[order]
                again = ordered[1:] == ordered[:-1]
                conflicts += int((again & (theirs[1:] != theirs[:-1]) & ~np.isnan(theirs[1:] + theirs[:-1])).sum())
                last = np.flatnonzero(np.append(~again, True))
                count = len(last)
                times[:count], values[:count] = ordered[last], theirs[last]
            series.append(_Series(name, _column(name, labels), times[:count], values[:count]))
        if conflicts:
            say(
                f"{number_of(conflicts, 'sample')} with the series and time of another one, but not its value: "
                "the one read last counts."
            )
        return [one for one in series if len(one.times)]

    def _rates(self, series: list[_Series], say: Say) -> list[_Series]:
        """Return the series with counters as rates per second, written over their values."""
        names = {one.name for one in series}
        by_name: dict[str, list[NDArray[np.float64]]] = {}
        for one in series:
            by_name.setdefault(one.name, []).append(one.values)
        counters = {
            name
            for name in names
            if (
                self._kinds[name] == "counter"
                if name in self._kinds
                else is_counter_by_name(name, names, by_name[name])
            )
        }
        out, resets = [], 0
        for one in series:
            if one.name not in counters:
                out.append(one)
                continue
            rates, found = rate(one.times / 1e9, one.values, longest_s=GAP_STEPS * one.step / 1e9)
            resets += found
            one.values[:] = rates
            out.append(replace(one, column=f"rate({one.column})"))
        if counters:
            count = sum(one.name in counters for one in series)
            say(
                f"{number_of(count, 'counter')} of {len(series)} series turned into rates per second ("
                f"{number_of(resets, 'reset')})."
            )
        return out


def _column(name: str, labels: tuple[tuple[str, str], ...]) -> str:
    """Return the name of a series as Prometheus writes it."""
    if not labels:
        return name if name not in MEANINGS else f"{name}{{}}"
    quoted = ",".join(f"{key}={_quoted(value)}" for key, value in labels)
    return f"{name}{{{quoted}}}"


def _quoted(value: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", value).replace("\n", r"\n") + '"'


def _grid(series: list[_Series], step: int) -> NDArray[np.int64]:
    """Return the times of the rows: a grid from the first sample, without the pauses of over `GAP_STEPS` steps."""
    stretches = []
    for one in series:
        breaks = np.flatnonzero(np.diff(one.times) > GAP_STEPS * step)
        stretches.append(np.stack([one.times[np.append(0, breaks + 1)], one.times[np.append(breaks, -1)]]))
    starts, ends = np.concatenate(stretches, axis=1)
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    breaks = np.flatnonzero(starts[1:] - ends[:-1] > GAP_STEPS * step)
    firsts, lasts = starts[np.append(0, breaks + 1)], ends[np.append(breaks, -1)]
    rows = [
        np.arange(-((firsts[0] - first) // step), (last - firsts[0]) // step + 1)
        for first, last in zip(firsts, lasts, strict=True)
    ]
    return np.asarray(firsts[0] + np.concatenate(rows) * step, dtype=np.int64)


def _fill(
    values: NDArray[np.float32], series: list[_Series], grid: NDArray[np.int64], ages: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Write into each row the latest sample of each series that is at most so many nanoseconds old; return where."""
    values[:] = np.nan
    for number, one in enumerate(series):
        latest = np.searchsorted(one.times, grid, side="right") - 1
        known = latest >= 0
        known[known] = grid[known] - one.times[latest[known]] <= ages[number]
        with np.errstate(over="ignore"):
            values[known, number] = one.values[latest[known]]
    return ~np.isnan(values)


def _say_churn(share: NDArray[np.float64], say: Say) -> None:
    brief = int((share < _CHURN).sum())
    if brief:
        say(
            f"{brief} of {len(share)} series have values in less than half of the rows; if pods come and go, "
            "aggregate by service in the query (sum by (service) (...))."
        )
