"""Tables that would not fit beside each other: above a size they lie in files, mapped into memory.

A mapped table is an array like any other, but its pages belong to the system's cache: processes share them, and what
is not looked at takes no memory. Passes over all rows go in blocks and give the pages back (`released`).
"""

import contextlib
import errno
import fcntl
import mmap
import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from trainables.data.series import LabelledSeries
from trainables.errors import DataError
from trainables.paths import user_cache

LARGE: Final = 256 * 2**20
"""Bytes above which a table is mapped."""

BLOCK_BYTES: Final = 32 * 2**20
"""Bytes of float32 that a pass looks at together."""

FOLDER_VARIABLE: Final = "FEWSHOT_SCRATCH"
"""Environment variable: where mapped tables lie; default: the user's cache folder (/tmp may be memory)."""

_SUFFIX: Final = ".table"

Table = NDArray[np.float32]
Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class StoredSeries:
    """A series whose values stay in their file: what processes of one machine hand each other."""

    path: Path
    shape: tuple[int, int]
    rest: LabelledSeries

    def open(self) -> LabelledSeries:
        """Return the series, its values mapped and read-only."""
        return replace(self.rest, values=_mapped(self.path, self.shape, "r"))


def empty(rows: int, columns: int) -> Table:
    """Return a table [T, C] to be written: in memory, or in a file that goes with the last array on it.

    Raises
    ------
    DataError
        No room for the file; nothing is left of it.
    """
    if rows * columns * 4 <= LARGE:
        return np.empty((rows, columns), dtype=np.float32)
    with one_message(_needs(rows, columns)):
        handle = _new_file()
        _allocate(handle, rows * columns * 4)
        table = _mapped(Path(str(handle.name)), (rows, columns), "r+")
    weakref.finalize(table._mmap, _remove, handle)  # type: ignore[attr-defined]  # noqa: SLF001
    return table


def column(rows: int, kind: type[Number]) -> NDArray[Number]:
    """Return a column [T] of numbers of eight bytes to be written: in memory, or in a file like `empty`."""
    return empty(rows, 2).view(kind)[:, 0]


def shared(name: str, shape: tuple[int, int], write: Callable[[Table], None]) -> Table:
    """Return a read-only table that the processes of this machine write once, under one name, and then share.

    Small tables are written into memory. The file goes when the last process that uses it ends or drops it.

    Parameters
    ----------
    name
        Says what is in it, all of it: two tables of one name are one table.
    shape
        [T, C].
    write
        Fills a table; called by the first process that asks.

    Raises
    ------
    DataError
        No room for the file; nothing is left of it.
    """
    if shape[0] * shape[1] * 4 <= LARGE:
        table = np.empty(shape, dtype=np.float32)
        write(table)
        table.flags.writeable = False
        return table
    with one_message(_needs(*shape)):
        return _shared_file(name, shape, write)


def stored(series: LabelledSeries) -> StoredSeries | None:
    """Return a series whose values lie in a file without them; None if they lie in memory."""
    path = file_of(series.values)
    if path is None:
        return None
    nothing = np.empty((0, series.values.shape[1]), dtype=np.float32)
    return StoredSeries(path, (series.values.shape[0], series.values.shape[1]), replace(series, values=nothing))


def handed_over(series: Mapping[str, LabelledSeries]) -> dict[str, LabelledSeries | StoredSeries]:
    """Return series for other processes of this machine: those in files are opened there (`opened`), not copied."""
    return {name: stored(one) or one for name, one in series.items()}


def opened(series: Mapping[str, LabelledSeries | StoredSeries]) -> dict[str, LabelledSeries]:
    """Return the series that another process handed over."""
    return {name: one.open() if isinstance(one, StoredSeries) else one for name, one in series.items()}


def file_of(table: Table) -> Path | None:
    """Return the file of a mapped table, or of its first rows; None for one in memory, and for any other part."""
    name, pages = getattr(table, "filename", None), getattr(table, "_mmap", None)
    if name is None or pages is None or not table.flags.c_contiguous:
        return None
    at_start = byte_bounds(table)[0] == byte_bounds(np.frombuffer(pages, dtype=np.uint8))[0]
    return Path(name) if at_start else None


