"""What frozen MOMENT weights compute, once per window, shared by trials and processes.

On a CPU every window passes alone, its channels in one batch or, where they are many, in slices: its numbers cannot
depend on its neighbours, which makes it safe to keep them (`_frozen_cache`), and one window of 88 channels already
fills the processor's cache, so that larger batches are slower. On a GPU windows pass in batches of fixed memory and
nothing is kept.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from trainables import backbones
from trainables._frozen_cache import FORMAT, MemoryCache, Result, disk_cache, machine
from trainables._memory import in_parts, in_slices, slice_size
from trainables._moment import MomentBackbone, load, window_normalised
from trainables._moment_checks import check_suits
from trainables._moment_config import MomentConfig
from trainables._moment_input import Normalise
from trainables._served import Served
from trainables._torch import Precision, autocast, resolved_precision
from trainables.errors import WeightsError
from trainables.moment_memory import GPU_WINDOWS, cap_of, scored_at_once
from trainables.protocol import TrialResources

Init = Literal["pretrained", "random"]

CACHE_BYTES = 256 * 2**20
"""Most bytes of frozen results a process keeps; the oldest go first."""


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
    at_once
        Channel-windows that go through the blocks together; the channels of a wide window pass in slices.
    served
        Counts what was not computed.
    """

    identity: str
    normalise: Normalise
    device: torch.device
    precision: Precision
    batch: int
    at_once: int
    served: Served

    def each(self, sequences: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply a function of sequences [S, L] to windows [N, C, L]; give [N, C, ...] on the CPU, without gradient."""

        def one(index: Tensor) -> Tensor:
            part = sequences[index]
            output = in_slices(lambda flat: function(flat).float().cpu(), self.prepared(part), self.at_once)
            return output.view(*part.shape[:2], *output.shape[1:])

        with torch.no_grad(), autocast(self.device, self.precision):
            return in_parts(one, len(sequences), self.batch)

    def prepared(self, windows: Tensor) -> Tensor:
        """Turn windows [n, C, L] into the sequences [n x C, L] that the backbone takes, on the device."""
        flat = windows.flatten(0, 1).to(self.device)
        return window_normalised(flat) if self.normalise == "window" else flat


def backbone_folder(name: str, resources: TrialResources) -> Path:
    """Return the folder the driver resolved for a backbone, or resolve it here."""
    return Path(resources.weights[name]) if name in resources.weights else backbones.resolve(name)


def identity(folder: Path, init: Init, seed: int) -> str:
    """Return what the weights are: the hash of file and configuration, or of the latter and the seed of random ones.

    Raises
    ------
    WeightsError
        A file is not on this machine.
    """
    if init == "random":
        return f"random {seed} {_sha256(folder / backbones.CONFIG_FILE)}"
    return f"{_sha256(folder / backbones.WEIGHTS_FILE)} {_sha256(folder / backbones.CONFIG_FILE)}"


def _sha256(path: Path) -> str:
    try:
        state = path.stat()
    except FileNotFoundError as err:
        raise WeightsError(f"{path.parent} has no {path.name} on this machine") from err
    return _sha256_of(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=16)
def _sha256_of(path: Path, _size: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def frozen_backbone(folder: Path, device: torch.device, init: Init, seed: int) -> MomentBackbone:
    """Return a backbone that nobody changes, loaded once per process."""
    name = identity(folder, init, seed)
    if init == "pretrained":
        return _pretrained(str(folder), str(device), name)
    key = (str(device), name)
    if key not in _RANDOM:
        _RANDOM.clear()  # the one before goes first: random weights are no file, each set takes its whole size
        _RANDOM[key] = load(folder, device, random_seed=seed)
    return _RANDOM[key]


@lru_cache(maxsize=2)
def _pretrained(folder: str, device: str, _identity: str) -> MomentBackbone:
    return load(Path(folder), torch.device(device))


_RANDOM: dict[tuple[str, str], MomentBackbone] = {}


def open_frozen(
    config: MomentConfig, resources: TrialResources, length: int, served: Served
) -> tuple[MomentBackbone, WindowPass]:
    """Return the frozen backbone of a detector's settings and how windows of a length pass through it.

    Raises
    ------
    DetectorError
        The settings do not suit the backbone or windows of this length.
    WeightsError, MissingPackageError
        It cannot be loaded.
    """
    device = torch.device(resources.device)
    folder = backbone_folder(config.backbone, resources)
    backbone = frozen_backbone(folder, device, config.init, resources.seed)
    check_suits(backbone.config, config, length)
    batch = 1 if resources.device == "cpu" else GPU_WINDOWS
    name = identity(folder, config.init, resources.seed)
    precision = resolved_precision(config.precision, device)
    counted = config.model_copy(update={"precision": precision})
    at_once = scored_at_once(backbone.config, counted, length, cap_of(resources))
    return backbone, WindowPass(name, config.normalise, device, precision, batch, at_once, served)


def kept(windows: Tensor, how: WindowPass, what: str, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Compute window by window what nobody has computed before on a machine of this kind."""
    if how.device.type != "cpu":
        return how.each(windows, function)
    disk = disk_cache()
    shape, slices = tuple(windows.shape[1:]), slice_size(windows.shape[1], how.at_once)
    described = f"|{machine()}|{how.identity}|{how.normalise}|{how.precision}|{what}|{shape}|{slices}|"
    prefix = hashlib.blake2b(FORMAT + described.encode(), digest_size=16)
    results = []
    for window in windows:
        content = prefix.copy()
        content.update(window.numpy().tobytes())
        key = content.digest()
        result = _KEPT.get(key)
        if result is None:
            result = disk.get(key) if disk is not None else None
            if result is None:
                started = time.perf_counter()
                value = how.each(window[None], function)[0]
                result = Result(value, time.perf_counter() - started, how.served.token)
                if disk is not None:
                    disk.put(key, result)
            _KEPT.put(key, result)
        if result.owner != how.served.token:
            how.served.seconds += result.seconds
        results.append(result.value)
    return torch.stack(results)


def states(backbone: MomentBackbone, windows: Tensor, how: WindowPass, stop: int) -> Tensor:
    """Return the states [N, C, P, d] before block `stop`; embedded patches alone are cheaper to make than to keep."""
    if stop == 0:
        with torch.no_grad(), autocast(how.device, how.precision):
            return backbone.tokens(how.prepared(windows)).view(*windows.shape[:2], -1, backbone.width)
    return kept(windows, how, f"states {stop}", lambda x: backbone.run(backbone.tokens(x), 0, stop))


def embeddings(backbone: MomentBackbone, windows: Tensor, how: WindowPass) -> Tensor:
    """Return the embedding of the last patch of every channel [N, C, d]: what the encoder says about now."""

    def last(x: Tensor) -> Tensor:
        return backbone.finish(backbone.run(backbone.tokens(x), 0, backbone.layers, last_only=True))[:, 0]

    return kept(windows, how, "embedding", last)


_KEPT = MemoryCache(CACHE_BYTES)
