"""Fitting and running MOMENT with adapters and head; the torch half of `moment_lora`."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name everybody uses)
from numpy.typing import NDArray
from torch import Tensor

from trainables import _frozen
from trainables._linear_head import LinearHead, class_names, class_weights, fit_head
from trainables._moment import LoraSettings, MomentBackbone, adapted_from, check_trainable, patch_count, twin
from trainables._moment_config import parsed_targets
from trainables._moment_features import Features, fit_features, frozen_features
from trainables._torch import Schedule, autocast, torch_session, train
from trainables.data.windows import LabelledWindows, Windows
from trainables.moment_lora import MomentLoraConfig
from trainables.protocol import TrialResources


@dataclass(slots=True, eq=False)
class LoraModel:
    """An adapted backbone, its head, and how windows reach them.

    Attributes
    ----------
    backbone
        With adapters in place from block `first_layer` on.
    head
        Tensors `alarm.weight` [F], `alarm.bias` [1], and with two types or more `types.weight` [F, types] and
        `types.bias` [types].
    names
        `normal`, then the fault types.
    micro_batch
        Windows of a forward pass in training.
    length
        Steps of the windows it was fitted on.
    """

    backbone: MomentBackbone
    head: dict[str, Tensor]
    features: Features
    how: _frozen.WindowPass
    resources: TrialResources
    names: tuple[str, ...]
    first_layer: int
    micro_batch: int
    trainable_parameters: int
    length: int

    def outputs(self, windows: Windows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return log-odds of a fault [N] and scores of the types [N, types]."""
        sequences, beside = self.features.sequences(windows), self.features.beside(windows)
        with torch_session(self.resources), torch.no_grad():
            parts = zip(torch.split(sequences, self.how.batch), torch.split(beside, self.how.batch), strict=True)
            outputs = [self.forward(*part) for part in parts]
            alarm = torch.cat([output[0] for output in outputs])
            types = torch.cat([output[1] for output in outputs])
        return alarm.cpu().numpy().astype(np.float64), types.cpu().numpy().astype(np.float64)

    def forward(self, sequences: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-odds [n] and type scores [n, types] of sequences [n, C', L] and their context [n, F']."""
        device = self.how.device
        below = _frozen.states(self.backbone, sequences, self.how, self.first_layer)  # [n, C', P, d]
        with autocast(device, self.how.precision):
            states = below.flatten(0, 1).to(device)  # [n C', P, d]
            last = self.backbone.run(states, self.first_layer, self.backbone.layers, last_only=True)
            embedded = self.backbone.finish(last)[:, 0].view(*below.shape[:2], -1)  # [n, C', d]
        features = self.features.joined(embedded, beside)
        alarm = (features * self.head["alarm.weight"]).sum(1) + self.head["alarm.bias"]
        if "types.weight" not in self.head:
            return alarm, torch.zeros(len(below), len(self.names) - 1, device=device)
        return alarm, features @ self.head["types.weight"] + self.head["types.bias"]


def fit_lora(
    config: MomentLoraConfig, resources: TrialResources, support: LabelledWindows, reference: Windows
) -> LoraModel:
    """Fit head and adapters; see `MomentLora.fit`."""
    with torch_session(resources) as device:
        frozen, how = _frozen.open_frozen(config, resources, support.length)
        first = adapted_from(config.adapted_layers, frozen)
        targets = parsed_targets(config.targets)
        check_trainable(targets, patch_count(support.length, frozen))
        features = fit_features(frozen, how, reference, context=config.context, keep=config.channels)
        head = fit_head(frozen_features(frozen, how, features, support).numpy(), support, config.C)

        backbone = twin(frozen)
        settings = LoraSettings(config.rank, config.alpha_ratio * config.rank, config.dropout, targets, first)
        adapters = backbone.add_lora(settings)
        tensors = _head_tensors(head, device)
        parameters = adapters | {f"head.{name}": tensor for name, tensor in tensors.items()}
        micro_batch = _frozen.windows_a_pass(
            backbone, len(features.scaling.kept), support.length, backbone.layers - first, resources
        )
        model = LoraModel(
            backbone,
            tensors,
            features,
            how,
            resources,
            class_names(head),
            first,
            min(micro_batch, config.batch, len(support)),
            sum(tensor.numel() for tensor in parameters.values()),
            support.length,
        )
        _train(model, parameters, config, support)
    return model


def _train(model: LoraModel, parameters: dict[str, Tensor], config: MomentLoraConfig, support: LabelledWindows) -> None:
    device = model.how.device
    sequences, beside = model.features.sequences(support), model.features.beside(support)
    y = torch.from_numpy(support.y.astype(np.float32)).to(device)
    weight = torch.from_numpy(class_weights(support.y)).to(device)
    kind = torch.from_numpy(np.searchsorted(model.names[1:], support.fault_type)).to(device)
    kind = kind.clamp(max=len(model.names) - 2)  # of normal windows: never used

    def losses(index: Tensor) -> Tensor:
        alarm, types = model.forward(sequences[index], beside[index])
        loss = weight[index] * F.binary_cross_entropy_with_logits(alarm, y[index], reduction="none")
        if types.requires_grad:
            loss = loss + y[index] * F.cross_entropy(types, kind[index], reduction="none")
        return loss

    def penalty() -> Tensor:
        squares = [tensor.square().sum() for name, tensor in model.head.items() if name.endswith("weight")]
        return torch.stack(squares).sum() / (2 * config.C * len(support))

    passes = min(config.epochs * len(support), config.max_window_passes)
    schedule = Schedule(config.learning_rate, max(passes, 2 * config.batch), config.batch, model.micro_batch)
    model.backbone.adapted.train()  # only the adapters' dropout is affected: the blocks are computed without any
    train(
        parameters,
        losses,
        len(support),
        schedule,
        seed=model.resources.seed,
        penalty=penalty,
        late=[name for name in parameters if "lora_A" in name],
    )
    model.backbone.adapted.eval()
    for tensor in parameters.values():
        tensor.requires_grad_(False)
        tensor.grad = None


def _head_tensors(head: LinearHead, device: torch.device) -> dict[str, Tensor]:
    """Return the head as trainable tensors; a single fault type needs no choice."""
    arrays = {"alarm.weight": head.alarm_weight, "alarm.bias": np.array([head.alarm_bias], dtype=np.float32)}
    if len(head.types) > 1:
        arrays |= {"types.weight": head.type_weight, "types.bias": head.type_bias}
    return {name: torch.tensor(array, device=device, requires_grad=True) for name, array in arrays.items()}
