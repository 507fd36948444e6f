"""How soon faults are noticed: time from a fault's first scored window to its first alarm, from the score files."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.by_fault import DrawScores
from analysis.words import seconds as in_words
from trainables.trial import WindowScores

KEY = ["source", "detector", "shots"]
TABLE = [*KEY, "faults", "draws", "caught", "median_s", "median_steps", "longest_fault_s", "answer"]
CURVE = [*KEY, "seconds", "caught", "lasting", "faults", "draws"]
NOT_HALF = "fewer than half are caught"


def fault_delays(scores: WindowScores, threshold: float) -> NDArray[np.float64]:
    """Return for each fault E of one draw: seconds and steps to its first alarm, and how long it lasts.

    Returns
    -------
    float64 [3, E]
        Seconds from the end of its first to the end of its first alarming window, inf without an alarm; scored
        windows between the two (0: the first one alarms), inf without; seconds from its first to its last window,
        where a fault without an alarm is censored. The resolution is the spacing of scored windows.
    """
    faulty = scores.label == 1
    _, fault = np.unique(scores.event[faulty], return_inverse=True)
    nanoseconds = scores.window_end[faulty].astype("datetime64[ns]").astype(np.int64)
    end = (nanoseconds - (nanoseconds.min() if len(nanoseconds) else 0)) / 1e9
    alarm = scores.score[faulty].astype(np.float64) >= threshold
    count = int(fault.max()) + 1 if len(fault) else 0
    start, first, last = np.full(count, np.inf), np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(start, fault, end)
    np.maximum.at(last, fault, end)
    np.minimum.at(first, fault[alarm], end[alarm])
    before = np.bincount(fault[end < first[fault]], minlength=count).astype(np.float64)
    return np.stack([first - start, np.where(np.isfinite(first), before, np.inf), last - start])  # [3, E]


def delays(draws: Iterable[DrawScores]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the delays of one cell (detector, source, shots), all draws and faults together.

    A fault without an alarm is censored at its end: it is never noticed afterwards, so it stays in the denominator
    for good. (An estimate that drops it there, such as Kaplan and Meier's, would answer how soon faults would be
    noticed if they went on for ever.) Hence the median is the time within which half of all faults are caught.

    Parameters
    ----------
    draws
        Draws of one cell that have every fold.

    Returns
    -------
    table : pandas.DataFrame
        One row, or none: `TABLE`. `faults` in the test part (all folds), `caught` share ever caught, `median_s` and
        `median_steps` (scored windows; the lower of two middle values; NaN where fewer than half are caught),
        `longest_fault_s`, and the median in words.
    curve : pandas.DataFrame
        A row for each time at which a fault is caught or ends: `CURVE`. `caught` share of faults caught until then,
        `lasting` share of faults that last at least as long.
    """
    held = list(draws)
    found = [fault_delays(d.scores, d.threshold) for d in held]
    seconds, steps, lengths = np.hstack([*found, np.empty((3, 0))])
    if not len(seconds):
        return pd.DataFrame(columns=TABLE), pd.DataFrame(columns=CURVE)
    source, detector, shots = held[0].source, held[0].detector, held[0].shots
    numbers = len({d.draw for d in held})
    faults = round(len(seconds) / numbers)
    middle, middle_steps = _middle(seconds), _middle(steps)
    answer = (
        f"{in_words(middle)} ({middle_steps:.0f} step{'' if middle_steps == 1 else 's'})"
        if np.isfinite(middle)
        else NOT_HALF
    )
    caught = float(np.isfinite(seconds).mean())
    row = (source, detector, shots, faults, numbers, caught, middle, middle_steps, float(lengths.max()), answer)
    times = np.unique(np.concatenate([[0.0], seconds[np.isfinite(seconds)], lengths]))
    curve = pd.DataFrame(
        {"source": source, "detector": detector, "shots": shots, "seconds": times,
         "caught": np.searchsorted(np.sort(seconds), times, side="right") / len(seconds),
         "lasting": 1 - np.searchsorted(np.sort(lengths), times, side="left") / len(lengths),
         "faults": faults, "draws": numbers}
    )  # fmt: skip
    return pd.DataFrame.from_records([row], columns=TABLE), curve


def _middle(values: NDArray[np.float64]) -> float:
    """Return the lower of two middle values; NaN where it is censored."""
    middle = float(np.sort(values)[(len(values) - 1) // 2])
    return middle if np.isfinite(middle) else float("nan")
