"""LabelledSeries: one source of telemetry, with labels, events, segments and label quality."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

UNLABELLED = -1
NORMAL = "normal"
"""Name of the class without a fault wherever fault types are named."""


class Quality(IntEnum):
    """How far a row's label can be trusted; GUARD and SUSPECT rows are neither scored nor trained on."""

    OK = 0
    ASSUMED_NORMAL = 1
    GUARD = 2
    SUSPECT = 3


@dataclass(frozen=True, slots=True)
class Event:
    """One contiguous fault injection or incident: rows start..stop - 1 of one segment."""

    start: int
    stop: int
    fault_type: str
    service: str


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LabelledSeries:
    """Telemetry of one source, ordered by time within each segment; all segments in one table.

    Attributes
    ----------
    name
        Source name, as rows carry it.
    timestamps : datetime64[ns] [T]
        UTC; strictly increasing within a segment.
    values : float32 [T, C]
        Raw features; NaN is missing, infinities do not occur.
    columns
        C feature names, unique.
    labels : int8 [T]
        1 fault, 0 normal, -1 unlabelled.
    event : int32 [T]
        Index into `events`, -1 outside events. Each event's rows are contiguous.
    events
        In order of time; each lies in one segment.
    segment : int32 [T]
        Index into `segments`; non-decreasing. Windows never cross a change of it.
    segments
        Names; a gap in time starts a new one (`name#2`).
    quality : int8 [T]
        Values of `Quality`.
    step_s
        Median seconds between rows.
    simulated
        True for generated telemetry; shown wherever results are shown.
    notes
        What reading changed or noticed (rows dropped, values filled), one sentence each.
    dropped
        Columns of the file that reading left out, because they hold no value.
    """

    name: str
    timestamps: NDArray[np.datetime64]
    values: NDArray[np.float32]
    columns: tuple[str, ...]
    labels: NDArray[np.int8]
    event: NDArray[np.int32]
    events: tuple[Event, ...]
    segment: NDArray[np.int32]
    segments: tuple[str, ...]
    quality: NDArray[np.int8]
    step_s: float
    simulated: bool = False
    notes: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.timestamps)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """Rows [T] whose label exists and can be trusted: these are trained and scored on."""
        return np.asarray((self.labels != UNLABELLED) & (self.quality <= Quality.ASSUMED_NORMAL))

    @property
    def fault_types(self) -> tuple[str, ...]:
        """Distinct fault types, sorted."""
        return tuple(sorted({event.fault_type for event in self.events}))
