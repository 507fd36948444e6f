"""VUS-PR: the volume under the precision-recall surface, as TSB-AD defines it, vectorised."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = 250
"""Order statistics of the score at which TSB-AD evaluates precision and recall."""

Run = tuple[int, int]
"""First and last position of a run of positives, both included."""


def vus_pr(
    y: NDArray[np.integer], score: NDArray[np.floating], buffer: int, stretch: NDArray[np.integer] | None = None
) -> float | None:
    """Return VUS-PR, the mean over buffers w = 0 .. `buffer` of the range average precision.

    For each w every true run is extended by w // 2 points on both sides with weight sqrt(1 - distance / w), so
    that a near miss counts for something. At a threshold, true positives are the weights of the alarming points,
    precision is their share of the alarming points, and recall is ``min(TP / P_w, 1)`` times the share of
    (extended, merged) runs that were touched, with ``P_w = (P + P + extension credited) / 2``.

    Chance level rises with `buffer`, so values are comparable only at the same one: fix it per data set, never per
    detector.

    Parameters
    ----------
    y : int [N]
        1 fault, 0 normal, in order of time.
    score : float [N]
        Finite, higher = more anomalous.
    buffer
        L >= 0, in points.
    stretch : int [N], optional
        Number of the uninterrupted stretch of each point, non-decreasing; runs and buffers end at its borders.
        Default: one stretch, which is the published definition.

    Returns
    -------
    float or None
        In (0, 1]; None without positives.

    References
    ----------
    Paparrizos et al. (2022), "Volume Under the Surface", PVLDB 15(11); `RangeAUC_volume_opt` of TSB-AD 1.5,
    of which this gives the same numbers in O(N * buffer).
    """
    labels = np.asarray(y, dtype=np.int64)
    if not labels.any():
        return None
    bounds = _stretch_bounds(len(labels), stretch)
    runs = [run for start, stop in bounds for run in _runs(labels[start:stop], start)]
    values = np.asarray(score, dtype=np.float64)
    order = np.argsort(-values, kind="stable")
    descending = values[order]
    thresholds = descending[np.linspace(0, len(values) - 1, THRESHOLDS).astype(np.int64)]
    predicted = np.searchsorted(-descending, -thresholds, side="right")  # [thresholds]

    weights = _soft_labels(labels, runs, bounds, buffer)  # [buffer + 1, N]
    credited = np.cumsum(weights[:, order], axis=1)[:, predicted - 1]  # [buffer + 1, thresholds]
    inside = np.cumsum(labels[order])[predicted - 1]
    positives = labels.sum() + (credited - inside) / 2
    touched = np.repeat(
        [_share_touched(values, thresholds, runs, bounds, half) for half in range(buffer // 2 + 1)], 2, axis=0
    )[: buffer + 1]
    recall = np.minimum(credited / positives, 1.0) * touched
    precision = credited / predicted
    steps = np.diff(recall, axis=1, prepend=0.0)
    return float((steps * precision).sum(axis=1).mean())


def _stretch_bounds(length: int, stretch: NDArray[np.integer] | None) -> list[tuple[int, int]]:
    """Return start and stop of every stretch."""
    cuts = [] if stretch is None else (np.flatnonzero(np.diff(stretch)) + 1).tolist()
    return list(zip([0, *cuts], [*cuts, length], strict=True))


def _runs(labels: NDArray[np.int64], offset: int) -> list[Run]:
    """Return the runs of ones, shifted by `offset`."""
    edges = np.diff(labels, prepend=0, append=0)
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(start) + offset, int(stop) - 1 + offset) for start, stop in zip(starts, stops, strict=True)]


def _bounds_of(run: Run, bounds: Sequence[tuple[int, int]]) -> tuple[int, int]:
    return next((start, stop) for start, stop in bounds if start <= run[0] < stop)


def _soft_labels(
    labels: NDArray[np.int64], runs: Sequence[Run], bounds: Sequence[tuple[int, int]], buffer: int
) -> NDArray[np.float64]:
    """Return label weights [buffer + 1, N]: 1 in runs, falling off beside them; overlaps add up, at most to 1."""
    width = np.arange(buffer + 1)[:, None]
    distance = np.arange(1, buffer // 2 + 1)[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        fall_off = np.where(distance <= width // 2, np.sqrt(np.maximum(1 - distance / width, 0)), 0.0)
    soft = np.tile(labels.astype(np.float64), (buffer + 1, 1))
    for run in runs:
        start, stop = _bounds_of(run, bounds)
        after = min(run[1] + 1 + buffer // 2, stop) - (run[1] + 1)
        soft[:, run[1] + 1 : run[1] + 1 + after] += fall_off[:, :after]
        before = run[0] - max(run[0] - buffer // 2, start)
        soft[:, run[0] - before : run[0]] += fall_off[:, :before][:, ::-1]
    return np.minimum(soft, 1.0)


def _share_touched(
    values: NDArray[np.float64],
    thresholds: NDArray[np.float64],
    runs: Sequence[Run],
    bounds: Sequence[tuple[int, int]],
    half: int,
) -> NDArray[np.float64]:
    """Return the share of runs, extended by `half` and merged where they meet, with an alarm [thresholds]."""
    groups: list[Run] = []
    for run in runs:
        start, stop = _bounds_of(run, bounds)
        low, high = max(run[0] - half, start), min(run[1] + half, stop - 1)
        # TSB-AD merges extended runs that share a point; runs of two stretches never do.
        if groups and low <= groups[-1][1]:
            groups[-1] = (groups[-1][0], high)
        else:
            groups.append((low, high))
    peaks = np.sort([values[low : high + 1].max() for low, high in groups])
    return (len(groups) - np.searchsorted(peaks, thresholds, side="left")) / len(groups)
