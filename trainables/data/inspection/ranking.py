"""The area under the ROC curve, from ranks: how well one number tells two groups apart."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def chance_above(one: NDArray[np.floating], other: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return for each column the chance that a value of `one` exceeds one of `other`, ties counting half.

    Parameters
    ----------
    one, other : [A, C], [B, C]
        Without NaN; A and B at least 1.

    Returns
    -------
    float64 [C]
        0 to 1; 0.5 where the groups do not differ (Mann-Whitney U divided by A * B).
    """
    return above_by_rank(rankdata(np.concatenate([one, other]), axis=0), np.arange(len(one) + len(other)) < len(one))


def above_by_rank(ranks: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the same from ranks [A + B, C] and which rows belong to the first group [A + B]."""
    many, few = int(chosen.sum()), int((~chosen).sum())
    return np.asarray((ranks[chosen].sum(axis=0) - many * (many + 1) / 2) / (many * few))
