"""Fitting and running MOMENT with adapters and a linear head; the torch half of `moment_lora`'s `classify`."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name everybody uses)
from numpy.typing import NDArray
from torch import Tensor

from trainables import _frozen
from trainables._linear_head import LinearHead, class_names, class_weights, fit_head
from trainables._lora_training import Adapted, adapt, schedule_of, stopping_at, telemetry_of
from trainables._memory import MicroBatches, in_parts
from trainables._moment import MomentBackbone
from trainables._moment_features import Features, fit_features, frozen_features
from trainables._served import Served
from trainables._torch import autocast, torch_session, train
from trainables.data.windows import LabelledWindows, Windows
from trainables.held_out import held_out_share
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
    memory
        Windows of a forward pass in training, and whether it recomputes activations.
    length
        Steps of the windows it was fitted on.
    steps
        Training steps whose result was kept.
    """

    backbone: MomentBackbone
    head: dict[str, Tensor]
    features: Features
    how: _frozen.WindowPass
    resources: TrialResources
    names: tuple[str, ...]
    first_layer: int
    memory: MicroBatches
    trainable_parameters: int
    length: int
    steps: int = 0

    def outputs(self, windows: Windows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return log-odds of a fault [N] and scores of the types [N, types]."""
        sequences, beside = self.features.sequences(windows), self.features.beside(windows)
        with torch_session(self.resources), torch.no_grad():

            def one(index: Tensor) -> Tensor:
                alarm, types = self.forward(sequences[index], beside[index])
                return torch.cat([alarm[:, None], types], dim=1)

            outputs = in_parts(one, len(windows), self.how.batch).cpu().numpy().astype(np.float64)  # [N, 1 + types]
        return outputs[:, 0], outputs[:, 1:]

    def forward(self, sequences: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
        """Compute log-odds [n] and type scores [n, types] of sequences [n, C', L] and their context [n, F']."""
        features = self.adapted_features(sequences, beside)
        alarm = (features * self.head["alarm.weight"]).sum(1) + self.head["alarm.bias"]
        if "types.weight" not in self.head:
            return alarm, torch.zeros(len(features), len(self.names) - 1, device=features.device)
        return alarm, features @ self.head["types.weight"] + self.head["types.bias"]

    def adapted_features(self, sequences: Tensor, beside: Tensor) -> Tensor:
        """Return features [n, F] of sequences [n, C', L] and their context [n, F']."""
        below = _frozen.states(self.backbone, sequences, self.how, self.first_layer)  # [n, C', P, d]
        states = below.flatten(0, 1).to(self.how.device)  # [n C', P, d]
        with autocast(self.how.device, self.how.precision):
            embedded = self.memory.through(self._embedded, states, self.how.at_once)
        return self.features.joined(embedded.view(*below.shape[:2], -1), beside)

    def _embedded(self, states: Tensor, *, save_memory: bool = False) -> Tensor:
        """Return the embeddings of the last patch [S, d] of states [S, P, d] before the first adapted block."""
        stop = self.backbone.layers
        last = self.backbone.run(states, self.first_layer, stop, last_only=True, save_memory=save_memory)
        return self.backbone.finish(last)[:, 0]


def fit_lora(
    config: MomentLoraConfig, resources: TrialResources, support: LabelledWindows, reference: Windows, served: Served
) -> LoraModel:
    """Fit head and adapters; see `MomentLora.fit`."""
    with torch_session(resources) as device:
        frozen, how = _frozen.open_frozen(config, resources, support.length, served)
        features = fit_features(frozen, how, reference, context=config.context, keep=config.channels)
        parts = held_out_share(support, config.held_out, resources.seed) if config.held_out else None
        shown = support if parts is None else support.take(parts[0])
        head = fit_head(frozen_features(frozen, how, features, shown).numpy(), shown, config.C)

        adapted = adapt(config, resources, frozen, telemetry_of(support), len(shown))
        model = LoraModel(
            adapted.backbone,
            _head_tensors(head, device),
            features,
            how,
            resources,
            class_names(head),
            adapted.first_layer,
            adapted.memory,
            0,
            support.length,
        )
        model.steps = _train(model, adapted, config, shown, None if parts is None else support.take(parts[1]))
        if parts is not None:
            _refit_head(model, config, support, device)
        model.trainable_parameters = sum(t.numel() for t in (*adapted.parameters.values(), *model.head.values()))
    return model


def _train(
    model: LoraModel,
    adapted: Adapted,
    config: MomentLoraConfig,
    shown: LabelledWindows,
    held_out: LabelledWindows | None,
) -> int:
    """Train adapters and head; return the number of steps whose result was kept."""
    losses = _Losses(model, shown, shown)
    schedule = schedule_of(config, len(shown), model.memory)
    parameters = adapted.parameters | {f"head.{name}": tensor for name, tensor in model.head.items()}

    def penalty() -> Tensor:
        squares = [tensor.square().sum() for name, tensor in model.head.items() if name.endswith("weight")]
        return torch.stack(squares).sum() / (2 * config.C * len(shown))

    stopping = None
    if held_out is not None:
        stopping = stopping_at(_Losses(model, held_out, shown), len(held_out), adapted, schedule)
    with adapted.training():
        return train(
            parameters,
            losses,
            len(shown),
            schedule,
            seed=model.resources.seed,
            penalty=penalty,
            late=[name for name in parameters if "lora_A" in name],
            occasional=["head.types.weight", "head.types.bias"],
            stopping=stopping,
            micro_batches=model.memory,
        )


class _Losses:
    """Cross-entropy of fault or not, and of the fault type given a fault, both with balanced classes.

    Parameters
    ----------
    model
        Gives the outputs.
    windows
        Whose losses these are.
    shown
        What the model learns from, whose counts give the class weights; types that it lacks have no loss.
    """

    def __init__(self, model: LoraModel, windows: LabelledWindows, shown: LabelledWindows) -> None:
        device = model.how.device
        self._model = model
        self._sequences, self._beside = model.features.sequences(windows), model.features.beside(windows)
        self._y = torch.from_numpy(windows.y.astype(np.float32)).to(device)
        self._weight = torch.from_numpy(class_weights(shown.y)[windows.y]).to(device)
        types = np.asarray(model.names[1:], dtype=np.str_)
        kind = np.minimum(np.searchsorted(types, windows.fault_type), len(types) - 1)
        known = (windows.y == 1) & (types[kind] == windows.fault_type)
        shown_kind = np.searchsorted(types, shown.fault_type[shown.y == 1])
        self._kind = torch.from_numpy(kind).to(device)
        weights = np.where(known, class_weights(shown_kind, len(types))[kind], 0)
        self._type_weight = torch.from_numpy(weights.astype(np.float32)).to(device)

    def __call__(self, index: Tensor) -> Tensor:
        alarm, types = self._model.forward(self._sequences[index], self._beside[index])
        loss = self._weight[index] * F.binary_cross_entropy_with_logits(alarm, self._y[index], reduction="none")
        if types.shape[1] > 1:
            loss = loss + self._type_weight[index] * F.cross_entropy(types, self._kind[index], reduction="none")
        return loss


def _refit_head(model: LoraModel, config: MomentLoraConfig, support: LabelledWindows, device: torch.device) -> None:
    """Fit the head anew on the adapted features of all shots: those held out too have taught something then."""
    sequences, beside = model.features.sequences(support), model.features.beside(support)
    with torch.no_grad():
        features = in_parts(
            lambda index: model.adapted_features(sequences[index], beside[index]).cpu(), len(support), model.how.batch
        )
    head = fit_head(features.numpy(), support, config.C)
    model.head = {name: tensor.requires_grad_(False) for name, tensor in _head_tensors(head, device).items()}
    model.names = class_names(head)


def _head_tensors(head: LinearHead, device: torch.device) -> dict[str, Tensor]:
    """Return the head as trainable tensors; a single fault type needs no choice."""
    arrays = {"alarm.weight": head.alarm_weight, "alarm.bias": np.array([head.alarm_bias], dtype=np.float32)}
    if len(head.types) > 1:
        arrays |= {"types.weight": head.type_weight, "types.bias": head.type_bias}
    return {name: torch.tensor(array, device=device, requires_grad=True) for name, array in arrays.items()}
