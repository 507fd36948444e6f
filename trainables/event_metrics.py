"""Metrics that count faults and alarms instead of windows: caught, false alarms a day, delay."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.trial import WindowScores

STRETCH_GAP = 3.0
"""A stretch of scored windows ends where the next one is further away than this many typical spacings."""

MERGE_WINDOWS = 1
"""Alarms with at most this many silent windows between them are one alarm."""

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """Scored windows [N] in order of time within each segment.

    Attributes
    ----------
    y : int8 [N]
        1 fault, 0 normal.
    event : int32 [N]
        Number of the fault event, -1 where y is 0.
    score : float64 [N]
        Higher = more anomalous.
    end_s : float64 [N]
        Seconds at which a window ends, from the first window of all.
    stretch : int64 [N]
        Number of the uninterrupted stretch: a new segment, or a gap (guard rows, a purged border), starts another.
    covers_s : float64 [N]
        Seconds that a window stands for: since the window before it in its stretch, else the typical spacing.
    """

    y: NDArray[np.int8]
    event: NDArray[np.int32]
    score: NDArray[np.float64]
    end_s: NDArray[np.float64]
    stretch: NDArray[np.int64]
    covers_s: NDArray[np.float64]


def timeline(scores: WindowScores, step_s: float) -> Timeline:
    """Return scored windows in order, divided into stretches.

    Windows are thinned, so their typical spacing is the median distance within segments (`step_s`, the distance
    between rows in seconds, where there is no such distance).
    """
    _, segment = np.unique(scores.segment, return_inverse=True)
    nanoseconds = scores.window_end.astype("datetime64[ns]").astype(np.int64)
    order = np.lexsort((nanoseconds, segment))
    end_s = (nanoseconds[order] - nanoseconds.min()) / 1e9
    same_segment = np.diff(segment[order]) == 0
    gaps = np.diff(end_s)
    typical = float(np.median(gaps[same_segment])) if same_segment.any() else step_s
    joined = np.concatenate([[False], same_segment & (gaps <= STRETCH_GAP * typical)])
    covers_s = np.where(joined, np.diff(end_s, prepend=0.0), typical)
    return Timeline(
        y=scores.label[order],
        event=scores.event[order],
        score=scores.score[order].astype(np.float64),
        end_s=end_s,
        stretch=np.cumsum(~joined) - 1,
        covers_s=covers_s,
    )


def alarm_runs(alarm: NDArray[np.bool_], stretch: NDArray[np.integer] | None = None) -> int:
    """Count alarms: runs of alarming windows, those at most `MERGE_WINDOWS` silent windows apart being one.

    Parameters
    ----------
    alarm : bool [N]
        In order of time.
    stretch : int [N], optional
        Alarms in two stretches are never one; default: one stretch.
    """
    at = np.flatnonzero(alarm)
    if not len(at):
        return 0
    separate = np.diff(at) > MERGE_WINDOWS + 1
    if stretch is not None:
        separate |= np.diff(stretch[at]) != 0
    return 1 + int(separate.sum())


def event_recall(line: Timeline, alarm: NDArray[np.bool_]) -> float | None:
    """Return the share of fault events with an alarm in any window; None without events."""
    events = np.unique(line.event[line.y == 1])
    caught = np.unique(line.event[(line.y == 1) & alarm])
    return len(caught) / len(events) if len(events) else None


def false_alarms_per_day(line: Timeline, alarm: NDArray[np.bool_]) -> float | None:
    """Return alarms outside faults per day of fault-free time; None if all of the time is faulty.

    Windows inside faults are left out first, so an alarm that goes on after its fault counts as one more.
    An alarm that never ends is *one*: read this beside precision.
    """
    normal = line.y == 0
    days = line.covers_s[normal].sum() / DAY_S
    if days == 0:
        return None
    # a fault separates the alarms on its two sides, however few windows it has
    passed_faults = np.cumsum(np.diff(line.y, prepend=line.y[:1]) == 1)
    return alarm_runs(alarm[normal], (line.stretch + passed_faults)[normal]) / float(days)


def delay_s(line: Timeline, alarm: NDArray[np.bool_]) -> float | None:
    """Return the median seconds from a fault's first scored window to its first alarm.

    A fault without an alarm is censored at its end: its delay is longer than any that was seen. The median is the
    lower one of two middle values. None if more than half of the events are censored, or without events.
    The resolution is the spacing of scored windows.
    """
    delays = []
    for event in np.unique(line.event[line.y == 1]):
        inside = (line.event == event) & (line.y == 1)
        hits = line.end_s[inside & alarm]
        delays.append(hits.min() - line.end_s[inside].min() if len(hits) else np.inf)
    if not delays:
        return None
    median = float(np.sort(delays)[(len(delays) - 1) // 2])
    return median if np.isfinite(median) else None
