"""Masked reconstruction as MOMENT is pretrained: hide patches, normalise by what is visible, fill in.

References
----------
Goswami et al., "MOMENT: a family of open time-series foundation models", ICML 2024; momentfm 0.1.4
(`utils/masking.py`, `models/layers/revin.py`).
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables._moment import MomentBackbone, window_scale

HIDDEN_SHARE = 0.3
"""Of the patches of a window, as published."""


def hidden_patches(rng: np.random.Generator, count: int, patches: int) -> NDArray[np.bool_]:
    """Return which patches are hidden, bool [count, patches]: equally many in each row, at least one stays visible."""
    hidden = patches - math.ceil((1 - HIDDEN_SHARE) * patches)
    ranks = rng.random((count, patches)).argsort(axis=1).argsort(axis=1)
    return ranks < min(max(hidden, 1), patches - 1)


def reconstructed(backbone: MomentBackbone, windows: Tensor, hidden: Tensor) -> Tensor:
    """Return windows [n, L] as the backbone fills them in where patches `hidden` [n, P] are, in the same units."""
    visible = windows[~hidden.repeat_interleave(backbone.patch, dim=1)].view(len(windows), -1)
    mean, deviation = window_scale(visible)
    states = backbone.tokens((windows - mean) / deviation, hidden)
    embeddings = backbone.finish(backbone.run(states, 0, backbone.layers))
    return backbone.reconstruct(embeddings) * deviation + mean


def masked_error(windows: Tensor, filled: Tensor, hidden: Tensor) -> Tensor:
    """Return the mean squared error of each window [n] over its hidden steps."""
    steps = hidden.repeat_interleave(windows.shape[1] // hidden.shape[1], dim=1)
    return (windows - filled)[steps].view(len(windows), -1).square().mean(1)


def backbone_errors(backbone: MomentBackbone, windows: NDArray[np.float32], hidden: NDArray[np.bool_]) -> Tensor:
    """Return `masked_error` of a backbone on numpy windows, without gradient."""
    x, mask = torch.from_numpy(windows), torch.from_numpy(hidden)
    with torch.no_grad():
        return masked_error(x, reconstructed(backbone, x, mask), mask)
