"""The general interval: draws and fault events resampled together (crossed bootstrap).

An interval over draws says where the mean lies *on this test set*. With 14 test faults the next 14 would move it
further than the next ten draws: simulated, a 95 % interval over 20 draws covers the mean over new faults 69 % of
the time, and more draws make it worse. Whoever says "generalises" needs the interval of this module.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.bootstrap import expanded_tail
from analysis.errors import AnalysisError
from analysis.intervals import SAME, Caution, Floats, Interval, finite
from trainables.trial import WindowScores

RESAMPLES = 2_000
METHOD = "crossed bootstrap"
UNIT = "draws x events"


def crossed_mean(
    table: ArrayLike,
    fold: ArrayLike | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the crossed bootstrap interval of the mean of a table [D, M], e.g. 1 where a draw caught an event.

    Question: where is the mean over new draws *and* new faults of this kind?
    Unit of resampling: draws (rows) and events (columns), independently; a cell weighs the product of its counts.
    The tails are expanded for the smaller of D and M; n is that number.

    Parameters
    ----------
    table : float [D, M]
        A value for each draw and event.
    fold : int [M], optional
        Fold in which each event was tested: events are resampled inside their fold, the mean is the mean of the
        folds' means, and M counts one event less for each fold after the first.
    rng
        Generator; one seed, one interval.
    level
        Nominal coverage.
    resamples
        B.

    Raises
    ------
    AnalysisError
        Not a table, or a value that is NaN or infinite.

    References
    ----------
    Owen (2007), "The pigeonhole bootstrap", Annals of Applied Statistics 1:386.
    """
    cells = finite(table)
    if cells.ndim != 2:
        raise AnalysisError(f"a table of draws x events expected, got shape {cells.shape}")
    if not cells.size:
        return Interval(None, None, None, level, 0, METHOD, UNIT, (Caution.NO_VALUES,))
    of_event = np.zeros(cells.shape[1]) if fold is None else np.asarray(fold)
    values, events = [], []
    for name in np.unique(of_event):
        mine = cells[:, of_event == name]
        weights = _with_observed(mine.shape[1], resamples, rng)
        values.append(mine @ weights.T / mine.shape[1])
        events.append(mine.shape[1])
    return _interval(np.mean(values, axis=0), events, level, rng)


