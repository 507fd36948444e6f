"""Labels: one explicit mapping from what people write to fault, normal or unlabelled."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.readers.columns import repeated
from trainables.data.series import NORMAL, UNLABELLED, Quality
from trainables.errors import DataError

NORMAL_WORDS = ("normal", "none", "ok", "no_fault", "no fault", "nofault", "benign", "healthy", "nominal")
"""Words for a row without a fault; case does not matter."""
FAULT_WORDS = ("fault", "faulty", "anomaly", "anomalous", "abnormal", "anomalies", "incident", "failure", "outage")
"""Words for a fault whose type is not told."""
_BINARY = {"0": 0, "1": 1, "false": 0, "true": 1, "no": 0, "yes": 1}
AMBIGUOUS = ("na", "n/a", "nan", "null", "nil", "unknown", "undefined", "?", "-", "--", "<na>")
"""Refused: they could mean normal or not labelled."""

UNTYPED = "fault"
"""Fault type of faults without one."""
MAX_TYPES = 64

Line = Callable[[int], str]


def read_labels(
    text: NDArray[np.object_], column: str, where: str, line: Line
) -> tuple[NDArray[np.int8], NDArray[np.object_]]:
    """Return labels int8 [T] (1, 0, -1) and fault types [T] (blank unless the labels name them).

    Case does not matter for words. Blanks are unlabelled. A column is either binary (0/1, true/false,
    words for normal and fault) or it names fault types (words for normal, and any other names).

    Raises
    ------
    DataError
        Lists every value that is not understood, with the line of its first appearance.
    """
    codes, uniques = pd.factorize(text)
    values = [str(value) for value in uniques]
    kinds = [_kind(value) for value in values]
    first = [int(row) for row in _first_rows(codes, len(values))]
    names = [number for number, kind in enumerate(kinds) if kind == "name"]
    binary = [number for number, kind in enumerate(kinds) if kind in ("0", "1", "fault")]
    refused = [number for number, kind in enumerate(kinds) if kind == "refused"]
    if names and binary:
        refused += names if len(names) <= len(binary) else binary
    if refused:
        raise DataError(
            _complaint(
                values, first, sorted(refused, key=first.__getitem__), bool(names and binary), column, where, line
            )
        )
    if len(names) > MAX_TYPES:
        raise DataError(
            f"{where}: column {column!r} holds {len(names)} different names, at most {MAX_TYPES} fault types are "
            f"possible; is it the label? Seen: {', '.join(values[n] for n in names[:5])} ..."
        )
    of_kind = {"0": 0, "normal": 0, "1": 1, "fault": 1, "name": 1, "blank": UNLABELLED}
    label = np.asarray([of_kind[kind] for kind in kinds], dtype=np.int8)
    fault_type = np.asarray(
        [value if kind == "name" else "" for value, kind in zip(values, kinds, strict=True)], dtype=object
    )
    return label[codes], fault_type[codes] if names else repeated("", len(codes))


def read_types(
    text: NDArray[np.object_], labels: NDArray[np.int8], from_labels: NDArray[np.object_], where: str, line: Line
) -> NDArray[np.object_]:
    """Return the fault type of each row [T] from its own column; blank where the label is not 1.

    Raises
    ------
    DataError
        The column contradicts the label, or there are too many types.
    """
    codes, uniques = pd.factorize(text)
    normal = np.asarray([_word(value) in NORMAL_WORDS for value in uniques], dtype=bool)[codes]
    blank = np.asarray([value == "" for value in uniques], dtype=bool)[codes]
    for wrong, label, says in (
        ((labels == 1) & normal, 1, "normal"),
        ((labels == 0) & ~normal & ~blank, 0, "a fault"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            raise DataError(
                f"{where}: {line(row)}: label says {'fault' if label else NORMAL}, "
                f"fault_type {text[row]!r} says {says} ({int(wrong.sum())} such rows)"
            )
    types = np.where(labels == 1, np.where(blank, from_labels, text), "")
    kinds = set(types[labels == 1].tolist())
    if len(kinds) > MAX_TYPES:
        raise DataError(f"{where}: fault_type holds {len(kinds)} different names, at most {MAX_TYPES} are possible")
    return np.asarray(types, dtype=object)


def read_quality(text: NDArray[np.object_], where: str, line: Line) -> NDArray[np.int8]:
    """Return values of `Quality` [T]; blank is ok.

    Raises
    ------
    DataError
        Lists the values that are not known.
    """
    known = {quality.name.lower(): int(quality) for quality in Quality} | {"": int(Quality.OK)}
    codes, uniques = pd.factorize(text)
    words = [_word(value) for value in uniques]
    first = _first_rows(codes, len(words))
    unknown = [number for number, word in enumerate(words) if word not in known]
    if unknown:
        listed = ", ".join(f"{uniques[number]!r} ({line(int(first[number]))})" for number in unknown[:10])
        raise DataError(f"{where}: label_quality must be one of {', '.join(filter(None, known))}; found {listed}")
    return np.asarray([known[word] for word in words], dtype=np.int8)[codes]


def _word(value: object) -> str:
    return str(value).strip().lower()


def _kind(value: str) -> str:
    """Return what a label text is: blank, 0, 1, normal, fault, name or refused."""
    word = _word(value)
    if word == "":
        return "blank"
    if word in _BINARY:
        return str(_BINARY[word])
    if word in NORMAL_WORDS:
        return "normal"
    if word in FAULT_WORDS:
        return "fault"
    try:
        number = float(word)
    except ValueError:
        known = (*NORMAL_WORDS, *FAULT_WORDS)
        return "refused" if word in AMBIGUOUS or get_close_matches(word, known, n=1, cutoff=0.8) else "name"
    return {0.0: "0", 1.0: "1"}.get(number, "refused")


def _complaint(
    values: Sequence[str], first: Sequence[int], wrong: Sequence[int], mixed: bool, column: str, where: str, line: Line
) -> str:
    listed = []
    for number in wrong[:10]:
        near = get_close_matches(_word(values[number]), (*NORMAL_WORDS, *FAULT_WORDS), n=1, cutoff=0.8)
        hint = f", did you mean {near[0]}?" if near and near[0] != _word(values[number]) else ""
        listed.append(f"{values[number]!r} ({line(first[number])}{hint})")
    more = f" and {len(wrong) - 10} more" if len(wrong) > 10 else ""
    mixture = "; it mixes 0/1 or general words for a fault with names of fault types" if mixed else ""
    return (
        f"{where}: column {column!r} has values that are not understood: {', '.join(listed)}{more}{mixture}; "
        "write 0 or 1, true or false, normal or fault, or normal and the names of fault types; "
        "leave a row blank if it is not labelled"
    )


def _first_rows(codes: NDArray[np.intp], count: int) -> NDArray[np.int64]:
    first = np.full(count, len(codes), dtype=np.int64)
    np.minimum.at(first, codes, np.arange(len(codes)))
    return first
