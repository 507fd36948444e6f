"""Columns that say nothing, or say it twice, or were scaled before."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import rankdata

from trainables.data.inspection.finding import Finding, drop_line, listed
from trainables.data.inspection.view import View
from trainables.data.wording import number_of

SAME = 0.99995
"""Two columns that correlate above this are one column in two units, up to rounding."""
RANKED = 0.9
"""Rank correlation from which on two columns are compared row by row."""
IN_STEP, NEARLY_ALL = 1e-3, 0.98
"""Proportional: off by at most this share of a column's usual range, in this share of the rows. The rest are samples
that were taken at slightly different moments, which is enough to spoil a correlation."""
CORRELATION_ROWS = 4_000
WORTH_A_SEGMENT = 50
"""Rows that a segment needs for a word on its constant columns."""
MANY_DUPLICATES = 0.05
"""Share of repeated columns from which on they tilt averages over columns."""
EDGE = 1e-3
"""Distance from 0 or 1 that rounding explains."""
ALREADY_SCALED = 0.9
"""Share of varying columns that must lie within [0, 1], or have mean 0 and deviation 1."""


def without_information(view: View) -> Iterator[Finding]:
    """Columns without a value, with one value, or with one value within a segment."""
    series = view.series
    empty = series.dropped
    constant = [name for name, varies in zip(series.columns, view.varying, strict=True) if not varies]
    if empty or constant:
        total = len(series.columns) + len(empty)
        parts = [f"{len(empty)} without any value ({listed(empty)})"] if empty else []
        parts += [f"{len(constant)} with one value only ({listed(constant)})"] if constant else []
        yield Finding(
            "note",
            "constant columns",
            f"{len(empty) + len(constant)} of {total} columns say nothing: {' and '.join(parts)}.",
            "Nothing: reading leaves empty columns out, and normalisation drops those constant on the reference. "
            "Leaving them out keeps plans and reports short.",
            (*empty, *constant),
            yaml=drop_line(constant) if constant else "",
        )
    pieces = np.split(series.values, view.starts[1:-1]) if len(series.segments) > 1 else []
    counts = [
        (int((np.fmin.reduce(piece, axis=0) >= np.fmax.reduce(piece, axis=0))[view.varying].sum()), number)
        for number, piece in enumerate(pieces)
        if len(piece) >= WORTH_A_SEGMENT
    ]
    worst, number = max(counts, default=(0, 0))
    if worst:
        yield Finding(
            "note",
            "columns constant in a segment",
            f"Constant within one segment, though not over the table: {number_of(worst, 'column')} "
            f"({series.segments[number]}); {sum(count > 0 for count, _ in counts)} of {len(counts)} segments have such "
            "columns.",
            "Nothing: what is constant on the reference is dropped for the whole fold.",
        )


def repeated(view: View) -> Iterator[Finding]:
    """Columns that are equal or proportional to others, in all rows or in nearly all."""
    names = np.asarray(view.series.columns, dtype=object)[view.varying]
    values = view.sample[:: max(1, len(view.sample) // CORRELATION_ROWS), view.varying]
    if values.shape[1] < 2 or len(values) < 3:
        return
    absent = np.isnan(values)
    usable = np.nanmax(np.where(absent, -np.inf, values), axis=0) > np.nanmin(np.where(absent, np.inf, values), axis=0)
    values, gaps = values[:, usable], absent[:, usable].astype(np.float32)
    together = (gaps.T @ (1 - gaps)) + ((1 - gaps).T @ gaps) == 0  # missing at the same rows
    alike = (together & (_correlation(values) > SAME)) | _proportional(values, together)
    count, group = connected_components(coo_array(np.triu(alike, 1)), directed=False)
    groups = [names[usable][group == number] for number in range(count)]
    groups = sorted((members for members in groups if len(members) > 1), key=len, reverse=True)
    spare = [str(name) for members in groups for name in members[1:]]
    if not spare:
        return
    share = len(spare) / len(names)
    examples = "; ".join(" = ".join(map(str, members[:3])) for members in groups[:3])
    yield Finding(
        "warning" if share >= MANY_DUPLICATES else "note",
        "repeated columns",
        f"Repeats of others up to scale and offset: {number_of(len(spare), 'column')} of {len(names)}, in "
        f"{number_of(len(groups), 'group')} (the largest of {len(groups[0])}): {examples}.",
        "Keep one of each: repeated columns count twice in every average over columns.",
        tuple(spare),
        yaml=drop_line(spare),
    )


def _correlation(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the absolute correlation of all pairs of columns [C, C]; missing values count as the mean."""
    centred = np.nan_to_num(values - np.nanmean(values, axis=0))
    centred /= np.linalg.norm(centred, axis=0)
    return np.asarray(np.abs(centred.T @ centred))


def _proportional(values: NDArray[np.float64], together: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which columns are a multiple of another in nearly all rows [C, C], upper triangle."""
    ranked = _correlation(np.asarray(rankdata(values, axis=0, nan_policy="omit")))
    low, high = np.nanquantile(values, [0.05, 0.95], axis=0)
    columns, most = np.asfortranarray(values), IN_STEP * (high - low)  # there may be very many pairs
    found = np.zeros_like(together)
    for one, other in np.argwhere(np.triu(together & (ranked > RANKED) & (most > 0), 1)):
        found[one, other] = _multiple(columns[:, one], columns[:, other], most[other])
    return found


def _multiple(one: NDArray[np.float64], other: NDArray[np.float64], most: float) -> bool:
    """Say whether a column is a multiple of another one in nearly all rows, off by so much at most."""
    known = np.isfinite(other)
    with_value = known & (one != 0)
    if not with_value.any():
        return False
    ratio = np.median(other[with_value] / one[with_value])
    return bool((np.abs(other - ratio * one)[known] <= most).mean() >= NEARLY_ALL)


def scaled_before(view: View) -> Iterator[Finding]:
    """Whether somebody has scaled the table, probably knowing its test part."""
    low, high = view.low[view.varying], view.high[view.varying]
    if len(low) < 5:
        return
    within = (low >= -EDGE) & (high <= 1 + EDGE)
    full = within & (high >= 1 - EDGE)
    values = view.sample[:, view.varying]
    standard = (np.abs(np.nanmean(values, axis=0)) < 0.02) & (np.abs(np.nanstd(values, axis=0) - 1) < 0.02)
    if within.mean() >= ALREADY_SCALED and full.mean() >= 0.5:
        how = f"{within.sum()} of {len(low)} columns lie within [0, 1], {full.sum()} of them reach 1 exactly"
    elif standard.mean() >= ALREADY_SCALED:
        how = f"{standard.sum()} of {len(low)} columns have mean 0 and standard deviation 1"
    else:
        return
    yield Finding(
        "warning",
        "scaled before",
        f"The table was scaled before: {how}. The scale probably used all rows, those of a later test part too.",
        "Get raw values if you can. Scaling again does no harm, but a value beyond the training range can no longer "
        "be seen: say so where you report results.",
    )
