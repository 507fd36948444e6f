"""Features of the MOMENT classifiers: embeddings of every channel, how far they stray, and context beside them."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trainables import _frozen
from trainables._moment import MomentBackbone
from trainables._moment_input import EXTREMES, LIMIT, Context, InputScaling, fit_context, fit_scaling
from trainables.data.windows import Windows

LEAST_DEVIATION = 1e-3
"""Embeddings are of order 1; a coordinate that moves less than this over the reference is not amplified further."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Turns windows into the features of a linear head.

    Blocks, each divided by the root of its width so that a penalty on weights treats blocks alike:

    - the embedding of the last patch of every kept channel, standardised by the reference and cut at +-8; channels
      stay apart, because averaging them would throw away the one that matters;
    - how far the embeddings stray: the log of each channel's root mean square of the former, and of it the means of
      the 1, 3, 10 and all largest over channels, standardised by the reference. It knows no channel by name, so a
      fault in a channel that no shot has shown still moves it, and one window of C channels teaches the adapters,
      which are shared by all channels, C times;
    - `Context`, or nothing.

    Attributes
    ----------
    scaling, context
        Fitted on the reference; context None leaves it out.
    mean, deviation : float32 [C', d]
        Of the frozen backbone's embeddings over the reference.
    far_mean, far_deviation : float32 [4]
        Of the distances' extremes over the reference.
    """

    scaling: InputScaling
    context: Context | None
    mean: Tensor
    deviation: Tensor
    far_mean: Tensor
    far_deviation: Tensor

    def sequences(self, windows: Windows) -> Tensor:
        """Return the backbone's input [N, C', L]."""
        return torch.from_numpy(self.scaling.sequences(windows))

    def beside(self, windows: Windows) -> Tensor:
        """Return the context [N, F'], F' = 0 without one."""
        if self.context is None:
            return torch.empty(len(windows), 0)
        return torch.from_numpy(self.context.features(windows))

    def joined(self, embeddings: Tensor, beside: Tensor) -> Tensor:
        """Return features [n, F] of embeddings [n, C', d] and context [n, F']."""
        device = embeddings.device
        standardised = _standardised(embeddings.float(), self.mean.to(device), self.deviation.to(device))
        far = _standardised(_extremes(standardised), self.far_mean.to(device), self.far_deviation.to(device))
        blocks = (standardised.flatten(1), far)
        return torch.cat([*(block / block.shape[1] ** 0.5 for block in blocks), beside.to(device)], dim=1)


def fit_features(
    backbone: MomentBackbone,
    how: _frozen.WindowPass,
    reference: Windows,
    *,
    context: Literal["level_scale", "none"],
    keep: int | Literal["all"],
) -> Features:
    """Fit scaling, choice of channels and standardisation on the unlabelled reference."""
    scaling = fit_scaling(reference, how.normalise, keep)
    embedded = _frozen.embeddings(backbone, torch.from_numpy(scaling.sequences(reference)), how)
    mean, deviation = _moments(embedded)
    far_mean, far_deviation = _moments(_extremes(_standardised(embedded, mean, deviation)))
    beside = fit_context(reference, scaling) if context == "level_scale" else None
    return Features(scaling, beside, mean, deviation, far_mean, far_deviation)


def frozen_features(backbone: MomentBackbone, how: _frozen.WindowPass, features: Features, windows: Windows) -> Tensor:
    """Return the features [N, F] that the frozen backbone gives."""
    embedded = _frozen.embeddings(backbone, features.sequences(windows), how)
    return features.joined(embedded, features.beside(windows))


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    return values.mean(dim=0), values.std(dim=0, unbiased=False).clamp_min(LEAST_DEVIATION)


def _standardised(values: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    return ((values - mean) / deviation).clamp(-LIMIT, LIMIT)


def _extremes(standardised: Tensor) -> Tensor:
    """Return means over the channels that stray farthest, of log distances: [n, C', d] -> [n, 4]."""
    distances = standardised.square().mean(dim=2).clamp_min(LEAST_DEVIATION**2).log() / 2  # [n, C']
    ordered = distances.sort(dim=1, descending=True).values
    return torch.stack([ordered[:, :count].mean(dim=1) for count in (*EXTREMES, ordered.shape[1])], dim=1)
