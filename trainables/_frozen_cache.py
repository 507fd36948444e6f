"""Results of frozen weights by content, in this process and on disk, where other trials and processes find them.

The folder is `$FEWSHOT_CACHE`, or `fewshot-sweep/frozen` in the user's cache folder; `FEWSHOT_CACHE=off` uses none.
It is bounded by `$FEWSHOT_CACHE_GB` (2 by default): the results not used for longest go first. Nothing in it is
needed: it may be deleted at any time.
"""

import hashlib
import io
import logging
import os
import struct
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainables.errors import DetectorError
from trainables.paths import user_cache

FOLDER_VARIABLE = "FEWSHOT_CACHE"
BOUND_VARIABLE = "FEWSHOT_CACHE_GB"
DEFAULT_GB = 2.0

OFF = "off"

FORMAT = b"frozen 3"
"""Part of every key: another number when the arithmetic of frozen results changes."""

TRIM_EVERY = 64 * 2**20
"""Bytes that a process writes between two looks at the size of the folder."""

FRESH_S = 3600.0
"""A result is marked as used again only if its last mark is older: marks cost a write."""

_DIGEST = 16

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A tensor on the CPU, the seconds it took, and the token of the detector that computed it ("" from disk)."""

    value: Tensor
    seconds: float
    owner: str


class MemoryCache:
    """Results by key; the least recently used leave when the bytes exceed the bound."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._results: OrderedDict[bytes, Result] = OrderedDict()

    def get(self, key: bytes) -> Result | None:
        """Return a result, or None."""
        result = self._results.get(key)
        if result is not None:
            self._results.move_to_end(key)
        return result

    def put(self, key: bytes, result: Result) -> None:
        """Keep a result under a key that is not there."""
        self._results[key] = result
        self._bytes += result.value.nbytes
        while self._bytes > self._most_bytes:
            self._bytes -= self._results.popitem(last=False)[1].value.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._results.clear()
        self._bytes = 0


class DiskCache:
    """Results by key, one file each; any number of processes may use the folder at once.

    A file is a digest, the seconds that the result took, and the array in numpy's format (no pickle). It appears
    whole, by renaming. One that does not fit its digest is removed and counts as absent. A folder that cannot be
    written is reported once and not used for writing after that.

    Parameters
    ----------
    folder
        Made when the first result is written.
    most_bytes
        Bound on the size of all files.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._since_trim = TRIM_EVERY  # the first write looks at what others have left
        self._writable = True

    def get(self, key: bytes) -> Result | None:
        """Return a result, or None if there is none or it is damaged."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            if time.time() - path.stat().st_mtime > FRESH_S:
                path.touch()
        except OSError:
            return None
        digest, rest = content[:_DIGEST], content[_DIGEST:]
        if _digest(rest) != digest:
            logger.warning("%s is damaged: removed, and computed again", path)
            path.unlink(missing_ok=True)
            return None
        (seconds,) = struct.unpack_from("<d", rest)
        array = np.load(io.BytesIO(rest[8:]), allow_pickle=False)
        return Result(torch.from_numpy(array), seconds, owner="")

    def put(self, key: bytes, result: Result) -> None:
        """Write a result."""
        if not self._writable:
            return
        array = io.BytesIO()
        np.save(array, result.value.numpy(), allow_pickle=False)
        rest = struct.pack("<d", result.seconds) + array.getvalue()
        path = self._path(key)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            _write(part, _digest(rest) + rest)
            part.replace(path)
            self._since_trim += len(rest)
            if self._since_trim >= TRIM_EVERY:
                self._trim()
        except OSError as err:
            self._writable = False
            logger.warning("results are not written to %s: %s", self._folder, err)

    def _path(self, key: bytes) -> Path:
        name = key.hex()
        return self._folder / name[:2] / name[2:]

    def _trim(self) -> None:
        """Remove the files used longest ago until the rest fits the bound, less what is written until the next look."""
        files = []
        for path in self._folder.glob("*/*"):
            try:
                state = path.stat()
            except FileNotFoundError:
                continue  # another process removed it
            files.append((state.st_mtime_ns, state.st_size, path))
        excess = sum(size for _, size, _ in files) - max(self._most_bytes - TRIM_EVERY, 0)
        for _, size, path in sorted(files):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            excess -= size
        self._since_trim = 0


def _write(path: Path, content: bytes) -> None:
    """Write a file, and make its folder only where there is none: one more look a result is a tenth of its cost."""
    try:
        path.write_bytes(content)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def disk_cache() -> DiskCache | None:
    """Return the cache on disk that the environment names, or None if it is off.

    Raises
    ------
    DetectorError
        The bound is not a positive number.
    """
    return _disk_cache(os.environ.get(FOLDER_VARIABLE, ""), os.environ.get(BOUND_VARIABLE, ""))


@lru_cache(maxsize=4)
def _disk_cache(folder: str, bound: str) -> DiskCache | None:
    if folder == OFF:
        return None
    try:
        gigabytes = float(bound or DEFAULT_GB)
    except ValueError:
        gigabytes = -1.0
    if not 0 < gigabytes < float("inf"):
        raise DetectorError(f"{BOUND_VARIABLE} must be a positive number of GB, got {bound!r}")
    return DiskCache(Path(folder) if folder else user_cache("frozen"), int(gigabytes * 2**30))


def machine() -> str:
    """Return what else the last bits of a result on the CPU depend on."""
    return f"torch {torch.__version__} {torch.backends.cpu.get_cpu_capability()}"


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST).digest()
