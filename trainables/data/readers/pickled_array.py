"""A numpy array out of a pickle, without unpickling: its operations are listed and compared, never executed."""

import math
import pickletools
import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainables.errors import DataError

_LETTERS: Final = {
    "GLOBAL": "G", "STACK_GLOBAL": "S", "MARK": "M", "REDUCE": "R", "BUILD": "D", "NONE": "N", "STOP": ".",
    "NEWFALSE": "F", "NEWTRUE": "V",
    **dict.fromkeys(("BININT", "BININT1", "BININT2"), "I"),
    **dict.fromkeys(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"), "U"),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), "B"),
    **dict.fromkeys(("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"), "T"),
}  # fmt: skip
_SILENT: Final = ("PROTO", "FRAME", "MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET")

_NAME, _BYTES = "(?:G|U{1,2}S)", "(?:B|G?U{1,2}TR)"
_ARRAY: Final = re.compile(
    rf"{_NAME}{_NAME}IT{_BYTES}TR"  # numpy's _reconstruct(ndarray, (0,), b"b")
    rf"MI(?P<shape>I+)T{_NAME}(?P<kind>U)FVTR"  # version, shape, dtype("f4", False, True)
    rf"MI(?P<order>U)NNNIIITD(?P<fortran>[FV])(?P<content>(?:{_BYTES})?)TD\."  # byte order, memory order, bytes
)
"""What protocols 2 to 4 of pickle write for an array of numbers, one letter an operation."""

_KNOWN: Final = {"numpy.core.multiarray", "numpy._core.multiarray", "_codecs", "numpy"} | {
    "_reconstruct", "ndarray", "dtype", "encode",
}  # fmt: skip


def read_pickled_array(path: Path) -> NDArray[np.generic]:
    """Return the array of numbers that protocol 2, 3 or 4 of pickle wrote to a file.

    Raises
    ------
    DataError
        The file is no pickle, or holds anything but one array of numbers.
    """
    try:
        listed = [(code.name, value) for code, value, _ in pickletools.genops(path.read_bytes())]
    except (OSError, ValueError) as err:
        raise DataError(f"{path}: not a pickled array: {err}") from err
    operations = [(_LETTERS.get(name, "?"), value) for name, value in listed if name not in _SILENT]
    match = _ARRAY.fullmatch("".join(letter for letter, _ in operations))
    words = {word for letter, value in operations if letter == "G" for word in str(value).split()}
    if match is None or words - _KNOWN:
        raise DataError(f"{path}: not one pickled numpy array of numbers; nothing else is read from a pickle")
    values: list[object] = [value for _, value in operations]
    shape = tuple(int(str(size)) for size in values[slice(*match.span("shape"))])
    try:
        dtype = np.dtype(f"{values[match.start('order')]}{values[match.start('kind')]}")
    except TypeError as err:
        raise DataError(f"{path}: unknown kind of array: {err}") from err
    content = values[match.start("content") + (operations[match.start("content")][0] == "G")]
    if not match["content"]:
        content = b"b"  # the one content that is not written again: numpy's marker above has the same byte
    content = content if isinstance(content, bytes) else str(content).encode("latin1")
    if dtype.kind not in "fiub" or len(content) != math.prod(shape) * dtype.itemsize:
        raise DataError(f"{path}: {len(content)} bytes do not make an array of {dtype} of shape {shape}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if match["fortran"] == "V" else "C")
