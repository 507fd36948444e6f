"""Columns and days that give the label away by themselves."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainables.data.inspection.finding import Finding, drop_line, listed
from trainables.data.inspection.ranking import chance_above
from trainables.data.inspection.view import View
from trainables.data.wording import number_of

ALONE = 0.99
"""Area under the ROC curve from which on one column separates the classes by itself."""
NEARLY = 0.95
"""The same against the normal rows around the faults only."""
NEAR, LEAST_NEAR = 10, 20
"""Durations of a fault that are around it, and normal rows there that it takes."""
LEAST_FAULTS = 3
"""With fewer faults a column separates them by chance."""
MOST_ROWS = 10_000
"""Rows of each class that are looked at."""
WHOLE_DAY = 0.9
"""Share of faulty rows that makes a day a faulty one, and share of the faulty rows that must lie on such days."""
LEAST_RECORDINGS, FEWER = 8, 4.0
"""Recordings that it takes, and standard deviations below the expected number of runs."""
BEGINNING = np.datetime64("1971-01-01", "ns")
"""Days before are made up from counters."""


def separating_columns(view: View) -> Iterator[Finding]:
    """Columns whose value, or whose absence, separates faulty from normal rows by itself."""
    series = view.series
    faulty = _some(np.flatnonzero(series.usable & (series.labels == 1)))
    normal = _some(np.flatnonzero(series.usable & (series.labels == 0)))
    if min(len(faulty), len(normal)) < 3:
        return
    values = series.values[np.concatenate([faulty, normal])]
    area = _separation(values, len(faulty))
    alone = np.flatnonzero((area >= ALONE) & view.varying)
    if not len(alone):
        return
    near = _some(np.flatnonzero(series.usable & (series.labels == 0) & _near_faults(view)))
    honest = np.ones(len(alone), dtype=bool)
    if len(near) >= LEAST_NEAR and len(near) < len(normal):
        beside = np.concatenate([series.values[faulty][:, alone], series.values[near][:, alone]])
        honest = _separation(beside, len(faulty)) >= NEARLY
    if honest.any():
        yield _alone(tuple(series.columns[column] for column in alone[honest]), len(series.events))
    if not honest.all():
        names = tuple(series.columns[column] for column in alone[~honest])
        yield Finding(
            "warning",
            "drift tells the faults",
            "Enough to tell faulty rows from all normal ones, but not from those around the faults: "
            f"{number_of(len(names), 'column')} ({listed(names)}). Such a column tells when the faults were, not what "
            "they are.",
            "Leave it out, or compare within the time of the faults only.",
            names,
            yaml=drop_line(names),
        )


def _alone(names: tuple[str, ...], faults: int) -> Finding:
    few = "" if faults >= LEAST_FAULTS else f" With {number_of(faults, 'fault')} this may be chance."
    return Finding(
        "warning" if few else "severe",
        "separates the classes alone",
        "Alone enough to tell faulty from normal rows (area under the ROC curve "
        f"{ALONE:g} or more): {number_of(len(names), 'column')} ({listed(names)}).{few}",
        "Find out how it is made: a label in disguise, an alert, or something measured after the fact must go. If it "
        "is "
        "an honest metric, an alert on it will do and no model is needed.",
        names,
        yaml=drop_line(names),
    )


def _near_faults(view: View) -> NDArray[np.bool_]:
    """Return the rows within ten durations of a fault, in its segment [T]."""
    near = np.zeros(len(view.series), dtype=bool)
    for event in view.series.events:
        segment = view.series.segment[event.start]
        first, stop = int(view.starts[segment]), int(view.starts[segment + 1])
        near[max(first, event.start - NEAR * view.event_rows) : min(stop, event.stop + NEAR * view.event_rows)] = True
    return near


def time_tells_label(view: View) -> Iterator[Finding]:
    """Faulty and normal rows recorded at different times."""
    series = view.series
    if series.timestamps.min() < BEGINNING:
        return
    apart = _days_apart(view) or _one_after_the_other(view)
    if apart:
        yield Finding(
            "severe",
            "the time tells the label",
            f"Faulty and normal rows were recorded at different times: {apart}. Whatever changes with time will pass "
            "for "
            "the fault.",
            "Split by whole recordings, trust only differences between detectors, and try to compare within a day.",
            yaml="split: {by: run}",
        )


def _days_apart(view: View) -> str:
    used = view.series.usable
    label = view.series.labels[used] == 1
    days, code = np.unique(view.series.timestamps[used].astype("datetime64[D]"), return_inverse=True)
    if len(days) < 2 or not label.any():
        return ""
    share = np.bincount(code, weights=label) / np.bincount(code)
    told = float((share[code[label]] >= WHOLE_DAY).mean())
    if told < WHOLE_DAY or share.min() > 1 - WHOLE_DAY:
        return ""
    faulty = [str(day) for day in days[share >= WHOLE_DAY]]
    return f"{told:.0%} of the faulty rows lie on days that are faulty throughout ({listed(faulty)})"


def _one_after_the_other(view: View) -> str:
    """Say so if recordings of one class follow each other: far fewer runs of a class than in random order.

    References
    ----------
    Wald and Wolfowitz (1940), On a test whether two samples are from the same population.
    """
    whole = view.whole_segments
    if whole is None or len(whole) < LEAST_RECORDINGS:
        return ""
    faulty, normal = int(whole.sum()), int((~whole).sum())
    runs = 1 + int((whole[1:] != whole[:-1]).sum())
    expected = 1 + 2 * faulty * normal / (faulty + normal)
    deviation = np.sqrt((expected - 1) * (expected - 2) / (faulty + normal - 1))
    if runs > expected - FEWER * deviation:
        return ""
    return (
        f"{faulty} faulty and {normal} normal recordings follow each other in {runs} blocks of one class; in random "
        "order "
        f"there would be about {expected:.0f}"
    )


def _separation(values: NDArray[np.float32], faulty: int) -> NDArray[np.float64]:
    """Return the area under the ROC curve of each column, at least 0.5; missing counts as a value below all [C]."""
    low = np.fmin.reduce(values, axis=0)
    filled = np.where(np.isnan(values), np.nan_to_num(low) - 1, values)
    area = chance_above(filled[:faulty], filled[faulty:])
    return np.asarray(np.maximum(area, 1 - area))


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[:: max(1, -(-len(rows) // MOST_ROWS))]
