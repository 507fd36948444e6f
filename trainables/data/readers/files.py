"""Files below a path, and what to say when those of a layout are not there."""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from trainables.errors import DataError
from trainables.settings import DataSettings

UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error)
"""What reading a text file raises that is no file, no text, or not packed as its name says."""


def path_of(data: DataSettings) -> Path:
    """Return `data.path`.

    Raises
    ------
    DataError
        It is not set, or there is nothing.
    """
    if data.path is None:
        raise DataError(f"source {data.source} needs a path")
    if not data.path.exists():
        raise DataError(f"{data.path}: no such file or folder")
    return data.path


def folder_of(data: DataSettings) -> Path:
    """Return `data.path`, a folder.

    Raises
    ------
    DataError
        There is no such folder.
    """
    path = path_of(data)
    if not path.is_dir():
        raise DataError(f"{path}: is a file; source {data.source} reads a folder")
    return path


def files_of(root: Path, suffixes: Sequence[str], what: str) -> list[Path]:
    """Return the file, or the files below the folder whose name ends in one of the suffixes, sorted.

    Raises
    ------
    DataError
        There is none.
    """
    if root.is_file():
        return [root]
    found = sorted(path for path in root.rglob("*") if path.is_file() and path.name.lower().endswith(tuple(suffixes)))
    if not found:
        raise missing(root, [f"*{suffix}" for suffix in suffixes], what)
    return found


@contextmanager
def opened_text(path: Path) -> Iterator[TextIO]:
    """Open a text file in UTF-8, with or without a byte-order mark, gzipped if it is named .gz."""
    with (
        path.open("rb") as raw,
        io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw, "utf-8-sig") as text,
    ):
        yield text


def missing(root: Path, names: Iterable[str], what: str) -> DataError:
    """Return the error for a folder without the files of a layout: which, and what is there instead."""
    there = sorted(f"{path.name}/" if path.is_dir() else path.name for path in root.iterdir())
    listed = ", ".join(there[:8]) + (f" and {len(there) - 8} more" if len(there) > 8 else "")
    return DataError(
        f"{root}: {what} expected, there is no {' or '.join(names)}; "
        + (f"the folder holds: {listed}" if there else "the folder is empty")
    )
