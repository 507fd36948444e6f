"""What a support set must hold before a classifier can learn from it."""

import numpy as np
from numpy.typing import NDArray

from trainables._features import column_groups
from trainables.data.windows import LabelledWindows
from trainables.errors import DetectorError


def require_both_classes(support: LabelledWindows) -> None:
    """Refuse a support set of one class: a score learned from it would mean nothing.

    Raises
    ------
    DetectorError
        No normal window, or no faulty one.
    """
    faults = int((support.y == 1).sum())
    normals = len(support) - faults
    if not faults or not normals:
        raise DetectorError(
            f"a classifier needs normal and faulty windows; this support set has {normals} normal and {faults} faulty"
        )


def standardisation(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation [F] of reference features [R, F]; a feature that never varies gets 1."""
    deviation = np.concatenate([group.std(axis=0) for group in column_groups(features)])
    return features.mean(axis=0), np.where(deviation > 1e-9, deviation, 1.0)
