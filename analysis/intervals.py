"""Intervals for a mean over draws, and for rates: pure functions on arrays.

Axis letters: D draws, M fault events, S seeds. The unit of resampling is the *draw* (one support set), never the
window, the seed or the fault type: these share their draw, and counting them as repeats makes intervals that
miss (simulated coverage of nominal 95 %: 41 to 58 %). Degenerate input gives a typed caution and no bounds, never a
band of width zero.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.errors import AnalysisError

SAME = 1e-12
"""Values closer than this are equal: scores are averages of float32."""

Floats = NDArray[np.float64]


class Caution(StrEnum):
    """Why an interval is missing, or must be read with care; the value is the sentence for people."""

    NO_VALUES = "no values, so no estimate"
    TOO_FEW = "a single value shows no spread, so there is no interval"
    NO_VARIANCE = "all values are equal: no variance was observed, so there is no interval"
    AT_BOUND = "some values are exactly 0 or 1"
    TOO_NARROW = "bootstrap intervals miss too often at this number of values"
    NO_CLAIM = "fewer than 6 draws: no claim of significance"
    NOT_REACHED = "not reached within the labels tried"
    ALWAYS_REACHED = "reached with the fewest labels tried"


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its interval.

    Attributes
    ----------
    estimate
        None without values.
    low, high
        Bounds; both None if the input gives none (then `warnings` says why).
    level
        Nominal coverage, e.g. 0.95.
    n
        Number of units.
    method
        How the bounds were made.
    unit
        What was counted as an independent repetition, in the plural: "draws", "events".
    warnings
        What to say beside the numbers.
    """

    estimate: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    method: str
    unit: str
    warnings: tuple[Caution, ...] = ()


def student_t(values: ArrayLike, *, level: float = 0.95, unit: str = "draws") -> Interval:
    """Return Student's t interval of the mean: m ± t s / sqrt(n).

    Question: where is the mean over new draws of this size, given the support pool and this test set?
    Unit of resampling: the draw; average seeds and fault types inside each draw first.
    Use it for values without bounds (seconds, alarms a day); `logit_t` covers shares better.

    Parameters
    ----------
    values
        One value a draw [D].
    level
        Nominal coverage, between 0 and 1.
    unit
        Name of the unit.

    Raises
    ------
    AnalysisError
        A value is NaN or infinite.

    References
    ----------
    Student (1908), Biometrika 6:1.

    Examples
    --------
    >>> interval = student_t([0.81, 0.78, 0.84, 0.69, 0.80])
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.7134, 0.8546)
    """
    checked = finite(values)
    return _mean_interval(checked, level, unit, "Student t", student_t_bounds)


def logit_t(values: ArrayLike, *, level: float = 0.95, unit: str = "draws") -> Interval:
    """Return the t interval of the mean on the logit scale: expit(logit(m) ± t s / (sqrt(n) m (1 - m))).

    Question and unit: as `student_t`, for values between 0 and 1. The interval stays inside and leans the way
    that scores near 1 lean: simulated coverage .93 to .96 from 5 draws on, where t has .87 and the percentile
    bootstrap .78.

    Raises
    ------
    AnalysisError
        A value is NaN, below 0 or above 1.

    References
    ----------
    Delta method: Lehmann and Casella (1998), Theory of Point Estimation, section 1.8.

    Examples
    --------
    >>> interval = logit_t([0.81, 0.78, 0.84, 0.69, 0.80])
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.7052, 0.8463)
    """
    checked = finite(values)
    if ((checked < -SAME) | (checked > 1 + SAME)).any():
        raise AnalysisError(f"logit-t needs values between 0 and 1, got {checked.min():g} to {checked.max():g}")
    checked = np.clip(checked, 0.0, 1.0)  # a sum of shares can end a bit above 1
    at_bound = (Caution.AT_BOUND,) if np.isin(checked, (0.0, 1.0)).any() else ()
    return _mean_interval(checked, level, unit, "logit-t", logit_t_bounds, at_bound)


