"""Level, spread and trend of every channel: what the detectors that are not neural networks look at.

Scaled telemetry has heavy tails (a stalled service is a thousand spreads away), so every value is squashed
by arcsinh first: near zero that changes nothing, and far out a tenfold value counts a constant more.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainables.data.big_tables import released
from trainables.data.windows import Windows

RECENT = 8
"""Last steps whose level counts as the present: a fault that has just begun must show at once."""

NAMES = ("recent_level", "level", "spread", "trend")
"""Features of one channel, in the order of the feature matrix."""

_CHUNK, _VALUES = 256, 2**21
"""Windows and values (16 MB of float64) at a time: bounds memory, of wide and of long windows as well."""

_GROUP = 32
"""Columns of a group, at least."""

_IQR_OF_NORMAL = 1.3489795003921634
"""Interquartile range of a standard normal distribution: twice its 75 % quantile."""


def squashed(windows: Windows, channels: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.float64]]:
    """Yield arcsinh of windows, time before channels: [<= chunk, L, C'] in order; of all channels or of some."""
    steps = np.arange(1 - windows.length, 1)
    chunk = max(1, min(_CHUNK, _VALUES // (windows.length * windows.channels)))
    for start in range(0, len(windows), chunk):
        rows = windows.ends[start : start + chunk, None] + steps  # [n, L]
        values = windows.table[rows] if channels is None else windows.table[rows[:, :, None], channels]
        yield np.arcsinh(np.asarray(values)).astype(np.float64)  # [n, L, C']
        released(windows.table)


def squashed_rows(windows: Windows) -> NDArray[np.float64]:
    """Return the squashed rows of all windows [N L, C]; overlapping windows repeat rows."""
    rows = np.empty((len(windows), windows.length, windows.channels))
    filled = 0
    for x in squashed(windows):
        rows[filled : filled + len(x)] = x
        filled += len(x)
    return rows.reshape(-1, windows.channels)


def level_and_spread(x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return recent level, level and spread [n, C] each, of squashed values [n, L, C]."""
    return [x[:, -RECENT:].mean(axis=1), x.mean(axis=1), x.std(axis=1)]


def window_features(windows: Windows) -> NDArray[np.float64]:
    """Return features [N, 4 C]: recent level, level, spread and trend of each channel, blocks in that order.

    All are of arcsinh-squashed values, in spreads of the reference.

    - recent level: mean of the last 8 steps (of all, where the window is shorter)
    - level: mean of the window
    - spread: standard deviation within the window
    - trend: mean of the second half minus mean of the first

    A window's features depend on its own values alone.
    """
    if not len(windows):
        return np.empty((0, len(NAMES) * windows.channels))
    half = windows.length // 2
    rows = []
    for x in squashed(windows):
        trend = x[:, -half:].mean(axis=1) - x[:, :half].mean(axis=1)
        rows.append(np.concatenate([*level_and_spread(x), trend], axis=1))  # [n, 4 C]
    return np.concatenate(rows)  # [N, 4 C]


def column_groups(values: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return [R, F] in views of some columns each: numpy copies what it takes quantiles and deviations of.

    No group of several has a single column, which numpy would sum up in another order.
    """
    return np.array_split(values, max(1, values.shape[1] // _GROUP), axis=1)


def robust_centre_spread(values: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return median and robust spread of every column of [R, F]; a column without spread gets 1.

    The spread is IQR / 1.349 (the standard deviation, if values are normal), so that faults inside the
    unlabelled reference hardly move it. Where more than half of a column is one value, its IQR is zero and
    the standard deviation stands in.
    """
    groups = column_groups(np.asarray(values, dtype=np.float64))
    low, centre, high = np.concatenate([np.percentile(group, [25, 50, 75], axis=0) for group in groups], axis=1)
    spread = (high - low) / _IQR_OF_NORMAL
    deviation = np.concatenate([group.std(axis=0) for group in groups])
    spread = np.where(spread > 1e-3 * deviation, spread, deviation)
    return centre, np.where(spread > 1e-9, spread, 1.0)
