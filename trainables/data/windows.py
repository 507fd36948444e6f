"""Windows over one scaled table: what detectors see, without and with labels."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from trainables.data.big_tables import released


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """N windows of L steps over C channels, kept as row numbers into one shared table.

    A window that ends at row t covers rows t - L + 1 .. t: detection is causal.

    Attributes
    ----------
    table : float32 [T, C]
        Scaled, filled telemetry (finite); shared, never copied or written.
    ends : int64 [N]
        Last row of each window.
    length
        L, time steps.
    columns
        C channel names.
    step_s
        Seconds between rows.
    times : datetime64 [T], optional
        UTC of each row of the table.
    """

    per_window: ClassVar[tuple[str, ...]] = ("ends",)

    table: NDArray[np.float32]
    ends: NDArray[np.int64]
    length: int
    columns: tuple[str, ...]
    step_s: float
    times: NDArray[np.datetime64] | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def channels(self) -> int:
        """C."""
        return int(self.table.shape[1])

    @property
    def x(self) -> NDArray[np.float32]:
        """All windows as a fresh array [N, C, L]; for many windows prefer `batches`."""
        if not len(self):
            return np.empty((0, self.channels, self.length), dtype=np.float32)
        view = sliding_window_view(self.table, self.length, axis=0)  # [T - L + 1, C, L]
        windows = np.asarray(view[self.ends - self.length + 1])  # [N, C, L]
        released(self.table)
        return windows

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Self:
        """Return the windows at positions (or under a mask) [N], in that order."""
        per_window = {name: getattr(self, name)[index] for name in self.per_window}
        return replace(self, **per_window)

    def batches(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield arrays [<= size, C, L] in order."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self)))).x


@dataclass(frozen=True, slots=True, eq=False)
class LabelledWindows(Windows):
    """Windows with the label of their last row.

    Attributes
    ----------
    y : int8 [N]
        1 fault, 0 normal.
    fault_type : str [N]
        `series.NORMAL` where y is 0.
    event : int32 [N]
        Number of the fault event, -1 where y is 0.
    """

    per_window: ClassVar[tuple[str, ...]] = ("ends", "y", "fault_type", "event")

    y: NDArray[np.int8]
    fault_type: NDArray[np.str_]
    event: NDArray[np.int32]

    def unlabelled(self) -> Windows:
        """Return the same windows without anything that tells a fault: the only form `score` accepts."""
        return Windows(self.table, self.ends, self.length, self.columns, self.step_s, times=self.times)
