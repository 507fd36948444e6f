"""A file as read: numeric features beside the few columns that have a meaning of their own."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.errors import DataError

TIMESTAMP: Final = "timestamp"
LABEL: Final = "label"
FAULT_TYPE: Final = "fault_type"
FAULT_SERVICE: Final = "fault_service"
SEGMENT: Final = "segment"
QUALITY: Final = "label_quality"
MEANINGS: Final = (TIMESTAMP, LABEL, FAULT_TYPE, FAULT_SERVICE, SEGMENT, QUALITY)
"""Columns that are not features."""

OTHER_LAYOUTS: Final = (
    "other layouts have readers of their own, named by data.source (of a command: --source), listed by "
    "python -m trainables.data convert --help"
)
"""What to do with a file that is no table, for messages."""

_LONG = {"metric", "name", "__name__", "metric_name", "_field"}
"""Columns that name the metric of a sample, one a line."""

_OTHER_TIMES = ("time", "datetime", "date", "ts", "@timestamp", "epoch", "unix_time")


@dataclass(frozen=True, slots=True, eq=False)
class FileColumns:
    """Columns of one file in its order of rows.

    Attributes
    ----------
    where
        The path, with which error messages start.
    features
        Names of the numeric columns.
    values : float32 [T, C]
        NaN where missing; infinities as in the file.
    timestamps : datetime64[ns] [T]
        UTC.
    text
        The other columns with a meaning, as stripped text [T]; blank where empty.
    line
        From a row number to the words for its place in the file.
    simulated, notes
        What the file says of where it comes from.
    ignored
        Columns that were left unread because only others were asked for.
    """

    where: str
    features: tuple[str, ...]
    values: NDArray[np.float32]
    timestamps: NDArray[np.datetime64]
    text: dict[str, NDArray[np.object_]]
    line: Callable[[int], str]
    simulated: bool = False
    notes: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def repeated(text: str, rows: int) -> NDArray[np.object_]:
    """Return one text for all rows [T], read-only, in the memory of one (`numpy.full` makes a text for each row)."""
    return np.broadcast_to(np.asarray(text, dtype=object), rows)


def chosen(names: Sequence[str], only: Collection[str] | None) -> tuple[list[str], tuple[str, ...]]:
    """Return the feature columns to read, in order of the file, and those to ignore; `only` None reads all."""
    features = [name for name in names if name not in MEANINGS]
    if only is None:
        return features, ()
    return [name for name in features if name in only], tuple(name for name in features if name not in only)


def check_header(where: str, names: Sequence[str]) -> None:
    """Refuse a header without a timestamp or features, with a name twice or with a column without a name.

    Raises
    ------
    DataError
        Says what was seen and what is right.
    """
    seen = f"the columns are: {', '.join(names[:12])}" + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    nameless = [position + 1 for position, name in enumerate(names) if not name or re.match(r"Unnamed: \d+$", name)]
    if len(names) < 2:
        raise DataError(
            f"{where}: the file has one column, {names[0] if names else ''!r}; "
            "columns must be separated by commas, semicolons or tabs"
        )
    if nameless:
        raise DataError(f"{where}: column {nameless[0]} has no name (a saved row index?); name it or leave it out")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{where}: column names must be unique, more than one column is named {', '.join(twice[:8])}")
    if TIMESTAMP not in names:
        near = [name for name in names if name.lower() in (TIMESTAMP, *_OTHER_TIMES)]
        near = near or get_close_matches(TIMESTAMP, names, n=1)
        hint = (
            f"rename {near[0]!r} to 'timestamp'" if near else "name the column of times so, or number the rows in one"
        )
        if _LONG & {name.lower() for name in names}:
            hint = "if it holds one sample a line, source long_csv reads it"
        raise DataError(f"{where}: there is no column named timestamp; {hint}; {seen}")
    wrong_case = {name: name.lower() for name in names if name not in MEANINGS and name.lower() in MEANINGS}
    if wrong_case:
        name, right = next(iter(wrong_case.items()))
        raise DataError(f"{where}: column {name!r} must be written {right!r}; otherwise it would be read as a feature")
    if all(name in MEANINGS for name in names):
        raise DataError(f"{where}: there is no feature column; {seen}")


def to_numbers(column: pd.Series) -> pd.Series:
    """Return a column as numbers: NaN where it is empty or text, infinite beyond float64."""
    try:
        return pd.to_numeric(column, errors="coerce")
    except OverflowError:  # from Python's own integers, which are as long as they like
        return pd.to_numeric(column.astype("str"), errors="coerce")


def not_numeric(where: str, name: str, value: object, place: str) -> DataError:
    """Return the error for text in a feature column."""
    hint = "; is the decimal separator a comma?" if re.fullmatch(r"\s*[-+]?\d+,\d+\s*", str(value)) else ""
    return DataError(
        f"{where}: {place}: column {name!r} must be numeric, found {str(value)!r}{hint}; "
        "leave a missing value empty, and leave text columns out"
    )
