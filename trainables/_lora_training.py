"""What both objectives of `moment_lora` need to train: adapters in place, the schedule, when to stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from trainables import _frozen
from trainables._moment import LoraSettings, MomentBackbone, adapted_from, check_trainable, patch_count, twin
from trainables._moment_config import parsed_targets
from trainables._torch import EarlyStopping, Schedule
from trainables.moment_lora import MomentLoraConfig
from trainables.protocol import TrialResources

LOOKS = 8
"""At the held-out windows during training, beside the one before it."""

PATIENCE = 3
"""Looks without a new lowest loss after which training ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Adapted:
    """A backbone of its own with adapters in place.

    Attributes
    ----------
    parameters
        The adapters' tensors by name, in PEFT's naming.
    first_layer
        Blocks from this one on are adapted.
    micro_batch, save_memory
        Windows that fit a training pass, and whether activations must be recomputed for that.
    """

    backbone: MomentBackbone
    parameters: dict[str, Tensor]
    first_layer: int
    micro_batch: int
    save_memory: bool

    @contextmanager
    def training(self) -> Iterator[None]:
        """Switch the adapters' dropout on, and off again at the end, when nothing can be trained any more."""
        self.backbone.adapted.train()  # only the adapters' dropout is affected: the blocks are computed without any
        try:
            yield
        finally:
            self.backbone.adapted.eval()
            for tensor in self.parameters.values():
                tensor.requires_grad_(False)
                tensor.grad = None


def adapt(
    config: MomentLoraConfig, resources: TrialResources, frozen: MomentBackbone, length: int, channels: int
) -> Adapted:
    """Put adapters into a twin of the frozen backbone.

    Raises
    ------
    DetectorError
        Rank, layers or targets do not fit the backbone or the window.
    """
    first = adapted_from(config.adapted_layers, frozen)
    targets = parsed_targets(config.targets)
    check_trainable(targets, patch_count(length, frozen))
    backbone = twin(frozen)
    parameters = backbone.add_lora(lora_settings(config, first))
    trained_layers = backbone.layers - first
    micro_batch, save_memory = _frozen.training_pass(backbone, channels, length, trained_layers, resources)
    return Adapted(backbone, parameters, first, micro_batch, save_memory)


def lora_settings(config: MomentLoraConfig, first_layer: int) -> LoraSettings:
    """Return what PEFT is asked for."""
    return LoraSettings(
        config.rank, config.alpha, config.dropout, parsed_targets(config.targets), first_layer, config.rank_stabilised
    )


def schedule_of(config: MomentLoraConfig, count: int, micro_batch: int) -> Schedule:
    """Return how long to train on `count` windows: at least two steps, so that A has a gradient too."""
    passes = min(config.epochs * count, config.max_window_passes)
    return Schedule(config.learning_rate, max(passes, 2 * config.batch), config.batch, micro_batch)


def stopping_at(losses: Callable[[Tensor], Tensor], count: int, adapted: Adapted, schedule: Schedule) -> EarlyStopping:
    """Return early stopping by the mean loss of `count` held-out windows, a few at a time and without dropout."""

    def mean_loss() -> float:
        adapted.backbone.adapted.eval()
        with torch.no_grad():
            found = torch.cat([losses(part) for part in torch.split(torch.arange(count), schedule.micro_batch)])
        adapted.backbone.adapted.train()
        return found.mean().item()

    steps = -(-schedule.passes // schedule.batch)
    return EarlyStopping(mean_loss, max(1, round(steps / LOOKS)), PATIENCE)
