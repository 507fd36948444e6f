"""How much memory a training step of MOMENT with LoRA takes, and how many windows may pass at once. Free of torch.

Memory is counted in channel-windows: batch and channels are one dimension to the backbone. What a block keeps for
the backward pass is counted from the operations of `_moment._block`, P patches of a channel-window at a time:

    inputs of both norms, 4 bytes each            2 d
    what adapters read: of q, k, v and of wi_0, wi_1 the normed input, d (in bf16 a copy each); of wo the product, d_ff
    queries, keys, values, mixed values           4 d_kv heads
    the three products of the gated layer         3 d_ff
    one number a norm and head, 4 bytes each      2 + heads
    the adapters' inner products                  rank an adapter

The last block answers for the last patch alone, so it keeps both inputs of its attention and little else. On the way
back, gradients of the gated layer and of one state stand beside all that: 3 d_ff + d; in the last block, of keys,
values and their sum: 3 d_kv heads. With checkpointing a block keeps its input, and one block at a time is computed
again. Where a window has more channels than fit like that, so many of them at a time go through all blocks and are
computed again: then all channels keep their input and embedding, and a part of them what blocks keep. bf16 keeps two
bytes a number where four are not named, and a bf16 copy of each frozen matrix that gradients pass through. Adapters and
head cost sixteen bytes a parameter: value, gradient, and the two moments of AdamW.

`memory_caps` divides the work by these numbers, `docs/benchmarks.md` compares them with measured ones.
Sizes in GB are of 1,024 MiB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from trainables import backbones

GB = 2**30

FP32, BF16 = 4, 2
TRAINED_BYTES = 16
"""Of a trained parameter: value, gradient and AdamW's two moments, fp32."""

ATTENTION = ("q", "k", "v", "o")
GATED = ("wi_0", "wi_1", "wo")

HEAD_COPIES = 5
"""fp32 copies of an embedding while features are standardised, cut, joined and multiplied."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Sizes of a MOMENT; `parameters` leaves out the unused vocabulary."""

    width: int
    inner: int
    ff: int
    heads: int
    layers: int
    patch: int
    parameters: int

    def other_side(self, target: str) -> int:
        """Return how many numbers a matrix of a block has on its side that is not the state's width."""
        return self.ff if target in GATED else self.inner


