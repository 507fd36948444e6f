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
    table: ArrayLike, *, rng: np.random.Generator, level: float = 0.95, resamples: int = RESAMPLES
) -> Interval:
    """Return the crossed bootstrap interval of the mean of a table [D, M], e.g. 1 where a draw caught an event.

    Question: where is the mean over new draws *and* new faults of this kind?
    Unit of resampling: draws (rows) and events (columns), independently; a cell weighs the product of its counts.
    The tails are expanded for the smaller of D and M; n is that number.

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
    events = cells.shape[1]
    if not cells.size:
        return Interval(None, None, None, level, 0, METHOD, UNIT, (Caution.NO_VALUES,))
    weights = _resampled(events, resamples, rng)
    return _interval(cells.mean(axis=1), cells @ weights.T / events, events, level, rng)


def crossed_average_precision(
    draws: Sequence[WindowScores],
    opponent: Sequence[WindowScores] | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = RESAMPLES,
) -> Interval:
    """Return the crossed bootstrap interval of mean average precision over draws, or of its paired difference.

    Question and method: as `crossed_mean`. An event is resampled together with the normal windows nearest to it.

    Parameters
    ----------
    draws
        Window scores of each draw [D], all on the same windows.
    opponent
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
        The windows or the numbers of draws differ, or the test part has no event.
    """
    if not draws or (opponent is not None and len(opponent) != len(draws)):
        raise AnalysisError(f"the same draws of both detectors expected, got {len(draws)} and {len(opponent or ())}")
    first = draws[0]
    for other in [*draws, *(opponent or ())]:
        if not (np.array_equal(other.window_end, first.window_end) and np.array_equal(other.event, first.event)):
            raise AnalysisError("draws were scored on different windows; a crossed bootstrap needs the same ones")
    unit = event_units(first)
    events = int(unit.max()) + 1
    weights = np.vstack([np.ones(events), _resampled(events, resamples, rng)])  # [1 + B, M]

    def averages(of: Sequence[WindowScores]) -> Floats:
        return np.array([weighted_average_precision(draw.label, draw.score, unit, weights) for draw in of])

    values = averages(draws) if opponent is None else averages(draws) - averages(opponent)  # [D, 1 + B]
    return _interval(values[:, 0], values[:, 1:], events, level, rng)


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


def _interval(observed: Floats, replicates: Floats, events: int, level: float, rng: np.random.Generator) -> Interval:
    """Return the interval from values by draw [D] and by draw and resample of events [D, B]."""
    draws = len(observed)
    smaller = min(draws, events)
    estimate = float(observed.mean())
    if smaller < 2:
        return Interval(estimate, None, None, level, smaller, METHOD, UNIT, (Caution.TOO_FEW,))
    weights = _resampled(draws, replicates.shape[1], rng) / draws  # [B, D]
    values = (weights * replicates.T).sum(axis=1)
    if np.ptp(values) <= SAME:
        return Interval(estimate, None, None, level, smaller, METHOD, UNIT, (Caution.NO_VARIANCE,))
    tail = expanded_tail(smaller, level)
    low, high = np.quantile(values, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), level, smaller, METHOD, UNIT)
