"""What frozen MOMENT weights compute, once per window and process.

On a CPU every window passes alone: its numbers cannot depend on its neighbours, which makes it safe to keep
them, and one window of 88 channels already fills the processor's cache, so that larger batches are slower.
On a GPU windows pass in batches of fixed memory and nothing is kept.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from trainables import backbones
from trainables._moment import MomentBackbone, load, patch_count, window_normalised
from trainables._moment_config import MomentConfig
from trainables._moment_input import Normalise
from trainables._torch import Precision, allocator_gb, autocast
from trainables.errors import WeightsError
from trainables.protocol import TrialResources

Init = Literal["pretrained", "random"]

CACHE_BYTES = 256 * 2**20
"""Most bytes of frozen results a process keeps; the oldest go first."""

CPU_CHANNEL_WINDOWS = 352
"""Channel-windows of a training pass on a CPU: four windows of 88 channels, whose activations stay in its cache."""

GPU_BATCH = 4
"""Windows of a pass without gradient on a GPU."""

GPU_SHARE = 0.8
"""Share of the memory that activations may fill; the rest is for fragments and kernels' own needs."""


@dataclass(frozen=True, slots=True)
class WindowPass:
    """How windows pass through a backbone.

    Attributes
    ----------
    identity
        What the weights are: equal text means equal numbers.
    normalise
        `window` applies RevIN to each sequence first.
    device, precision
        Where, and in which floating point.
    batch
        Windows a pass.
    """

    identity: str
    normalise: Normalise
    device: torch.device
    precision: Precision
    batch: int

    def each(self, sequences: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a function of sequences [S, L] to windows [N, C, L]; give [N, C, ...] on the CPU, without gradient."""
        results = []
        with torch.no_grad(), autocast(self.device, self.precision):
            for part in torch.split(sequences, self.batch):
                flat = self.prepared(part)
                output = function(flat).float().cpu()
                results.append(output.view(*part.shape[:2], *output.shape[1:]))
        return torch.cat(results)

    def prepared(self, windows: Tensor) -> Tensor:
        """Turn windows [n, C, L] into the sequences [n x C, L] that the backbone takes, on the device."""
        flat = windows.flatten(0, 1).to(self.device)
        return window_normalised(flat) if self.normalise == "window" else flat


def backbone_folder(name: str, resources: TrialResources) -> Path:
    """Return the folder the driver resolved for a backbone, or resolve it here."""
    return Path(resources.weights[name]) if name in resources.weights else backbones.resolve(name)


def identity(folder: Path, init: Init, seed: int) -> str:
    """Return what the weights are: the file and its state, or the seed of random ones.

    Raises
    ------
    WeightsError
        The file is not on this machine.
    """
    if init == "random":
        return f"random {seed} {folder}"
    try:
        state = (folder / backbones.WEIGHTS_FILE).stat()
    except FileNotFoundError as err:
        raise WeightsError(f"{folder} has no {backbones.WEIGHTS_FILE} on this machine") from err
    return f"{folder.resolve()} {state.st_size} {state.st_mtime_ns}"


def frozen_backbone(folder: Path, device: torch.device, init: Init, seed: int) -> MomentBackbone:
    """Return a backbone that nobody changes, loaded once per process."""
    return _frozen_backbone(str(folder), str(device), identity(folder, init, seed), seed if init == "random" else None)


@lru_cache(maxsize=2)
def _frozen_backbone(folder: str, device: str, _identity: str, random_seed: int | None) -> MomentBackbone:
    return load(Path(folder), torch.device(device), random_seed=random_seed)


def open_frozen(config: MomentConfig, resources: TrialResources, length: int) -> tuple[MomentBackbone, WindowPass]:
    """Return the frozen backbone of a detector's settings and how windows of a length pass through it.

    Raises
    ------
    DetectorError
        The backbone takes no windows of this length.
    WeightsError, MissingPackageError
        It cannot be loaded.
    """
    device = torch.device(resources.device)
    folder = backbone_folder(config.backbone, resources)
    backbone = frozen_backbone(folder, device, config.init, resources.seed)
    patch_count(length, backbone)
    batch = 1 if resources.device == "cpu" else GPU_BATCH
    name = identity(folder, config.init, resources.seed)
    return backbone, WindowPass(name, config.normalise, device, config.precision, batch)


def kept(windows: Tensor, how: WindowPass, what: str, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute window by window what this process has not computed before."""
    if how.device.type != "cpu":
        return how.each(windows, function)
    prefix = f"{how.identity}|{how.normalise}|{how.precision}|{what}|{tuple(windows.shape[1:])}|".encode()
    results = []
    for window in windows:
        key = hashlib.blake2b(prefix + window.numpy().tobytes(), digest_size=16).digest()
        value = _KEPT.get(key)
        if value is None:
            value = how.each(window[None], function)[0]
            _KEPT.put(key, value)
        results.append(value)
    return torch.stack(results)


def states(backbone: MomentBackbone, windows: Tensor, how: WindowPass, stop: int) -> Tensor:
    """Return the states [N, C, P, d] before block `stop`; embedded patches alone are cheaper to make than to keep."""
    if stop == 0:
        return how.each(windows, backbone.tokens)
    return kept(windows, how, f"states {stop}", lambda x: backbone.run(backbone.tokens(x), 0, stop))


def embeddings(backbone: MomentBackbone, windows: Tensor, how: WindowPass) -> Tensor:
    """Return the embedding of the last patch of every channel [N, C, d]: what the encoder says about now."""

    def last(x: Tensor) -> Tensor:
        return backbone.finish(backbone.run(backbone.tokens(x), 0, backbone.layers, last_only=True))[:, 0]

    return kept(windows, how, "embedding", last)


def windows_a_pass(
    backbone: MomentBackbone, channels: int, length: int, trained_layers: int, resources: TrialResources
) -> int:
    """Return how many windows fit a training pass: a fixed number on a CPU, by memory on a GPU."""
    if resources.device == "cpu" or resources.gpu_memory_gb is None:
        return max(1, CPU_CHANNEL_WINDOWS // channels)
    free = GPU_SHARE * allocator_gb(resources.gpu_memory_gb) * 2**30 - backbone.weight_bytes()
    return max(1, int(free // (channels * backbone.activation_bytes(length, trained_layers))))


class _BoundedCache:
    """Tensors by key; the least recently used leave when the bytes exceed the bound."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._values: OrderedDict[bytes, Tensor] = OrderedDict()

    def get(self, key: bytes) -> Tensor | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: bytes, value: Tensor) -> None:
        self._values[key] = value
        self._bytes += value.nbytes
        while self._bytes > self._most_bytes:
            self._bytes -= self._values.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        self._values.clear()
        self._bytes = 0


_KEPT = _BoundedCache(CACHE_BYTES)