def blocks(table: NDArray[np.generic]) -> Iterator[slice]:
    """Yield row ranges of about `BLOCK_BYTES` that cover a table, giving back the pages of those gone through."""
    rows = max(1, BLOCK_BYTES // max(1, table[:1].nbytes))
    for start in range(0, len(table), rows):
        yield slice(start, min(start + rows, len(table)))
        released(table)


def columns_of(table: Table, columns: NDArray[np.integer] | list[int]) -> Table:
    """Return these columns as a table of their own."""
    kept = empty(len(table), len(columns))
    for rows in blocks(table):
        kept[rows] = table[rows][:, columns]
    return kept


def rows_of(table: Table, rows: NDArray[np.integer]) -> Table:
    """Return these rows as a table of their own."""
    kept = empty(len(rows), table.shape[1])
    for block in blocks(kept):
        kept[block] = table[rows[block]]
        released(table)
    return kept


def released(table: NDArray[np.generic]) -> None:
    """Give the pages of a mapped table back to the system, which reads them again when they are needed."""
    pages = getattr(table, "_mmap", None)
    if pages is not None:
        pages.madvise(mmap.MADV_DONTNEED)


@contextlib.contextmanager
def one_message(needed: str) -> Iterator[None]:
    """Turn what goes wrong with files for large data into a `DataError` that says what `needed` room, and where."""
    try:
        yield
    except OSError as err:
        raise DataError(
            f"{_place()}: {needed} there: {err.strerror}; make room, or name another folder in {FOLDER_VARIABLE}"
        ) from err


def remove_abandoned() -> None:
    """Remove the files of processes that were killed: nobody holds their lock any more."""
    for path in _place().glob(f"*{_SUFFIX}"):
        with contextlib.suppress(OSError), FileIO(path, "r+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _unlink(path)


def _shared_file(name: str, shape: tuple[int, int], write: Callable[[Table], None]) -> Table:
    path = folder() / f"{name}{_SUFFIX}"
    with (path.parent / ".writing").open("w") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)  # one writes, the others wait for it
        handle = _in_use(path)
        done = path.with_suffix(".done")
        if not done.exists():
            _allocate(handle, shape[0] * shape[1] * 4)
            table = _mapped(path, shape, "r+")
            write(table)
            released(table)
            done.touch()
    table = _mapped(path, shape, "r")
    weakref.finalize(table._mmap, _remove, handle)  # type: ignore[attr-defined]  # noqa: SLF001
    return table


def _mapped(path: Path, shape: tuple[int, int], mode: str) -> Table:
    table: Table = np.memmap(path, dtype=np.float32, mode=mode, shape=shape)  # type: ignore[call-overload]
    return table


def _new_file() -> FileIO:
    """Make a locked file; its lock says that somebody uses it, so it has one before it has its name."""
    number, raw = tempfile.mkstemp(suffix=".new", dir=folder())
    fcntl.flock(number, fcntl.LOCK_SH)
    path = Path(raw).with_suffix(_SUFFIX)
    Path(raw).rename(path)
    handle = FileIO(path, "r+")
    fcntl.flock(handle, fcntl.LOCK_SH)
    os.close(number)
    return handle


def _allocate(handle: FileIO, size: int) -> None:
    """Give a file all of its space: where a disk fills up under a mapping, the kernel ends the process without a word.

    Raises
    ------
    OSError
        There is no room; the file is gone.
    """
    try:
        os.posix_fallocate(handle.fileno(), 0, size)
    except OSError as err:
        if err.errno in {errno.EOPNOTSUPP, errno.EINVAL}:  # the file system cannot say beforehand
            os.ftruncate(handle.fileno(), size)
            return
        _remove(handle)
        raise


def _needs(rows: int, columns: int) -> str:
    return f"a table of {rows:,} x {columns:,} needs a file of {rows * columns * 4 / 1e6:,.1f} MB"


def _in_use(path: Path) -> FileIO:
    """Open a file, made if need be, under the lock that says that somebody uses it."""
    while True:
        handle = FileIO(path, "r+", opener=lambda name, flags: os.open(name, flags | os.O_CREAT, 0o600))
        fcntl.flock(handle, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(handle.fileno()).st_ino == path.stat().st_ino:
                return handle
        handle.close()  # its last user removed it just before


def _place() -> Path:
    return Path(os.environ.get(FOLDER_VARIABLE) or user_cache("tables"))


def folder() -> Path:
    """Return the folder of mapped tables, made if need be, without those of processes that are gone."""
    place = _place()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_abandoned()
    return place


def _remove(handle: FileIO) -> None:
    """Remove a file unless another process uses it, too."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _unlink(Path(str(handle.name)))
    except OSError:
        pass
    finally:
        handle.close()


def _unlink(path: Path) -> None:
    path.with_suffix(".done").unlink(missing_ok=True)  # first: a table without it is written again
    path.unlink(missing_ok=True)