def architecture(config: Mapping[str, object]) -> Architecture:
    """Read the sizes of a MOMENT from its config.json.

    Raises
    ------
    WeightsError
        Not a MOMENT configuration.
    """
    shapes = backbones.expected_shapes(config)
    feed_forward = shapes["encoder.block.0.layer.1.DenseReluDense.wi_0.weight"]
    relative = shapes["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
    inner, width = shapes["encoder.block.0.layer.0.SelfAttention.q.weight"]
    return Architecture(
        width=width,
        inner=inner,
        ff=feed_forward[0],
        heads=relative[1],
        layers=sum(name.endswith("SelfAttention.q.weight") for name in shapes),
        patch=shapes["head.linear.weight"][0],
        parameters=sum(prod(shape) for shape in shapes.values()),
    )


@dataclass(frozen=True, slots=True)
class Training:
    """What of a training step its memory depends on.

    Attributes
    ----------
    channels, length
        Channels that go through the backbone, steps of a window.
    rank, targets
        Of the adapters; targets of q, k, v, o, wi_0, wi_1, wo.
    layers
        Last blocks that are adapted.
    precision
        Of the backbone.
    head_parameters
        Weights and biases of the head.
    last_only
        The loss needs the last patch alone; False where it needs all of them (reconstruction).
    """

    channels: int
    length: int
    rank: int
    targets: tuple[str, ...]
    layers: int
    precision: Literal["fp32", "bf16"] = "fp32"
    head_parameters: int = 0
    last_only: bool = True


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes of one window in a training step: what is kept for the way back, and the most that stands at once."""

    kept: int
    peak: int


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of a training step, by part.

    Attributes
    ----------
    weights
        Frozen, fp32.
    trained
        Adapters and head with gradients and optimiser.
    casts, casts_checkpointed
        bf16 copies of frozen matrices that are kept.
    window, window_checkpointed
        Of one window with all its channels, without and with gradient checkpointing.
    channels, channel
        Of one window, and of one of them where they go through the blocks in parts: `kept` of each, `peak` of those
        of a part.
    """

    weights: int
    trained: int
    casts: int
    casts_checkpointed: int
    window: Activations
    window_checkpointed: Activations
    channels: int
    channel: Activations

    def bytes(self, windows: int, *, checkpointing: bool) -> int:
        """Return the peak of a step on that many windows at once."""
        window = self.window_checkpointed if checkpointing else self.window
        casts = self.casts_checkpointed if checkpointing else self.casts
        return self.weights + self.trained + casts + windows * window.peak

    def bytes_in_parts(self, channels: int) -> int:
        """Return the peak of a step on one window of which that many channels pass at once."""
        whole = self.weights + self.trained + self.casts + self.channels * self.channel.kept
        return whole + channels * self.channel.peak

    def kept(self, windows: int, *, checkpointing: bool) -> int:
        """Return what autograd keeps between the way there and the way back; with checkpointing inputs alone."""
        return windows * self.window_checkpointed.kept if checkpointing else self.casts + windows * self.window.kept


def footprint(size: Architecture, step: Training) -> Footprint:
    """Return the bytes of a training step."""
    attention, gated = 4 * size.width * size.inner, 3 * size.width * size.ff
    cast = 0 if step.precision == "fp32" else BF16
    first = cast * (attention // 4 + gated)  # the first block's input needs no gradient: no copy of q, k, v
    others = step.layers - 1
    adapters = step.layers * adapter_parameters(size, step.rank, step.targets)
    return Footprint(
        weights=FP32 * size.parameters,
        trained=TRAINED_BYTES * (adapters + step.head_parameters),
        casts=others * cast * (attention + gated) + first,
        casts_checkpointed=cast * (attention + gated) if others else first,
        window=_activations(size, step),
        window_checkpointed=_activations_checkpointed(size, step),
        channels=step.channels,
        channel=_channel_in_parts(size, step),
    )


def _activations(size: Architecture, step: Training) -> Activations:
    block, last, _, _, head = _channel_window(size, step)
    kept = (step.layers - 1) * block + last
    return Activations(step.channels * kept, step.channels * (_peak(size, step) + head))


def _channel_in_parts(size: Architecture, step: Training) -> Activations:
    _, _, state, _, head = _channel_window(size, step)
    return Activations(state + head, _peak(size, step))


def _peak(size: Architecture, step: Training) -> int:
    """Return what a channel-window takes at most on its way through all blocks and back."""
    block, last, _, gradients, _ = _channel_window(size, step)
    others = step.layers - 1
    return others * block + max(last + _last_gradients(size, step), gradients if others else 0)


def _activations_checkpointed(size: Architecture, step: Training) -> Activations:
    block, last, state, gradients, head = _channel_window(size, step)
    others = step.layers - 1
    again = others * state + last + _last_gradients(size, step)
    if others:
        again = max(again, (others - 1) * state + block + gradients)
    return Activations(step.channels * step.layers * state, step.channels * (state + again + head))


def _channel_window(size: Architecture, step: Training) -> tuple[int, int, int, int, int]:
    """Return bytes of a channel-window: a whole block, the last block, a state, a block's gradients, and the head."""
    patches, number = step.length // size.patch, _number(step)
    block = patches * (
        FP32 * (2 * size.width + size.heads + 2)
        + number * (4 * size.inner + 3 * size.ff)
        + number * (_read_by_adapters(size, step, ATTENTION) + _read_by_adapters(size, step, GATED))
    )
    state = FP32 * patches * size.width
    gradients = patches * number * 3 * size.ff + state
    head = HEAD_COPIES * FP32 * size.width * (1 if step.last_only else patches)
    return block, _last_block(size, step) if step.last_only else block, state, gradients, head


def _last_block(size: Architecture, step: Training) -> int:
    """Return what the last block keeps when the last patch alone matters: keys and values of all, the rest of one."""
    patches, number = step.length // size.patch, _number(step)
    whole = ATTENTION if step.precision == "fp32" else ("k", "v")  # the bf16 copy for q is of the last patch
    all_patches = FP32 * (size.width + 1) + number * (2 * size.inner + _read_by_adapters(size, step, whole))
    one_patch = FP32 * (size.width + size.heads + 1) + number * (2 * size.inner + 3 * size.ff)
    return patches * all_patches + one_patch + number * _read_by_adapters(size, step, GATED)


def _last_gradients(size: Architecture, step: Training) -> int:
    patches, number = step.length // size.patch, _number(step)
    if step.last_only:
        return patches * number * 3 * size.inner
    return patches * (number * 3 * size.ff + FP32 * size.width)


def _number(step: Training) -> int:
    return FP32 if step.precision == "fp32" else BF16


def adapted_weights(size: Architecture, layers: int, targets: tuple[str, ...]) -> int:
    """Return the numbers of the matrices that adapters of these targets stand beside in that many blocks."""
    return layers * sum(size.width * size.other_side(target) for target in targets)


def adapter_parameters(size: Architecture, rank: int, targets: tuple[str, ...]) -> int:
    """Return the adapters' parameters in one block."""
    return sum(rank * (size.width + size.other_side(target)) for target in targets)


def scoring_bytes(size: Architecture, length: int, precision: Literal["fp32", "bf16"]) -> int:
    """Return what a channel-window takes at once where no gradient is needed: states and the widest of a block."""
    number = FP32 if precision == "fp32" else BF16
    return length // size.patch * (FP32 * 3 * size.width + number * max(5 * size.inner, 3 * size.ff))


def _read_by_adapters(size: Architecture, step: Training, names: tuple[str, ...]) -> int:
    """Return the numbers a patch that adapters of these targets keep beside what the block keeps anyway."""
    targets = [target for target in step.targets if target in names]
    on_state = sum(target not in {"o", "wo"} for target in targets)
    copies = min(on_state, 1) if step.precision == "fp32" else on_state
    product = size.ff if "wo" in targets else 0
    return copies * size.width + product + step.rank * len(targets)
