"""Missing values: how many, and whether their absence means something."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from trainables.data.inspection.finding import Finding, drop_line, listed
from trainables.data.inspection.ranking import above_by_rank
from trainables.data.inspection.view import View
from trainables.data.wording import number_of

MEANT = 0.95
"""Area under the ROC curve with which another column's low values must foretell a missing value."""
RARELY, MOSTLY = 0.005, 0.995
"""Shares of missing values between which a column is looked at."""
HARDLY_ANY = 0.01
"""Share of all cells below which missing values are no more than a note."""
OFTEN_GONE = 0.1
"""Share of columns from which on it is worth a warning that whole segments lack some."""


def gone_in_segments(view: View) -> Iterator[Finding]:
    """Columns that have values in one segment and none in another: other systems, other versions."""
    series = view.series
    some = np.flatnonzero((view.missing_share > 0) & (view.missing_share < 1))
    if len(series.segments) < 2 or not len(some):
        return
    gone = np.stack(
        [np.logical_and.reduceat(np.isnan(series.values[:, column]), view.starts[:-1]) for column in some]
    )  # [some, segments]
    names = tuple(series.columns[column] for column in some[gone.any(axis=1)])
    if not names:
        return
    lacking = int(gone.any(axis=0).sum())
    worst = int(gone.sum(axis=0).argmax())
    yield Finding(
        "warning" if len(names) >= OFTEN_GONE * len(series.columns) else "note",
        "columns gone in segments",
        f"Without any value in whole segments, though not in all: {number_of(len(names), 'column')} of "
        f"{len(series.columns)} ({listed(names)}); {lacking} of {len(series.segments)} segments lack some, most of all "
        f"{series.segments[worst]} ({int(gone[:, worst].sum())}).",
        "Nothing can be held there: the median of the reference stands in. Make one source of each system or version, "
        "or leave these columns out.",
        names,
        yaml=drop_line(names) if len(names) < len(series.columns) / 2 else "",
    )


def missing_values(view: View) -> Iterator[Finding]:
    """Count missing values, and name columns that are missing when another is low."""
    share, columns = view.missing_share, view.series.columns
    sometimes = np.flatnonzero((share > RARELY) & (share < MOSTLY))
    if not len(sometimes):
        return
    worst = sometimes[np.argsort(-share[sometimes], kind="stable")]
    cells = float(np.isnan(view.sample).mean())
    most = ", ".join(f"{columns[column]} {share[column]:.0%}" for column in worst[:3])
    overall = f"{number_of(len(worst), 'column')} with missing values ({cells:.1%} of all cells; most: {most})."
    told = _told(view, sometimes)
    if not told:
        yield Finding(
            "note",
            "missing values",
            overall,
            "hold repeats the last value and suits gauges; choose a rule per column where another is right.",
            tuple(columns[column] for column in worst),
            yaml="data: {missing: hold}",
        )
        return
    examples = "; ".join(f"{columns[column]} when {columns[by]} is low" for column, by in told[:3])
    yield Finding(
        "warning" if cells >= HARDLY_ANY else "note",
        "missing means something",
        f"{overall} {len(told)} of them are missing, as a rule, when another column is low: {examples}.",
        "Missing then means that nothing happened (no calls), not that a value was lost. Zero would look like the best "
        "latency there is: hold the last value, and keep the column that tells the activity.",
        tuple(columns[column] for column, _ in told),
        yaml="data: {missing: hold}",
    )


def _told(view: View, sometimes: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (column, the column whose low values foretell that it is missing)."""
    full = np.flatnonzero((view.missing_share <= RARELY) & view.varying)
    if not len(full):
        return []
    told = []
    ranks = rankdata(np.nan_to_num(view.sample[:, full]), axis=0)
    for column in sometimes.tolist():
        present = ~np.isnan(view.sample[:, column])
        if present.any() and not present.all():
            partner = _partner(above_by_rank(ranks, present), full, view.series.columns, column)
            if partner is not None:
                told.append((column, partner))
    return told


def _partner(area: NDArray[np.float64], full: NDArray[np.int64], columns: tuple[str, ...], column: int) -> int | None:
    """Return the column that foretells absence best, of the same service if one does."""
    good = full[area >= MEANT]
    if not len(good):
        return None
    service = columns[column].split("_")[0]
    own = [other for other in good if columns[other].startswith(f"{service}_")]
    return int(own[0]) if own else int(full[area.argmax()])
