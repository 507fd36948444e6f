"""Scores that a detector gives to windows it did not learn from: the support set and the reference, out of fold."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError, NonFiniteError
from trainables.protocol import Detector

FOLDS = 3
"""Few, since every fold is one more fit."""

NEIGHBOURHOOD = 4
"""Window lengths that one group of normal support windows spans."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutScores:
    """Scores of the support set [K], if asked for, and of the unlabelled reference [R], by fits that did not see it."""

    support: NDArray[np.float32] | None
    reference: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class _Groups:
    """What goes into one fold together: a fault, or normal windows near one another. Faults come first."""

    of_window: NDArray[np.int64]
    first_end: NDArray[np.int64]
    last_end: NDArray[np.int64]
    faults: int


def why_not_held_out(support: LabelledWindows) -> str | None:
    """Return why a support set cannot be divided into folds, or None if it can."""
    groups = _groups(support)
    normal = len(groups.first_end) - groups.faults
    if groups.faults >= 2 and normal >= 2:
        return None
    return f"the support set has {groups.faults} faults and {normal} normal stretches; two of each are needed"


def held_out_scores(
    build: Callable[[], Detector], support: LabelledWindows, reference: Windows, *, of_support: bool = True
) -> HeldOutScores:
    """Score support set and reference by cross-fitting.

    The support set is divided by fault and by neighbourhood into at most `FOLDS` folds. Each fold is scored by
    a detector fitted on the others; a reference window is scored with the fold of the group that it lies in or
    is nearest to, by a detector that saw no label of that group. Scores of a detector on windows it learned
    from are higher on faults than on any later fault, and a quantile of them is a threshold that no new fault
    reaches.

    Parameters
    ----------
    build
        Makes an unfitted detector.
    support
        Labelled windows [K]; `why_not_held_out` must be None.
    reference
        Unlabelled windows [R]; each fit may see all of them, since they carry no label.
    of_support
        False: the support set is not scored, which a network takes seconds for.
    """
    groups = _groups(support)
    nearest = _nearest_group(groups, reference.ends)
    on_support = np.full(len(support), np.nan, dtype=np.float32)
    on_reference = np.full(len(reference), np.nan, dtype=np.float32)
    splitter = StratifiedGroupKFold(n_splits=min(FOLDS, groups.faults))
    for train, held_out in splitter.split(support.ends, support.y, groups.of_window):
        detector = build()
        detector.fit(support.take(train), reference)
        if of_support:
            on_support[held_out] = checked_scores(detector, support.take(held_out))
        mine = np.flatnonzero(np.isin(nearest, groups.of_window[held_out]))
        on_reference[mine] = checked_scores(detector, reference.take(mine))
    return HeldOutScores(on_support if of_support else None, on_reference)


def held_out_share(
    support: LabelledWindows, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Divide a support set into windows to learn from and windows to stop by; None if it is too small for that.

    Whole faults and whole neighbourhoods go to one side. Each class that the support set has keeps two groups
    or more on both sides.

    Parameters
    ----------
    support
        Labelled windows [K].
    share
        Of the groups of each class that are held out, in (0, 1).
    seed
        Of the choice.

    Returns
    -------
    tuple of int64 arrays
        Positions in the support set, increasing: learned from, held out.
    """
    groups = _groups(support)
    rng = np.random.default_rng(seed)
    chosen: list[NDArray[np.int64]] = []
    for first, last in ((0, groups.faults), (groups.faults, len(groups.first_end))):
        count = max(2, round(share * (last - first)))
        if last > first and last - first - count < 2:
            return None
        chosen.append(first + rng.permutation(last - first)[:count])
    held = np.isin(groups.of_window, np.concatenate(chosen))
    return np.flatnonzero(~held), np.flatnonzero(held)


def checked_scores(detector: Detector, windows: Windows) -> NDArray[np.float32]:
    """Return scores [N], rounded to the precision of the score file.

    Raises
    ------
    DetectorError
        The detector returned another shape.
    NonFiniteError
        A score is NaN or infinite.
    """
    plain = windows.unlabelled() if isinstance(windows, LabelledWindows) else windows
    values = np.asarray(detector.score(plain), dtype=np.float64)
    if values.shape != (len(windows),):
        raise DetectorError(f"score returned shape {values.shape}, expected ({len(windows)},)")
    rounded = values.astype(np.float32)
    if not np.isfinite(rounded).all():
        bad = int((~np.isfinite(rounded)).sum())
        raise NonFiniteError(f"{bad} of {len(windows)} scores are NaN or infinite")
    return rounded


def _groups(support: LabelledWindows) -> _Groups:
    neighbourhood = support.ends // (NEIGHBOURHOOD * support.length)
    faulty = support.y == 1
    # [K, 2]: faults sort before neighbourhoods
    keys = np.stack([~faulty, np.where(faulty, support.event, neighbourhood)], axis=1)
    unique, of_window = np.unique(keys, axis=0, return_inverse=True)
    count = len(unique)
    first, last = np.full(count, np.iinfo(np.int64).max), np.full(count, -1, dtype=np.int64)
    np.minimum.at(first, of_window, support.ends)
    np.maximum.at(last, of_window, support.ends)
    return _Groups(of_window.astype(np.int64), first, last, faults=int((unique[:, 0] == 0).sum()))


def _nearest_group(groups: _Groups, ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the group [R] whose stretch of window ends holds each end or is nearest to it; a fault if equal."""
    before = groups.first_end[None, :] - ends[:, None]  # [R, groups]
    after = ends[:, None] - groups.last_end[None, :]
    distance = np.maximum(np.maximum(before, after), 0)
    return np.asarray(distance.argmin(axis=1), dtype=np.int64)
