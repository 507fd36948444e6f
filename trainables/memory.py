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

`docs/benchmarks.md` compares these numbers with measured ones. Sizes in GB are of 1,024 MiB.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, prod
from typing import Literal

from trainables import backbones
from trainables.errors import MemoryCapError

GB = 2**30

CONTEXT_RESERVE_GB = 0.75
"""Memory that CUDA context, kernels and workspaces take beside torch's allocator [order of magnitude]."""

HOST_RESERVE_GB = 0.9
"""Resident memory of a worker before it loads a backbone (Python, torch, transformers, peft, pandas, Ray: 0.6), and
what the allocator holds back."""

SHARE = 0.85
"""Share of a cap's free part that estimates may fill: they are within 15 % of what was measured."""

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


@dataclass(frozen=True, slots=True)
class Cap:
    """Memory that a trial may take, in GB, and how much of it lies outside what is estimated.

    `key` is its name in the sweep file.
    """

    key: str
    gb: float
    reserve_gb: float

    @property
    def allocator_gb(self) -> float:
        """GB that tensors may fill."""
        return max(self.gb - self.reserve_gb, 0.5 * self.gb)


GPU_KEY, HOST_KEY = "resources.gpu_memory_gb", "resources.host_memory_gb"


def gpu_cap(gb: float) -> Cap:
    """Return the cap of a trial on a GPU."""
    return Cap(GPU_KEY, gb, CONTEXT_RESERVE_GB)


def host_cap(gb: float) -> Cap:
    """Return the cap of a trial on the CPU."""
    return Cap(HOST_KEY, gb, HOST_RESERVE_GB)


@dataclass(frozen=True, slots=True)
class Passes:
    """How a training step is divided.

    Attributes
    ----------
    micro_batch
        Windows at once.
    checkpointing
        Whether activations are computed again on the way back.
    gb
        The estimate, reserve included.
    channels
        Channels of the window that pass at once; None: all.
    """

    micro_batch: int
    checkpointing: bool
    gb: float
    channels: int | None = None


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


def adapter_parameters(size: Architecture, rank: int, targets: tuple[str, ...]) -> int:
    """Return the adapters' parameters in one block."""
    return sum(rank * (size.width + (size.ff if target in GATED else size.inner)) for target in targets)


def divide(parts: Footprint, cap: Cap, batch: int) -> Passes:
    """Choose how many of a step's windows pass at once under a cap, and whether activations are computed again.

    Fewer windows at once cost next to nothing, checkpointing a third more: it is used only where a single
    window does not fit without. Where it does not fit with it either, the window's channels pass in parts.

    Raises
    ------
    MemoryCapError
        Not even one channel at a time fits; the message says how many GB the window would need.
    """
    free = SHARE * cap.allocator_gb * GB
    for checkpointing in (False, True):
        each = parts.bytes(1, checkpointing=checkpointing) - parts.bytes(0, checkpointing=checkpointing)
        windows = min(batch, int((free - parts.bytes(0, checkpointing=checkpointing)) // each))
        if windows >= 1:
            windows = ceil(batch / ceil(batch / windows))  # parts of equal size, in no greater number
            used = parts.bytes(windows, checkpointing=checkpointing) / GB
            return Passes(windows, checkpointing, used + cap.reserve_gb)
    at_once = min(parts.channels, int((free - parts.bytes_in_parts(0)) // parts.channel.peak))
    if at_once < 1:
        raise MemoryCapError(
            f"a training step on a single window needs {needed_gb(parts, cap):.1f} GB with gradient checkpointing and "
            f"one channel at a time, {cap.key} is {cap.gb:g}; {_largest_part(parts)}"
        )
    at_once = ceil(parts.channels / ceil(parts.channels / at_once))
    return Passes(1, checkpointing=True, gb=parts.bytes_in_parts(at_once) / GB + cap.reserve_gb, channels=at_once)


def scoring_bytes(size: Architecture, length: int, precision: Literal["fp32", "bf16"]) -> int:
    """Return what a channel-window takes at once where no gradient is needed: states and the widest of a block."""
    number = FP32 if precision == "fp32" else BF16
    return length // size.patch * (FP32 * 3 * size.width + number * max(5 * size.inner, 3 * size.ff))


def divide_scoring(size: Architecture, channel: int, channels: int, cap: Cap, most: int) -> Passes:
    """Choose how many windows pass at once without gradient, `most` if they fit, and of a single one how many channels.

    Parameters
    ----------
    size
        Of the backbone.
    channel
        Bytes of a channel-window, as `scoring_bytes` gives them.
    channels
        Of a window.
    cap
        What it must stay under.
    most
        Windows.

    Raises
    ------
    MemoryCapError
        Not even one channel fits.
    """
    fits, fixed = scoring_channels(size, channel, cap), FP32 * size.parameters
    if fits < 1:
        needed = (fixed + channel) / GB / SHARE + cap.reserve_gb
        raise MemoryCapError(f"scoring a single channel needs {needed:.1f} GB, {cap.key} is {cap.gb:g}")
    if fits < channels:
        return Passes(1, checkpointing=False, gb=(fixed + fits * channel) / GB + cap.reserve_gb, channels=fits)
    windows = min(most, fits // channels)
    return Passes(windows, checkpointing=False, gb=(fixed + windows * channels * channel) / GB + cap.reserve_gb)


def scoring_channels(size: Architecture, channel: int, cap: Cap) -> int:
    """Return how many channel-windows of so many bytes fit without gradient; less than 1 where none does."""
    return int((SHARE * cap.allocator_gb * GB - FP32 * size.parameters) // channel)


def needed_gb(parts: Footprint, cap: Cap) -> float:
    """Return the cap that one window with checkpointing needs, one channel at a time."""
    return parts.bytes_in_parts(1) / GB / SHARE + cap.reserve_gb


def _largest_part(parts: Footprint) -> str:
    weights, window = parts.weights / GB, parts.channels * parts.channel.kept / GB
    return f"weights take {weights:.1f} GB and the window's states {window:.1f} GB: " + (
        "use a smaller backbone" if weights > window else "channels: {keep: k} or a shorter window takes less"
    )


def _read_by_adapters(size: Architecture, step: Training, names: tuple[str, ...]) -> int:
    """Return the numbers a patch that adapters of these targets keep beside what the block keeps anyway."""
    targets = [target for target in step.targets if target in names]
    on_state = sum(target not in {"o", "wo"} for target in targets)
    copies = min(on_state, 1) if step.precision == "fp32" else on_state
    product = size.ff if "wo" in targets else 0
    return copies * size.width + product + step.rank * len(targets)
