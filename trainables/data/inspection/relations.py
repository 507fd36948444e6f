"""Columns that usually move together: a fault that parts them shows, though each stays within what it reaches.

The latency that a caller sees and the one that the service measures differ by little, until the network between them
is slow; either of them is as high whenever the service is.

References
----------
Jiang, Chen and Yoshihira (2006), Discovering likely invariants of distributed transaction systems for autonomic system
management.
"""

import numpy as np
from numpy.typing import NDArray

RELATED = 0.9
"""Correlation over fault-free blocks from which on two columns are held together."""
LEAST_KNOWN = 30
"""Blocks in which a column has a value, without which it has no partner: a few values always agree."""
TAIL = 0.01
"""Share of the blocks at either end that count as no further than the rest: a few spikes make no relation."""
AT_ONCE = 512
"""Columns that are compared with all others in one step; bounds memory."""


def partings(values: NDArray[np.float64], clean: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return how far columns are from what their closest partner makes of them [B, R], and which they are [R].

    Each pair comes once. The level is arbitrary; NaN where either column has no value.

    Parameters
    ----------
    values : float64 [B, C]
    clean : bool [B]
        The blocks that relations are learnt from.
    """
    scaled, spread = _scaled(values[clean])
    partner, correlation = _partners(scaled)
    related = np.flatnonzero(np.abs(correlation) >= RELATED)
    pairs = np.sort(np.stack([related, partner[related]], axis=1), axis=1)
    related = related[np.sort(np.unique(pairs, axis=0, return_index=True)[1])]
    other = partner[related]
    slope = correlation[related] * spread[related] / spread[other]
    return values[:, related] - slope * values[:, other], related


def _scaled(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the columns with mean 0 and length 1, without tails and with 0 where missing, and their spread [C].

    Columns with too few values are 0 throughout.
    """
    low, high = np.nanquantile(values, [TAIL, 1 - TAIL], axis=0)
    clipped = np.clip(values, low, high)
    centred = np.nan_to_num(clipped - np.nanmean(clipped, axis=0))
    centred[:, np.isfinite(values).sum(axis=0) < LEAST_KNOWN] = 0.0
    length = np.linalg.norm(centred, axis=0)
    return centred / np.where(length > 0, length, 1.0), length


def _partners(scaled: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the other column that each correlates with most, and the correlation [C]."""
    columns = scaled.shape[1]
    partner, best = np.zeros(columns, dtype=np.int64), np.zeros(columns)
    for first in range(0, columns, AT_ONCE):
        rows = np.arange(first, min(first + AT_ONCE, columns))
        correlation = scaled[:, rows].T @ scaled  # [AT_ONCE, C]
        correlation[np.arange(len(rows)), rows] = 0.0
        partner[rows] = np.abs(correlation).argmax(axis=1)
        best[rows] = correlation[np.arange(len(rows)), partner[rows]]
    return partner, best
