"""Affiliation precision and recall: how close alarms come to faults, against alarms at random."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def affiliation(
    y: NDArray[np.integer], event: NDArray[np.integer], alarm: NDArray[np.bool_]
) -> tuple[float | None, float | None]:
    """Return affiliation precision and recall.

    Each fault owns the zone up to the middle of the gap to its neighbours. Precision: for every alarming window, the
    chance that a window drawn uniformly from the zone lies further from the fault; mean over the alarms of a zone, then
    over zones with alarms. Recall: for every window of a fault, the chance that such a window lies further from it
    than the nearest alarm of the zone (0 without one); mean over the fault, then over faults.

    Alarms at random get a precision of ``(1 + p²) / 2``, p being the share of the zone that is faulty, and a recall
    near 1 if there are many: never read these two without those of `random`. Windows count as unit steps in their
    order; an integral over a window is its value at the middle.

    Parameters
    ----------
    y : int [N]
        1 fault, 0 normal, in order of time.
    event : int [N]
        Number of the fault where `y` is 1.
    alarm : bool [N]
        Where an alarm is on.

    Returns
    -------
    tuple
        Precision (None without alarms) and recall, both None without faults.

    References
    ----------
    Huet, Navarro and Rossi (2022), "Local evaluation of time series anomaly detection algorithms", KDD.
    """
    n = len(y)
    at = np.flatnonzero(y == 1)
    if not len(at):
        return None, None
    _, first = np.unique(event[at], return_index=True)
    _, last = np.unique(event[at][::-1], return_index=True)
    by_time = np.argsort(first)
    start, stop = at[first][by_time], at[::-1][last][by_time] + 1  # [M], half open
    border = np.concatenate([[0.0], (stop[:-1] + start[1:]) / 2, [n]])
    middle = np.arange(n) + 0.5
    zone = np.searchsorted(border[1:-1], middle, side="right")
    low, high = border[zone], border[zone + 1]

    away = np.maximum(np.maximum(start[zone] - middle, middle - stop[zone]), 0.0)
    shorter = np.minimum(start - border[:-1], border[1:] - stop)[zone]
    nearer = (np.minimum(away, shorter) + away + (stop - start)[zone]) / (high - low)
    precision = _mean_of_zones(np.where(away > 0, 1 - nearer, 1.0), zone, alarm)

    to_alarm = _to_alarm(zone, alarm)
    nearer = (np.minimum(to_alarm, middle - low) + np.minimum(to_alarm, high - middle)) / (high - low)
    return precision, _mean_of_zones(1 - nearer, zone, away == 0)


def _to_alarm(zone: NDArray[np.intp], alarm: NDArray[np.bool_]) -> Floats:
    """Return the distance from the middle of each window [N] to the nearest alarm of its zone; inf without one."""
    n = len(zone)
    here = np.arange(n)
    before = np.maximum.accumulate(np.where(alarm, here, -1))
    after = np.minimum.accumulate(np.where(alarm, here, n)[::-1])[::-1]
    nearest = np.full(n, np.inf)
    for other in (before, after):
        known = (other >= 0) & (other < n)
        same = known & (zone[np.where(known, other, 0)] == zone)
        nearest = np.where(same, np.minimum(nearest, np.maximum(np.abs(here - other) - 0.5, 0.0)), nearest)
    return nearest


def _mean_of_zones(values: Floats, zone: NDArray[np.intp], chosen: NDArray[np.bool_]) -> float | None:
    """Return the mean over zones of the mean of the chosen values [N] of each; zones without any do not count."""
    count = np.bincount(zone[chosen])
    total = np.bincount(zone[chosen], values[chosen])
    return float((total[count > 0] / count[count > 0]).mean()) if count.any() else None
