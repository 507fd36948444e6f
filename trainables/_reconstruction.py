"""How badly a MOMENT reconstructs patches that it may or may not see; shared by zero-shot and adapted scores."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables._moment import MomentBackbone, window_scale
from trainables._moment_config import Masking

QUARTERS = 4


def fixed_masks(masking: Masking, patches: int) -> list[Tensor | None]:
    """Return which patches are hidden, bool [P] each; None hides nothing. One patch alone cannot be hidden.

    `last_patch` hides the last one; `fixed` hides it together with each quarter of the others in turn.
    """
    if masking == "none" or patches == 1:
        return [None]
    last = torch.arange(patches) == patches - 1
    if masking == "last_patch":
        return [last]
    quarter = torch.arange(patches) * QUARTERS // (patches - 1)
    return [last | (quarter == number) for number in range(QUARTERS) if patches > 2 or number == QUARTERS - 1]


def visible_scale(backbone: MomentBackbone, x: Tensor, hidden: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return RevIN's mean and deviation [S, 1] of the steps of sequences [S, L] that are not hidden."""
    return window_scale(x if hidden is None else x[:, ~hidden.repeat_interleave(backbone.patch)])


def last_patch_error(backbone: MomentBackbone, x: Tensor, masks: Sequence[Tensor | None], *, by_window: bool) -> Tensor:
    """Return the root mean squared error of the last patch of sequences [S, L], averaged over masks [S]."""
    errors = []
    for mask in masks:
        hidden = None if mask is None else mask.to(x.device)
        mean, deviation = visible_scale(backbone, x, hidden) if by_window else (0.0, 1.0)
        last = backbone.run(backbone.tokens((x - mean) / deviation, hidden), 0, backbone.layers, last_only=True)
        imputed = backbone.reconstruct(backbone.finish(last)).float() * deviation + mean  # [S, patch]
        errors.append((imputed - x[:, -backbone.patch :]).square().mean(-1).sqrt())
    return torch.stack(errors).mean(0)