def crossed_average_precision(
    folds: Sequence[Sequence[WindowScores]],
    opponents: Sequence[Sequence[WindowScores]] | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the crossed bootstrap interval of mean average precision over draws, or of its paired difference.

    Question and method: as `crossed_mean`. An event is resampled together with the normal windows nearest to it,
    inside its fold; a draw's value is its mean over folds. The folds of one draw were learned from overlapping
    support parts, so that a fold's error is not independent of another's: with folds the interval speaks of
    *these* support events.

    Parameters
    ----------
    folds
        Window scores of each draw [F][D]; within a fold all on the same windows, in every fold the same draws.
    opponents
        Window scores of another detector on the same draws and windows; then the interval is of the difference.
    rng
        Generator; one seed, one interval.
    level
        Nominal coverage.
    resamples
        B.

    Raises
    ------
    AnalysisError
        The windows or the numbers of draws differ, or a test part has no event.
    """
    others: Sequence[Sequence[WindowScores] | None] = [None] * len(folds) if opponents is None else opponents
    sizes = {len(draws) for draws in [*folds, *(other for other in others if other is not None)]}
    if len(others) != len(folds) or len(sizes) != 1 or 0 in sizes:
        raise AnalysisError(f"the same draws in every fold and of both detectors expected, got {sorted(sizes)}")
    values, events = [], []
    for draws, other in zip(folds, others, strict=True):
        unit = event_units(_same_windows([*draws, *(other or ())]))
        weights = _with_observed(int(unit.max()) + 1, resamples, rng)
        mine = _averages(draws, unit, weights)
        values.append(mine if other is None else mine - _averages(other, unit, weights))
        events.append(weights.shape[1])
    return _interval(np.mean(values, axis=0), events, level, rng)


def _same_windows(draws: Sequence[WindowScores]) -> WindowScores:
    """Return the first of draws that were scored on the same windows."""
    first = draws[0]
    for other in draws:
        if not (np.array_equal(other.window_end, first.window_end) and np.array_equal(other.event, first.event)):
            raise AnalysisError("draws were scored on different windows; a crossed bootstrap needs the same ones")
    return first


def _averages(draws: Sequence[WindowScores], unit: NDArray[np.integer], weights: Floats) -> Floats:
    """Return average precision of each draw under each weighting of the events [D, 1 + B]."""
    return np.array([weighted_average_precision(draw.label, draw.score, unit, weights) for draw in draws])


def event_units(scores: WindowScores) -> NDArray[np.int64]:
    """Return for each window [N] the number of its event, normal windows going with the nearest one in order.

    Raises
    ------
    AnalysisError
        There is no event.
    """
    order = np.lexsort((scores.window_end, scores.segment))
    event = scores.event[order]
    at = np.flatnonzero(scores.label[order] == 1)
    if not len(at):
        raise AnalysisError("a crossed bootstrap needs fault events, the test part has none")
    position = np.arange(len(event))
    after = at[np.minimum(np.searchsorted(at, position), len(at) - 1)]
    before = at[np.maximum(np.searchsorted(at, position, side="right") - 1, 0)]
    nearest = np.where(np.abs(position - before) <= np.abs(after - position), before, after)
    units = np.empty(len(event), dtype=np.int64)
    units[order] = np.unique(event[nearest], return_inverse=True)[1]
    return units


def weighted_average_precision(
    y: NDArray[np.integer], score: NDArray[np.floating], unit: NDArray[np.integer], weights: NDArray[np.floating]
) -> Floats:
    """Return average precision for many weightings of the same windows at once.

    Equal to scikit-learn's `average_precision_score` with sample weights ``weights[b, unit]``.

    Parameters
    ----------
    y : int [N]
        1 fault, 0 normal.
    score : float [N]
        Higher = more anomalous.
    unit : int [N]
        Number of the unit, 0 .. M - 1, that a window is weighted with.
    weights : float [B, M]
        Each weighting leaves some faulty window with a positive weight.

    Returns
    -------
    float [B]
    """
    order = np.argsort(-score, kind="stable")
    levels = np.cumsum(np.diff(score[order], prepend=score[order][:1]) != 0)  # tied windows share a level
    faulty = y[order] == 1
    kinds = np.zeros((2, weights.shape[1], int(levels[-1]) + 1))  # windows by [faulty, unit, level]
    np.add.at(kinds, (faulty.astype(np.int64), unit[order], levels), 1.0)
    counted = np.flatnonzero(kinds[1].any(axis=0))  # elsewhere recall does not grow
    alarms = weights @ np.cumsum(kinds.sum(axis=0), axis=1)[:, counted]  # [B, levels]
    gained = weights @ kinds[1][:, counted]
    hits = np.cumsum(gained, axis=1)
    precision = np.divide(hits, alarms, out=np.zeros_like(hits), where=alarms > 0)
    return np.asarray((gained * precision).sum(axis=1) / hits[:, -1])


def _resampled(units: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Return how often each unit is drawn in each resample [B, units]."""
    return rng.multinomial(units, np.full(units, 1 / units), size=resamples).astype(np.float64)


def _with_observed(units: int, resamples: int, rng: np.random.Generator) -> Floats:
    """Return weights [1 + B, units]: as observed, then the resamples."""
    return np.vstack([np.ones(units), _resampled(units, resamples, rng)])


def _interval(values: Floats, events: Sequence[int], level: float, rng: np.random.Generator) -> Interval:
    """Return the interval from values by draw [D, 1 + B], as observed first; events [F] of each fold."""
    observed, replicates = values[:, 0], values[:, 1:]
    draws = len(observed)
    smaller = min(draws, sum(events) - len(events) + 1)
    estimate = float(observed.mean())
    if smaller < 2:
        return Interval(estimate, None, None, level, smaller, METHOD, UNIT, (Caution.TOO_FEW,))
    weights = _resampled(draws, replicates.shape[1], rng) / draws  # [B, D]
    means = (weights * replicates.T).sum(axis=1)
    if np.ptp(means) <= SAME:
        return Interval(estimate, None, None, level, smaller, METHOD, UNIT, (Caution.NO_VARIANCE,))
    tail = expanded_tail(smaller, level)
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), level, smaller, METHOD, UNIT)
