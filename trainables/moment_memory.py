"""How a MOMENT detector's settings become a memory estimate: what `--dry-run` says and what a trial obeys. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from trainables import memory, memory_caps
from trainables._moment_checks import check_suits
from trainables._moment_config import MomentConfig, parsed_targets
from trainables._moment_input import context_width
from trainables.errors import DetectorError
from trainables.memory import Architecture, Footprint, Training
from trainables.memory_caps import Cap, Passes
from trainables.moment_lora import MomentLoraConfig
from trainables.protocol import DetectorConfig, TrialResources

GPU_WINDOWS = 4
"""Windows of a pass without gradient on a GPU."""

CPU_SCORED = 132
"""Channel-windows that pass without gradient on a CPU: more leave its cache, fewer keep it waiting. Measured at 16 to
1,056 channels of 32 and 64 steps: 88 to 176 are fastest, 352 take a fifth longer."""

CPU_CHANNEL_WINDOWS = 352
"""Channel-windows of a training pass on a CPU: four windows of 88 channels, whose activations stay in its cache."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What memory depends on beside the detector: channels, steps of a window, fault types."""

    channels: int
    length: int
    types: int


def cap_of(resources: TrialResources) -> Cap | None:
    """Return the cap of a trial; None where nobody set one."""
    if resources.device == "cpu":
        return None if resources.host_memory_gb is None else memory_caps.host_cap(resources.host_memory_gb)
    return None if resources.gpu_memory_gb is None else memory_caps.gpu_cap(resources.gpu_memory_gb)


def trains(kind: type[DetectorConfig]) -> bool:
    """Say whether detectors with such settings train adapters, and not just a head."""
    return issubclass(kind, MomentLoraConfig)


def detector_passes(
    backbone: Mapping[str, object], config: DetectorConfig, telemetry: Telemetry, windows: int, cap: Cap
) -> Passes:
    """Divide what a MOMENT detector does at most: a training step of up to `windows` windows, or a scoring pass.

    Raises
    ------
    MemoryCapError
        Not even one window fits.
    DetectorError
        Not the settings of a MOMENT detector, or they do not suit the backbone or the window.
    """
    if isinstance(config, MomentConfig):
        check_suits(backbone, config, telemetry.length)
    if isinstance(config, MomentLoraConfig):
        parts = lora_footprint(backbone, config, telemetry)
        return lora_passes(parts, config, telemetry.channels, windows, cap)
    if isinstance(config, MomentConfig):
        return scoring_passes(backbone, config, telemetry.channels, telemetry.length, cap)
    raise DetectorError(f"{type(config).__name__} has a backbone, but is not the settings of a MOMENT detector")


def lora_footprint(backbone: Mapping[str, object], config: MomentLoraConfig, telemetry: Telemetry) -> Footprint:
    """Return the bytes of a training step on a backbone, given its config.json.

    Raises
    ------
    WeightsError
        Not a MOMENT configuration.
    """
    size = memory.architecture(backbone)
    return memory.footprint(size, _training(size, config, telemetry))


def lora_passes(parts: Footprint, config: MomentLoraConfig, channels: int, windows: int, cap: Cap | None) -> Passes:
    """Divide a training step of at most `windows` windows under a cap.

    Raises
    ------
    MemoryCapError
        Not even one window fits.
    """
    batch = min(config.batch, windows)
    if cap is None or cap.key == memory_caps.HOST_KEY:
        batch = min(batch, max(1, CPU_CHANNEL_WINDOWS // kept_channels(config, channels)))
    if cap is None:
        return Passes(batch, checkpointing=False, gb=parts.bytes(batch, checkpointing=False) / memory.GB)
    return memory_caps.divide(parts, cap, batch)


def scoring_passes(
    backbone: Mapping[str, object], config: MomentConfig, channels: int, length: int, cap: Cap
) -> Passes:
    """Return how many windows pass at once where no gradient is needed, of one how many channels, and what that takes.

    Raises
    ------
    MemoryCapError
        Not even one channel fits.
    """
    size = memory.architecture(backbone)
    kept = kept_channels(config, channels)
    windows = 1 if cap.key == memory_caps.HOST_KEY else GPU_WINDOWS
    return memory_caps.divide_scoring(size, memory.scoring_bytes(size, length, _precision(config)), kept, cap, windows)


def scored_at_once(backbone: Mapping[str, object], config: MomentConfig, length: int, cap: Cap | None) -> int:
    """Return how many channel-windows pass at once without gradient; one where the plan refuses even that."""
    if cap is None:
        return CPU_SCORED
    size = memory.architecture(backbone)
    weights = size.parameters
    if isinstance(config, MomentLoraConfig) and _precision(config) == "fp32":  # merged weights are copies
        weights += memory.adapted_weights(size, _adapted_layers(size, config), parsed_targets(config.targets))
    channel = memory.scoring_bytes(size, length, _precision(config))
    fits = max(1, memory_caps.scoring_channels(memory.FP32 * weights, channel, cap))
    return min(CPU_SCORED, fits) if cap.key == memory_caps.HOST_KEY else fits


def kept_channels(config: MomentConfig, channels: int) -> int:
    """Return how many channels go through the backbone."""
    return channels if config.channels == "all" else min(config.channels, channels)


def _training(size: Architecture, config: MomentLoraConfig, telemetry: Telemetry) -> Training:
    kept = kept_channels(config, telemetry.channels)
    classifies = config.objective == "classify"
    features = kept * size.width + (context_width(telemetry.channels) if config.context == "level_scale" else 0)
    outputs = 1 + (telemetry.types if telemetry.types > 1 else 0)
    return Training(
        channels=kept,
        length=telemetry.length,
        rank=config.rank,
        targets=parsed_targets(config.targets),
        layers=_adapted_layers(size, config),
        precision=_precision(config),
        head_parameters=outputs * (features + 1) if classifies else size.patch * (size.width + 1),
        last_only=classifies,
    )


def _adapted_layers(size: Architecture, config: MomentLoraConfig) -> int:
    return size.layers if config.adapted_layers == "all" else min(config.adapted_layers, size.layers)


def _precision(config: MomentConfig) -> Literal["fp32", "bf16"]:
    """Return what is counted with; who knows what `auto` ends in has put that in its place before."""
    return "bf16" if config.precision == "bf16" else "fp32"
