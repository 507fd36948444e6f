"""Small windows for detectors: waves and noise, a quarter of them inside faults of two types."""

import numpy as np
from numpy.typing import NDArray

from trainables.data.series import NORMAL
from trainables.data.windows import LabelledWindows, Windows

ROWS = 640
"""Rows of the table."""


def table(channels: int, seed: int = 0) -> NDArray[np.float32]:
    """Telemetry [ROWS, channels] of mean 0 and spread about 1."""
    rng = np.random.default_rng(seed)
    waves = np.sin(np.arange(ROWS)[:, None] / rng.uniform(4, 20, channels) + rng.uniform(0, 6, channels))
    return np.asarray(waves + 0.3 * rng.standard_normal((ROWS, channels)), dtype=np.float32)


def reference(count: int = 12, *, channels: int = 3, length: int = 32, seed: int = 0) -> Windows:
    """Unlabelled windows over the first half of a table without faults."""
    ends = np.linspace(length - 1, ROWS // 2 - 1, count).astype(np.int64)
    return Windows(table(channels, seed), ends, length, names(channels), 5.0)


def support(
    shots: int = 3, *, types: tuple[str, ...] = ("cpu", "delay"), channels: int = 3, length: int = 32
) -> LabelledWindows:
    """`shots` normal windows and `shots` of each fault type, whose last 8 steps are raised in one channel."""
    rows = table(channels, seed=1)
    kinds = np.repeat([NORMAL, *types], shots)
    ends = np.linspace(length - 1, ROWS - 1, len(kinds)).astype(np.int64)
    for end, kind in zip(ends, kinds, strict=True):
        if kind != NORMAL:
            rows[end - 7 : end + 1, types.index(str(kind)) % channels] += 4
    y = (kinds != NORMAL).astype(np.int8)
    event = np.where(y == 1, np.arange(len(y)), -1).astype(np.int32)
    return LabelledWindows(rows, ends, length, names(channels), 5.0, y, kinds, event)


def names(channels: int) -> tuple[str, ...]:
    """Column names."""
    return tuple(f"service-{number} load" for number in range(channels))
