"""MOMENT adapted to reconstruct normal windows; the torch half of `moment_lora`'s `reconstruct`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name everybody uses)
from numpy.typing import NDArray
from torch import Tensor

from trainables import _frozen
from trainables._lora_training import Adapted, adapt, schedule_of, stopping_at, telemetry_of
from trainables._memory import MicroBatches, in_parts
from trainables._moment import MomentBackbone
from trainables._moment_input import InputScaling, fit_scaling
from trainables._reconstruction import fixed_masks, visible_scale
from trainables._served import Served
from trainables._torch import autocast, torch_session, train
from trainables.data.windows import LabelledWindows, Windows
from trainables.held_out import held_out_share
from trainables.moment_lora import MomentLoraConfig
from trainables.protocol import TrialResources


@dataclass(slots=True, eq=False)
class ReconstructionModel:
    """An adapted backbone and its reconstruction head.

    Attributes
    ----------
    backbone
        With adapters in place from block `first_layer` on.
    head
        Tensors `weight` [patch, d] and `bias` [patch], trained with the adapters.
    masks
        Hidden patches, bool [P] each: those of zero-shot's `masking: fixed`. Fixed masks let the frozen blocks
        below the adapters be computed once for each window and mask.
    memory, steps
        As in `LoraModel`.
    length
        Steps of the windows it was fitted on.
    """

    backbone: MomentBackbone
    head: dict[str, Tensor]
    scaling: InputScaling
    how: _frozen.WindowPass
    resources: TrialResources
    masks: list[Tensor | None]
    first_layer: int
    memory: MicroBatches
    trainable_parameters: int
    length: int
    steps: int = 0

    def errors(self, windows: Windows) -> NDArray[np.float64]:
        """Return root mean squared errors of the last patch, averaged over masks [N, C']."""
        sequences = torch.from_numpy(self.scaling.sequences(windows))
        with torch_session(self.resources), torch.no_grad():

            def one(index: Tensor) -> Tensor:
                squares = [self._squares(sequences[index], mask)[:, :, -self.backbone.patch :] for mask in self.masks]
                return torch.stack([square.mean(-1).sqrt() for square in squares]).mean(0).cpu()

            return in_parts(one, len(windows), self.how.batch).numpy().astype(np.float64)

    def loss(self, windows: Tensor, number: int) -> Tensor:
        """Return the mean squared error of the patches that mask `number` hides [n], of windows [n, C', L]."""
        mask = self.masks[number]
        squares = self._squares(windows, mask)
        return squares.mean((1, 2)) if mask is None else squares[:, :, self._steps(mask)].mean((1, 2))

    def _squares(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Return squared errors [n, C', L] in the scaled units of windows [n, C', L]."""
        device = self.how.device
        states = self._states(windows, mask)
        with autocast(device, self.how.precision):
            found = self.memory.through(self._reconstructed, states, self.how.at_once)  # [n C', L]
        flat = windows.flatten(0, 1).to(device)
        mean, deviation = self._scale(flat, mask)
        return (found.float() * deviation + mean - flat).square().view(windows.shape)

    def _reconstructed(self, states: Tensor, *, save_memory: bool = False) -> Tensor:
        """Return sequences [S, L] of states [S, P, d] before the first adapted block."""
        top = self.backbone.run(states, self.first_layer, self.backbone.layers, save_memory=save_memory)
        return F.linear(self.backbone.finish(top), self.head["weight"], self.head["bias"]).flatten(1)

    def _states(self, windows: Tensor, mask: Tensor | None) -> Tensor:
        """Return what enters the first adapted block [n C', P, d]."""

        def frozen_blocks(x: Tensor) -> Tensor:
            mean, deviation = self._scale(x, mask)
            hidden = None if mask is None else mask.to(x.device)
            return self.backbone.run(self.backbone.tokens((x - mean) / deviation, hidden), 0, self.first_layer)

        if self.first_layer == 0:
            with torch.no_grad():
                return frozen_blocks(windows.flatten(0, 1).to(self.how.device))
        hidden_patches = "" if mask is None else "".join(str(int(hidden)) for hidden in mask)
        what = f"states {self.first_layer} {self.how.normalise} hidden {hidden_patches}"
        how = replace(self.how, normalise="reference")  # RevIN must not see hidden patches: done above
        return _frozen.kept(windows, how, what, frozen_blocks).flatten(0, 1).to(self.how.device)

    def _scale(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor | float, Tensor | float]:
        if self.how.normalise == "reference":
            return 0.0, 1.0
        return visible_scale(self.backbone, x, None if mask is None else mask.to(x.device))

    def _steps(self, mask: Tensor) -> Tensor:
        return mask.repeat_interleave(self.backbone.patch)


def fit_reconstruction(
    config: MomentLoraConfig, resources: TrialResources, normal: LabelledWindows, reference: Windows, served: Served
) -> ReconstructionModel:
    """Fit adapters and reconstruction head to normal windows; see `MomentLora.fit`."""
    with torch_session(resources) as device:
        frozen, how = _frozen.open_frozen(config, resources, normal.length, served)
        scaling = fit_scaling(reference, config.normalise, config.channels)
        parts = held_out_share(normal, config.held_out, resources.seed) if config.held_out else None
        shown = normal if parts is None else normal.take(parts[0])
        adapted = adapt(config, resources, frozen, telemetry_of(normal), len(shown))
        module: Any = frozen.module
        head = {name: tensor.detach().clone().to(device) for name, tensor in module.head.linear.named_parameters()}
        model = ReconstructionModel(
            adapted.backbone,
            {name: tensor.requires_grad_() for name, tensor in head.items()},
            scaling,
            how,
            resources,
            fixed_masks("fixed", normal.length // frozen.patch),
            adapted.first_layer,
            adapted.memory,
            sum(tensor.numel() for tensor in (*adapted.parameters.values(), *head.values())),
            normal.length,
        )
        held_out = None if parts is None else normal.take(parts[1])
        model.steps = _train(model, adapted, config, shown, held_out)
    return model


def _train(
    model: ReconstructionModel,
    adapted: Adapted,
    config: MomentLoraConfig,
    shown: LabelledWindows,
    held_out: LabelledWindows | None,
) -> int:
    """Train adapters and head; return the number of steps whose result was kept."""
    parameters = adapted.parameters | {f"head.{name}": tensor for name, tensor in model.head.items()}
    schedule = schedule_of(config, len(shown), model.memory)
    stopping = None
    if held_out is not None:
        stopping = stopping_at(_losses(model, held_out), len(held_out), adapted, schedule)
    with adapted.training():
        steps = train(
            parameters,
            _losses(model, shown),
            len(shown),
            schedule,
            seed=model.resources.seed,
            late=[name for name in parameters if "lora_A" in name],
            stopping=stopping,
            micro_batches=model.memory,
        )
    for tensor in model.head.values():
        tensor.requires_grad_(False)
        tensor.grad = None
    return steps


def _losses(model: ReconstructionModel, windows: LabelledWindows) -> Callable[[Tensor], Tensor]:
    """Return the loss of windows by index; each window always has the same of the masks, dealt in turn."""
    sequences = torch.from_numpy(model.scaling.sequences(windows))

    def losses(index: Tensor) -> Tensor:
        number = index % len(model.masks)
        found = torch.zeros(len(index), device=model.how.device)
        for mask in range(len(model.masks)):
            mine = number == mask
            if not mine.any():
                continue
            found = found.masked_scatter(mine.to(found.device), model.loss(sequences[index[mine]], mask))
        return found

    return losses
