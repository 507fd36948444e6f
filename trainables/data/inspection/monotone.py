"""Columns that only grow: counters, clocks and row numbers."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainables.data.inspection.finding import Finding, drop_line, listed
from trainables.data.inspection.view import View
from trainables.data.wording import number_of

LEAST_STEPS = 50
"""Steps of a segment from which on its columns are judged."""
GROWING = 0.2
"""Share of steps that a counter must rise in."""
RESETS = 0.01
"""Share of steps that may fall: restarts of the process that counts."""
RESET_TO = 0.5
"""A fall to less than this share of the value before is a reset."""
STRAIGHT = 0.99999
"""Correlation with the row number or with time from which on a column is a clock."""
EPOCHS = ((1e9, 2.2e9), (1e12, 2.2e12), (1e15, 2.2e15), (1e18, 2.2e18))
"""Seconds, milli-, micro- and nanoseconds of the years 2001 to 2039."""


def growing_columns(view: View) -> Iterator[Finding]:
    """Counters to be turned into rates; clocks and row numbers to be left out."""
    counters, clocks, resets = [], [], 0
    long = [slice(a, b) for a, b in zip(view.starts[:-1], view.starts[1:], strict=True) if b - a > LEAST_STEPS]
    for column in np.flatnonzero(view.varying):
        kinds = [_kind(view.series.values[rows, column], view.series.timestamps[rows]) for rows in long]
        if kinds and all(kind == "clock" for kind, _ in kinds):
            clocks.append(view.series.columns[column])
        elif (
            kinds
            and all(kind in ("clock", "counter", "still") for kind, _ in kinds)
            and any(k != "still" for k, _ in kinds)
        ):
            counters.append(view.series.columns[column])
            resets += sum(count for _, count in kinds)
    epochs = [
        name
        for name, low, high in zip(view.series.columns, view.low, view.high, strict=True)
        if any(a <= low and high <= b for a, b in EPOCHS)
    ]
    clocks += [name for name in epochs if name not in clocks]
    counters = [name for name in counters if name not in clocks]
    if clocks:
        yield Finding(
            "severe",
            "clock",
            f"In a straight line with time, or holding times: {number_of(len(clocks), 'column')} ({listed(clocks)}). A "
            "detector that sees a clock, a row number or a sequence number can learn when the faults were.",
            "Leave it out.",
            tuple(clocks),
            yaml=drop_line(clocks),
        )
    if counters:
        yield Finding(
            "warning",
            "counters",
            f"Only growing, with {number_of(resets, 'reset')}: {number_of(len(counters), 'column')} "
            f"({listed(counters)}). A counter's level says how long a process has run; what matters is its rate.",
            "Turn counters into rates before you use the table, or leave them out.",
            tuple(counters),
            yaml=drop_line(counters),
        )


def _kind(values: NDArray[np.float32], times: NDArray[np.datetime64]) -> tuple[str, int]:
    """Return clock, counter, still (constant) or other for one column of one segment, and its resets."""
    present = np.flatnonzero(~np.isnan(values))
    if len(present) <= LEAST_STEPS:
        return "other", 0
    value = values[present].astype(np.float64)
    step = np.diff(value)
    if not step.any():
        return "still", 0
    falls = np.flatnonzero(step < 0)
    if len(falls) > RESETS * len(step) or (step > 0).mean() < GROWING:
        return "other", 0
    if (value[falls + 1] > RESET_TO * value[falls]).any():
        return "other", 0
    if not len(falls) and (step > 0).mean() > 0.99:
        seconds = (times[present] - times[0]).astype(np.int64).astype(np.float64)
        if max(np.corrcoef(value, present)[0, 1], np.corrcoef(value, seconds)[0, 1]) > STRAIGHT:
            return "clock", 0
    return "counter", len(falls)
