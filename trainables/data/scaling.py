"""Normalisation, missing values and useless columns: fitted on the reference, applied to everything."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.data.big_tables import blocks, released
from trainables.data.wording import number_of
from trainables.errors import ProtocolError
from trainables.settings import MissingByColumn, MissingRule

Normalise = Literal["zscore", "minmax", "robust"]

LIMIT = 1e6
"""Scaled values are cut at this size: a channel that was almost flat on the reference must not become infinite."""

COLUMN_BYTES = 64 * 2**20
"""Bytes of float32 columns that are gathered in one pass over the table when a scaler is fitted."""

FLAT = 1e-7
"""A spread below this share of the largest magnitude is rounding of float32, not signal."""


@dataclass(frozen=True, slots=True, eq=False)
class Scaler:
    """Centre and spread of each column that is kept, and how its missing values are filled.

    Attributes
    ----------
    kept : int64 [C']
        Positions of the kept columns in the series.
    columns
        Their names.
    centre, spread : float64 [C']
        A value v becomes (v - centre) / spread.
    median : float64 [C']
        Of the reference, in raw units.
    rules
        Missing rule of each kept column.
    missing : int64 [C']
        Missing values of the whole series that were filled.
    fitted_on : int64 [R]
        Rows that all of this was computed from, increasing.
    """

    kept: NDArray[np.int64]
    columns: tuple[str, ...]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    median: NDArray[np.float64]
    rules: tuple[MissingRule, ...]
    missing: NDArray[np.int64]
    fitted_on: NDArray[np.int64]

    def apply(self, values: NDArray[np.float32], segment: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return scaled, finite values [T, C'] of raw values [T, C].

        `hold` repeats the last value of the same segment, and is the reference median before the first.
        `median` and `zero` fill with the reference median and with a raw zero.
        """
        scaled = np.empty((len(values), len(self.kept)), dtype=np.float32)
        self.apply_to(values, segment, scaled)
        return scaled

    def apply_to(self, values: NDArray[np.float32], segment: NDArray[np.int32], scaled: NDArray[np.float32]) -> None:
        """Write what `apply` returns into `scaled` [T, C'], a block of rows after another."""
        held = np.full(len(self.kept), np.nan)  # the last value of each column before the block
        for rows in blocks(values):
            raw = values[rows][:, self.kept].astype(np.float64)  # [n, C']
            before = segment[max(0, rows.start - 1)]
            starts = _segment_starts(segment[rows], before)  # [n], 0 where the segment began before the block
            for to, rule in enumerate(self.rules):
                column = raw[:, to]
                if rule == "hold":
                    column = _held(np.concatenate([held[to : to + 1], column]), starts)
                    held[to] = column[-1]
                absent = np.isnan(column)
                if absent.any():
                    column = np.where(absent, 0.0 if rule == "zero" else self.median[to], column)
                raw[:, to] = column
            raw -= self.centre
            raw /= self.spread
            scaled[rows] = np.clip(raw, -LIMIT, LIMIT, out=raw)
            released(scaled)


def _segment_starts(segment: NDArray[np.int32], before: np.int32) -> NDArray[np.int64]:
    """Return for each row [n] where its segment begins: 1 + the row, or 0 if it is that of the row before the block."""
    changed = np.concatenate([segment[:1] != before, segment[1:] != segment[:-1]])
    return np.maximum.accumulate(np.where(changed, np.arange(1, len(segment) + 1), 0))


def _held(column: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the last value [n] in each row's segment; `column` [1 + n] begins with the one before the block."""
    absent = np.isnan(column[1:])
    if not absent.any():
        return column[1:]
    return column[np.maximum.accumulate(np.where(absent, starts, np.arange(1, len(column))))]


def fit_scaler(
    values: NDArray[np.float32],
    columns: tuple[str, ...],
    rows: NDArray[np.int64],
    normalise: Normalise,
    missing: MissingRule | MissingByColumn,
) -> tuple[Scaler, tuple[str, ...]]:
    """Fit on the given rows [R] of raw values [T, C]; return the scaler and notes on what was dropped or filled.

    A column that is missing on all of these rows, or has one value on them, is dropped: nothing can be
    learned from it, and dividing by its spread would make noise of it.

    Raises
    ------
    ProtocolError
        No column is left.
    """
    centre, spread, median, kept, empty, flat = [], [], [], [], [], []
    without_iqr = []
    for column, (name, present) in enumerate(zip(columns, _present(values, rows), strict=True)):
        if not len(present):
            empty.append(name)
            continue
        low, high = float(present.min()), float(present.max())
        if high - low <= FLAT * max(abs(low), abs(high)):
            flat.append(name)
            continue
        kept.append(column)
        middle, a, b, fell_back = _centre_spread(present, low, high, normalise)
        median.append(middle)
        centre.append(a)
        spread.append(b)
        if fell_back:
            without_iqr.append(name)
    if not kept:
        raise ProtocolError("no column varies on the reference (the support part), so there is nothing to learn from")
    names = tuple(columns[column] for column in kept)
    counts = np.zeros(len(kept), dtype=np.int64)
    for block in blocks(values):
        counts += np.isnan(values[block]).sum(axis=0)[kept]
    scaler = Scaler(
        kept=np.asarray(kept, dtype=np.int64),
        columns=names,
        centre=np.asarray(centre),
        spread=np.asarray(spread),
        median=np.asarray(median),
        rules=tuple(missing_rule(name, missing) for name in names),
        missing=counts,
        fitted_on=rows,
    )
    return scaler, _notes(scaler, empty, flat, without_iqr, len(values))


def _present(values: NDArray[np.float32], rows: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Yield what each column has on some rows; columns are gathered a few at a time, a pass over the table each."""
    width = max(1, COLUMN_BYTES // max(1, 4 * len(rows)))
    for first in range(0, values.shape[1], width):
        part = slice(first, min(first + width, values.shape[1]))
        gathered = np.empty((part.stop - first, len(rows)), dtype=np.float32)
        place = 0
        for block in blocks(values):
            stop = int(np.searchsorted(rows, block.stop))
            gathered[:, place:stop] = values[rows[place:stop], part].T
            place = stop
        for column in gathered:
            found = column[~np.isnan(column)]
            yield found.astype(np.float64)


def missing_rule(column: str, missing: MissingRule | MissingByColumn) -> MissingRule:
    """Return the rule of one column: the first glob pattern that matches, else the default."""
    if isinstance(missing, str):
        return missing
    return next((rule for glob, rule in missing.columns.items() if fnmatchcase(column, glob)), missing.default)


def _centre_spread(
    present: NDArray[np.float64], low: float, high: float, normalise: Normalise
) -> tuple[float, float, float, bool]:
    """Return median, centre, spread, and whether robust had to use the standard deviation."""
    lower, median, upper = (float(q) for q in np.quantile(present, [0.25, 0.5, 0.75]))
    if normalise == "minmax":
        return median, low, high - low, False
    deviation = float(present.std())
    if normalise == "zscore":
        return median, float(present.mean()), deviation, False
    if upper > lower:
        return median, median, upper - lower, False
    return median, median, deviation, True


def _notes(scaler: Scaler, empty: list[str], flat: list[str], without_iqr: list[str], rows: int) -> tuple[str, ...]:
    notes = []
    if empty:
        notes.append(f"{_listed(empty)} missing on the whole reference: dropped.")
    if flat:
        notes.append(f"{_listed(flat)} constant on the reference: dropped.")
    if without_iqr:
        notes.append(f"{_listed(without_iqr)} with an interquartile range of 0: scaled by the standard deviation.")
    if scaler.missing.any():
        worst = np.argsort(-scaler.missing, kind="stable")[:3]
        examples = ", ".join(
            f"{scaler.columns[i]} {scaler.missing[i] / rows:.1%} by {scaler.rules[i]}"
            for i in worst
            if scaler.missing[i]
        )
        notes.append(
            f"{number_of(int(scaler.missing.sum()), 'missing value')} in "
            f"{number_of(int((scaler.missing > 0).sum()), 'column')} filled (most: {examples})."
        )
    return tuple(notes)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return f"{len(names)} column{'s' if len(names) > 1 else ''} ({shown})"
