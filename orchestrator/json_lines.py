"""Files with one JSON object a line, appended to by one process that may die while it does."""

import os
from pathlib import Path


def whole_lines(path: Path) -> list[bytes]:
    """Return the lines of a file that have their end, without it.

    Lines end at the one byte that ended them when they were written: text in them may hold other separators
    (U+0085, U+2028), and what follows the last end may stop within a character.
    """
    return path.read_bytes().split(b"\n")[:-1]


def cut_partial_line(descriptor: int) -> None:
    """Remove a last line without its end from a file that is open for reading and writing."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return
    os.ftruncate(descriptor, os.pread(descriptor, size, 0).rfind(b"\n") + 1)
