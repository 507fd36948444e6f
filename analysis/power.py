"""What would separate two detectors: further draws, or further faults."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.errors import AnalysisError
from analysis.intervals import SAME, Caution, finite, sample_cautions
from analysis.paired import MIN_DRAWS_FOR_CLAIM

MOST_UNITS = 10_000
"""More draws or events than this are not worth naming: the difference is nothing."""


@dataclass(frozen=True, slots=True)
class Further:
    """Units (draws or events) that would separate two detectors, if the difference seen is the true one.

    Attributes
    ----------
    further, total
        Units to add, and units in all; None if no number up to `MOST_UNITS` would do.
    power_now
        Chance of a significant result with as many units as there are, 0 to 1.
    target_power, alpha
        What was asked for.
    unit
        "draws" or "events".
    warnings
        Why there is no answer, if so.
    """

    further: int | None
    total: int | None
    power_now: float | None
    target_power: float
    alpha: float
    unit: str
    warnings: tuple[Caution, ...] = ()


def draws_to_separate(differences: ArrayLike, *, alpha: float = 0.05, power: float = 0.8) -> Further:
    """Return how many further draws a paired t test would need to separate two detectors.

    Question: is it worth running more draws? Unit: the draw. Exact power of the two-sided t test, at the mean and
    spread seen (significance in the wrong direction is no success). A difference that is itself mostly luck will
    need more.

    Parameters
    ----------
    differences
        Paired differences [D].
    alpha
        Level of the test, after any correction for the family.
    power
        Chance of a significant result that is wanted.

    Raises
    ------
    AnalysisError
        A value is NaN or infinite.

    References
    ----------
    Non-central t: Johnson, Kotz and Balakrishnan (1995), Continuous Univariate Distributions 2, chapter 31.
    """
    d = finite(differences)
    cautions = sample_cautions(d)
    if cautions:
        return Further(None, None, None, power, alpha, "draws", cautions)
    effect = abs(float(d.mean())) / float(d.std(ddof=1))

    def power_of(n: int) -> float:
        return t_power(effect * np.sqrt(n), n - 1, alpha)

    total = _smallest(power_of, power, MIN_DRAWS_FOR_CLAIM)
    further = None if total is None else max(total - len(d), 0)
    return Further(further, total, power_of(len(d)), power, alpha, "draws")


def events_to_separate(table: ArrayLike, *, alpha: float = 0.05, power: float = 0.8) -> Further:
    """Return how many further test faults would separate two detectors, the number of draws staying as it is.

    Question: would more incidents settle it? Unit: the fault event. The variance of the mean over new draws and
    new faults is v_draw / D + v_event / M + v_rest / (D M); degrees of freedom are those of the smaller of D and M.
    None if draws alone already blur the difference too much.

    Parameters
    ----------
    table
        Differences [D, M] by draw and event, e.g. caught by A minus caught by B.
    alpha, power
        As `draws_to_separate`.

    Raises
    ------
    AnalysisError
        Not a table of 2 x 2 or more, or a value that is NaN or infinite.

    References
    ----------
    Two-way random effects: Searle, Casella and McCulloch (1992), Variance Components, section 4.3.
    """
    cells = finite(table)
    if cells.ndim != 2 or min(cells.shape) < 2:
        raise AnalysisError(f"a table of 2 draws x 2 events or more expected, got shape {cells.shape}")
    draws, events = cells.shape
    if np.ptp(cells) <= SAME:
        return Further(None, None, None, power, alpha, "events", (Caution.NO_VARIANCE,))
    by_draw, by_event = cells.mean(axis=1, keepdims=True), cells.mean(axis=0, keepdims=True)
    rest = ((cells - by_draw - by_event + cells.mean()) ** 2).sum() / ((draws - 1) * (events - 1))
    v_draw = max(by_draw.var(ddof=1) - rest / events, 0.0)
    v_event = max(by_event.var(ddof=1) - rest / draws, 0.0)

    def power_of(m: int) -> float:
        error = np.sqrt(v_draw / draws + v_event / m + rest / (draws * m))
        return t_power(abs(float(cells.mean())) / max(float(error), SAME), min(draws, m) - 1, alpha)

    total = _smallest(power_of, power, 2)
    further = None if total is None else max(total - events, 0)
    return Further(further, total, power_of(events), power, alpha, "events")


def t_power(noncentrality: float, df: int, alpha: float) -> float:
    """Return the chance that a two-sided t test is significant *in the true direction*.

    Parameters
    ----------
    noncentrality
        True difference over its standard error, at least 0.
    df
        Degrees of freedom.
    alpha
        Level of the two-sided test.
    """
    return float(stats.nct.sf(stats.t.ppf(1 - alpha / 2, df), df, noncentrality))


def _smallest(power_of: Callable[[int], float], power: float, least: int) -> int | None:
    """Return the smallest n from `least` up with enough power, which grows with n."""
    if power_of(MOST_UNITS) < power:
        return None
    low, high = least - 1, MOST_UNITS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_of(middle) >= power else (middle, high)
    return high
