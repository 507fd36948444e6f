"""Columns and days that give the label away by themselves."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainables.data.inspection.finding import Finding, drop_line, listed, number_of
from trainables.data.inspection.ranking import chance_above
from trainables.data.inspection.view import View

ALONE = 0.99
"""Area under the ROC curve from which on one column separates the classes by itself."""
LEAST_FAULTS = 3
"""With fewer faults a column separates them by chance."""
MOST_ROWS = 10_000
"""Rows of each class that are looked at."""
WHOLE_DAY = 0.9
"""Share of faulty rows that makes a day a faulty one, and share of the faulty rows that must lie on such days."""
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
    names = tuple(series.columns[column] for column in alone[np.argsort(-area[alone], kind="stable")])
    enough = len(series.events) >= LEAST_FAULTS
    yield Finding(
        "severe" if enough else "warning",
        "separates the classes alone",
        f"{number_of(len(names), 'column')} separate faulty from normal rows alone (area under the ROC curve "
        f"{ALONE:g} or more): {listed(names)}."
        + ("" if enough else f" With {number_of(len(series.events), 'fault')} this may be chance."),
        "Find out how it is made: a label in disguise, an alert, or something measured after the fact must go. If it "
        "is an honest metric, an alert on it will do and no model is needed.",
        names,
        yaml=drop_line(names),
    )


def day_tells_label(view: View) -> Iterator[Finding]:
    """Faulty and normal rows recorded on different days."""
    series = view.series
    used = series.usable
    days, code = np.unique(series.timestamps[used].astype("datetime64[D]"), return_inverse=True)
    label = series.labels[used] == 1
    if len(days) < 2 or not label.any() or series.timestamps.min() < BEGINNING:
        return
    share = np.bincount(code, weights=label) / np.bincount(code)
    told = float((share[code[label]] >= WHOLE_DAY).mean())
    if told < WHOLE_DAY or share.min() > 1 - WHOLE_DAY:
        return
    faulty = [str(day) for day in days[share >= WHOLE_DAY]]
    yield Finding(
        "severe",
        "the day tells the label",
        f"{told:.0%} of the faulty rows lie on days that are faulty throughout ({listed(faulty)}), normal rows mostly "
        "on others: whatever changes from day to day will pass for the fault.",
        "Split by whole recordings, trust only differences between detectors, and try to compare within a day.",
        yaml="split: {by: run}",
    )


def _separation(values: NDArray[np.float32], faulty: int) -> NDArray[np.float64]:
    """Return the area under the ROC curve of each column, at least 0.5; missing counts as a value below all [C]."""
    low = np.fmin.reduce(values, axis=0)
    filled = np.where(np.isnan(values), np.nan_to_num(low) - 1, values)
    area = chance_above(filled[:faulty], filled[faulty:])
    return np.asarray(np.maximum(area, 1 - area))


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[:: max(1, -(-len(rows) // MOST_ROWS))]
