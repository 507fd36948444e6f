"""What searching does to the score of its winner: the luck of the best of many, named as a number."""

import numpy as np
from scipy import integrate, stats

from analysis.errors import AnalysisError


def expected_maximum(m: int) -> float:
    """Return the expected maximum of m independent standard normal values.

    Raises
    ------
    AnalysisError
        m is below 1.

    References
    ----------
    David and Nagaraja (2003), Order Statistics, section 3.1.

    Examples
    --------
    >>> round(expected_maximum(50), 3)
    2.249
    """
    if m < 1:
        raise AnalysisError(f"a maximum needs at least one value, got {m}")
    value, _ = integrate.quad(lambda x: x * m * stats.norm.pdf(x) * stats.norm.cdf(x) ** (m - 1), -10, 10, limit=200)
    return float(value)


def expected_optimism(sd: float, *, draws: int, configurations: int, correlation: float = 0.0) -> float:
    """Return by how much the winner of a search over equals looks better than it is, on the draws it won on.

    Question: how large a gain would this search report if its configurations differed by luck alone? Print it
    beside the selection mean minus the report mean. Unit: the selection draw.

    Parameters
    ----------
    sd
        Standard deviation of one configuration's score over draws.
    draws
        Selection draws, over which the score was averaged.
    configurations
        How many were tried.
    correlation
        Of two configurations' scores over draws, 0 to 1: what draws share is not luck of the winner.

    Raises
    ------
    AnalysisError
        An argument out of range.

    References
    ----------
    Cawley and Talbot (2010), JMLR 11:2079, on over-fitting in model selection.
    """
    if sd < 0 or draws < 1 or not 0 <= correlation <= 1:
        raise AnalysisError(f"need sd >= 0, draws >= 1, correlation 0 to 1; got {sd=}, {draws=}, {correlation=}")
    return float(sd * np.sqrt((1 - correlation) / draws) * expected_maximum(configurations))