def student_t_bounds(values: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the bounds of `student_t` for many samples at once: values [..., n] -> low and high [...]."""
    n = values.shape[-1]
    half = stats.t.ppf((1 + level) / 2, n - 1) * values.std(axis=-1, ddof=1) / np.sqrt(n)
    mean = values.mean(axis=-1)
    return mean - half, mean + half


def logit_t_bounds(values: Floats, level: float) -> tuple[Floats, Floats]:
    """Return the bounds of `logit_t` for many samples at once: values [..., n] -> low and high [...]."""
    n = values.shape[-1]
    mean = values.mean(axis=-1)
    error = values.std(axis=-1, ddof=1) / (np.sqrt(n) * mean * (1 - mean))
    half = stats.t.ppf((1 + level) / 2, n - 1) * error
    centre = np.log(mean / (1 - mean))
    return 1 / (1 + np.exp(half - centre)), 1 / (1 + np.exp(-half - centre))


def iqm(values: ArrayLike, axis: int = -1) -> Floats:
    """Return the interquartile mean: the mean of the middle half of the values along an axis.

    Question: what is typical over fault types? Unit: none of its own, it is taken inside each draw.
    A twin of the mean that a collapsed run or an impossible fault type cannot move. Take it over fault types
    *inside each draw*, table [D, types] -> [D], and then `logit_t` over draws.

    References
    ----------
    Agarwal et al. (2021), "Deep RL at the edge of the statistical precipice", NeurIPS.
    """
    return np.asarray(stats.trim_mean(finite(values), 0.25, axis=axis), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class VarianceComponents:
    """Where the spread of a table of draws x seeds [D, S] comes from.

    `between` and `within` are mean squares, `draw` the variance over draws alone (0 if estimated below), `icc` the
    share of the variance of one score that its draw explains.
    """

    between: float
    within: float
    draw: float
    icc: float


def variance_components(table: ArrayLike) -> VarianceComponents:
    """Return the one-way analysis of variance of scores [D, S], D and S at least 2.

    Question: are more draws or more seeds needed? Units: the draw, and the seed inside it.
    The variance of the mean is draw / D + within / (D S).

    Raises
    ------
    AnalysisError
        Fewer than two draws or seeds, or a value that is NaN or infinite.

    References
    ----------
    Searle, Casella and McCulloch (1992), Variance Components, section 3.5.
    """
    scores = finite(table)
    if scores.ndim != 2 or min(scores.shape) < 2:
        raise AnalysisError(f"variance components need a table of 2 draws x 2 seeds or more, got shape {scores.shape}")
    seeds = scores.shape[1]
    between = float(seeds * scores.mean(axis=1).var(ddof=1))
    within = float(scores.var(axis=1, ddof=1).mean())
    draw = max((between - within) / seeds, 0.0)
    return VarianceComponents(between, within, draw, draw / (draw + within) if draw + within else 0.0)


def wilson(successes: int, trials: int, *, level: float = 0.95, unit: str = "draws") -> Interval:
    """Return Wilson's score interval of a rate.

    Question: how often does it happen? Unit: the trial. Its coverage is right on average, so it suits rates over
    draws (collapsed runs); for few fault events, where no case may be promised too much, take `clopper_pearson`.

    Raises
    ------
    AnalysisError
        Not 0 <= successes <= trials.

    References
    ----------
    Wilson (1927), JASA 22:209.
    """
    return _rate(successes, trials, level, unit, "wilson")


def clopper_pearson(successes: int, trials: int, *, level: float = 0.95, unit: str = "events") -> Interval:
    """Return the Clopper-Pearson interval of a rate, which covers at least its level whatever the rate.

    Question: what share of faults like these does a detector catch? Unit: the fault event.

    Raises
    ------
    AnalysisError
        Not 0 <= successes <= trials.

    References
    ----------
    Clopper and Pearson (1934), Biometrika 26:404.

    Examples
    --------
    >>> interval = clopper_pearson(12, 14)
    >>> round(interval.low, 3), round(interval.high, 3)
    (0.572, 0.982)
    """
    return _rate(successes, trials, level, unit, "exact")


def trivial_f1(prevalence: float) -> float:
    """Return the F1 of a detector that always alarms: 2 p / (1 + p)."""
    return 2 * prevalence / (1 + prevalence)


def collapse_rate(values: ArrayLike, floor: float, *, level: float = 0.95) -> Interval:
    """Return the share of draws at or below a floor (`trivial_f1`, or the prevalence for average precision).

    Question: how often does training on a draw give nothing? Unit: the draw. With ten draws and 15 % collapses,
    one sweep in five sees none, and no interval of the mean covers: print this beside the mean.

    References
    ----------
    Wilson (1927), JASA 22:209.
    """
    checked = finite(values)
    return wilson(int((checked <= floor + SAME).sum()), len(checked), level=level)


def finite(values: ArrayLike) -> Floats:
    """Return values as float64, refusing NaN and infinities.

    Raises
    ------
    AnalysisError
        A value is NaN or infinite: a failed draw must be left out by name, not averaged.
    """
    checked = np.asarray(values, dtype=np.float64)
    if not np.isfinite(checked).all():
        raise AnalysisError(f"{int((~np.isfinite(checked)).sum())} of {checked.size} values are NaN or infinite")
    return checked


def sample_cautions(values: Floats) -> tuple[Caution, ...]:
    """Return why values [n] give no interval; empty if they do."""
    if not len(values):
        return (Caution.NO_VALUES,)
    if len(values) == 1:
        return (Caution.TOO_FEW,)
    return (Caution.NO_VARIANCE,) if np.ptp(values) <= SAME * max(1.0, np.abs(values).max()) else ()


def _mean_interval(
    values: Floats,
    level: float,
    unit: str,
    method: str,
    bounds: Callable[[Floats, float], tuple[Floats, Floats]],
    cautions: tuple[Caution, ...] = (),
) -> Interval:
    if values.ndim != 1:
        raise AnalysisError(
            f"one value for each of the {unit} expected, got shape {values.shape}; average inside first"
        )
    degenerate = sample_cautions(values)
    estimate = float(values.mean()) if len(values) else None
    if degenerate:
        return Interval(estimate, None, None, level, len(values), method, unit, degenerate + cautions)
    low, high = bounds(values, level)
    return Interval(estimate, float(low), float(high), level, len(values), method, unit, cautions)


def _rate(successes: int, trials: int, level: float, unit: str, method: Literal["wilson", "exact"]) -> Interval:
    if not 0 <= successes <= trials:
        raise AnalysisError(f"a rate needs 0 <= successes <= trials, got {successes} of {trials}")
    name = {"wilson": "Wilson", "exact": "Clopper-Pearson"}[method]
    if not trials:
        return Interval(None, None, None, level, 0, name, unit, (Caution.NO_VALUES,))
    bounds = stats.binomtest(successes, trials).proportion_ci(level, method=method)
    return Interval(successes / trials, float(bounds.low), float(bounds.high), level, trials, name, unit)
