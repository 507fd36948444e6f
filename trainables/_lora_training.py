"""What both objectives of `moment_lora` need to train: adapters in place, the schedule, when to stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trainables._memory import MicroBatches, in_parts
from trainables._moment import LoraSettings, MomentBackbone, adapted_from, twin
from trainables._moment_config import parsed_targets, precision_of
from trainables._torch import EarlyStopping, Schedule
from trainables.data.windows import LabelledWindows
from trainables.moment_lora import MomentLoraConfig
from trainables.moment_memory import Telemetry, cap_of, lora_footprint, lora_passes
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
    memory
        Windows of a training pass, and whether it recomputes activations.
    merges
        Whether adapters are added to their weights when training ends: not in bf16, which would round what they add.
    """

    backbone: MomentBackbone
    parameters: dict[str, Tensor]
    first_layer: int
    memory: MicroBatches
    merges: bool

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
            if self.merges:
                self.backbone.merge()


def adapt(
    config: MomentLoraConfig, resources: TrialResources, frozen: MomentBackbone, telemetry: Telemetry, windows: int
) -> Adapted:
    """Put adapters into a twin of the frozen backbone, to be trained on so many windows.

    Raises
    ------
    MemoryCapError
        Not even one window of a training step fits the cap.
    """
    first = adapted_from(config.adapted_layers, frozen)
    backbone = twin(frozen)
    parameters = backbone.add_lora(lora_settings(config, first))
    counted = config.model_copy(update={"precision": precision_of(config, resources)})
    parts = lora_footprint(frozen.config, counted, telemetry)
    passes = lora_passes(parts, config, telemetry.channels, windows, cap_of(resources))
    memory = MicroBatches(
        passes.micro_batch,
        passes.checkpointing,
        may_checkpoint=True,
        channels=passes.channels,
        all_channels=parts.channels,
    )
    return Adapted(backbone, parameters, first, memory, merges=counted.precision == "fp32")


def telemetry_of(windows: LabelledWindows) -> Telemetry:
    """Return what memory depends on of a support set."""
    types = len(np.unique(windows.fault_type[windows.y == 1]))
    return Telemetry(windows.channels, windows.length, types)


def lora_settings(config: MomentLoraConfig, first_layer: int) -> LoraSettings:
    """Return what PEFT is asked for."""
    return LoraSettings(
        config.rank, config.alpha, config.dropout, parsed_targets(config.targets), first_layer, config.rank_stabilised
    )


def schedule_of(config: MomentLoraConfig, count: int, memory: MicroBatches) -> Schedule:
    """Return how long to train on `count` windows: at least two steps, so that A has a gradient too."""
    passes = min(config.epochs * count, config.max_window_passes)
    return Schedule(config.learning_rate, max(passes, 2 * config.batch), config.batch, memory.size)


def stopping_at(losses: Callable[[Tensor], Tensor], count: int, adapted: Adapted, schedule: Schedule) -> EarlyStopping:
    """Return early stopping by the mean loss of `count` held-out windows, a few at a time and without dropout."""

    def mean_loss() -> float:
        adapted.backbone.adapted.eval()
        with torch.no_grad():
            found = in_parts(losses, count, adapted.memory.size)
        adapted.backbone.adapted.train()
        return found.mean().item()

    steps = -(-schedule.passes // schedule.batch)
    return EarlyStopping(mean_loss, max(1, round(steps / LOOKS)), PATIENCE)
