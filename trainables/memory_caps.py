"""How MOMENT's work is divided so that it stays under a memory cap: windows at once, then channels. Free of torch.

`memory` says what the parts take. Sizes in GB are of 1,024 MiB.
"""

from dataclasses import dataclass
from math import ceil

from trainables.errors import MemoryCapError
from trainables.memory import FP32, GB, Architecture, Footprint

CONTEXT_RESERVE_GB = 0.75
"""Memory that CUDA context, kernels and workspaces take beside torch's allocator [order of magnitude]."""

HOST_RESERVE_GB = 0.9
"""Resident memory of a worker before it loads a backbone (Python, torch, transformers, peft, pandas, Ray: 0.6), and
what the allocator holds back."""

SHARE = 0.85
"""Share of a cap's free part that estimates may fill: they are within 15 % of what was measured."""


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
    fixed = FP32 * size.parameters
    fits = scoring_channels(fixed, channel, cap)
    if fits < 1:
        needed = (fixed + channel) / GB / SHARE + cap.reserve_gb
        raise MemoryCapError(f"scoring a single channel needs {needed:.1f} GB, {cap.key} is {cap.gb:g}")
    if fits < channels:
        return Passes(1, checkpointing=False, gb=(fixed + fits * channel) / GB + cap.reserve_gb, channels=fits)
    windows = min(most, fits // channels)
    return Passes(windows, checkpointing=False, gb=(fixed + windows * channels * channel) / GB + cap.reserve_gb)


def scoring_channels(weights: int, channel: int, cap: Cap) -> int:
    """Return how many channel-windows of so many bytes fit beside the weights' bytes; less than 1 where none does."""
    return int((SHARE * cap.allocator_gb * GB - weights) // channel)


def needed_gb(parts: Footprint, cap: Cap) -> float:
    """Return the cap that one window with checkpointing needs, one channel at a time."""
    return parts.bytes_in_parts(1) / GB / SHARE + cap.reserve_gb


def _largest_part(parts: Footprint) -> str:
    weights, window = parts.weights / GB, parts.channels * parts.channel.kept / GB
    return f"weights take {weights:.1f} GB and the window's states {window:.1f} GB: " + (
        "use a smaller backbone" if weights > window else "channels: {keep: k} or a shorter window takes less"
    )
