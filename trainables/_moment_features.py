"""Features of the MOMENT classifiers: embeddings of every channel, and context beside them."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trainables import _frozen
from trainables._moment import MomentBackbone
from trainables._moment_input import LIMIT, Context, InputScaling, fit_context, fit_scaling
from trainables.data.windows import Windows

LEAST_DEVIATION = 1e-3
"""Embeddings are of order 1; a coordinate that moves less than this over the reference is not amplified further."""


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Turns windows into the features of a linear head.

    One block holds the embedding of the last patch of every kept channel, standardised by the reference, cut at
    +-8 and divided by the root of its width; channels stay apart, because averaging them would throw away the
    one that matters. The other is `Context`, or nothing.

    Attributes
    ----------
    scaling, context
        Fitted on the reference; context None leaves it out.
    mean, deviation : float32 [C', d]
        Of the frozen backbone's embeddings over the reference.
    """

    scaling: InputScaling
    context: Context | None
    mean: Tensor
    deviation: Tensor

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
        mean, deviation = self.mean.to(embeddings.device), self.deviation.to(embeddings.device)
        standardised = ((embeddings.float() - mean) / deviation).clamp(-LIMIT, LIMIT).flatten(1)
        return torch.cat([standardised / standardised.shape[1] ** 0.5, beside.to(embeddings.device)], dim=1)


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
    deviation = embedded.std(dim=0, unbiased=False).clamp_min(LEAST_DEVIATION)
    beside = fit_context(reference, scaling) if context == "level_scale" else None
    return Features(scaling, beside, embedded.mean(dim=0), deviation)


def frozen_features(backbone: MomentBackbone, how: _frozen.WindowPass, features: Features, windows: Windows) -> Tensor:
    """Return the features [N, F] that the frozen backbone gives."""
    embedded = _frozen.embeddings(backbone, features.sequences(windows), how)
    return features.joined(embedded, features.beside(windows))
