"""Whether settings of a MOMENT detector suit backbone and window: asked by the plan and by every trial. No torch."""

from collections.abc import Mapping

from trainables import memory
from trainables._moment_config import MomentConfig, parsed_targets
from trainables.errors import DetectorError
from trainables.memory import Architecture
from trainables.moment_lora import MomentLoraConfig


def check_suits(backbone: Mapping[str, object], config: MomentConfig, length: int) -> None:
    """Refuse settings that cannot work with the backbone of a config.json on windows of that many steps.

    Raises
    ------
    DetectorError
        The backbone takes no windows of this length; or the adapters have more layers or a higher rank than it, or
        could not learn.
    WeightsError
        Not a MOMENT configuration.
    """
    size = memory.architecture(backbone)
    longest = int(str(backbone["seq_len"]))
    if length % size.patch or not 0 < length <= longest:
        raise DetectorError(
            f"MOMENT takes windows of a multiple of {size.patch} steps, at most {longest}; got {length}"
        )
    if isinstance(config, MomentLoraConfig):
        _check_adapters(size, config, length // size.patch)


def _check_adapters(size: Architecture, config: MomentLoraConfig, patches: int) -> None:
    if config.adapted_layers != "all" and config.adapted_layers > size.layers:
        raise DetectorError(f"adapted_layers {config.adapted_layers}, but the backbone has {size.layers}")
    targets = parsed_targets(config.targets)
    smallest = min(size.width, *(size.other_side(name) for name in targets))
    if config.rank > smallest:
        raise DetectorError(f"rank {config.rank} is larger than the adapted matrices, {smallest} at most")
    idle = [name for name in targets if name in {"q", "k"}]
    if patches == 1 and idle:
        raise DetectorError(
            f"windows of one patch give attention no choice, so {' and '.join(idle)} cannot train; "
            "use a window of 16 steps or more, or targets v or v,o"
        )
