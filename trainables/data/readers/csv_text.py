"""Comma-, semicolon- and tab-separated files, plain or gzipped."""

import csv
import gzip
import io
import re
import string
import warnings
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.big_tables import empty, released
from trainables.data.readers.columns import (
    MEANINGS,
    TIMESTAMP,
    FileColumns,
    check_header,
    chosen,
    not_numeric,
    to_numbers,
)
from trainables.data.readers.timestamps import Clock
from trainables.errors import DataError

MISSING_TOKENS = ["", "NaN", "nan", "NAN", "NA", "N/A", "n/a", "na", "null", "NULL", "None", "none", "<NA>", "-nan"]
"""Texts that stand for a missing value in a feature column (and only there)."""

_CHUNK_ROWS = 50_000
_SAMPLE_LINES = 50
_BYTES = "latin-1"


def read_csv(path: Path, timezone: str | None, only: Collection[str] | None = None) -> FileColumns:
    """Read a table, detecting its separator and decimal sign from the first lines; `only` these features, or all.

    Raises
    ------
    DataError
        Empty, header only, not text, one column, repeated names, rows of unequal length, text in a feature,
        times that `to_utc` refuses.
    """
    where = str(path)
    try:
        sample = first_lines(path)
        separator, decimal = dialect(sample)
        names = [name.strip() for name in next(csv.reader(sample[:1], delimiter=separator))]
        check_header(where, names)
        lines = check_widths(path, separator, len(names))
        return _read(path, timezone, _chunks(path, names, separator, decimal), chosen(names, only), lines)
    except UnicodeDecodeError as err:
        place = _undecodable(path)
        raise DataError(
            f"{where}: {place}: not a text file in UTF-8 ({err.reason}); save it in UTF-8, and name a gzipped table .gz"
        ) from err
    except (gzip.BadGzipFile, EOFError, zlib.error) as err:
        raise DataError(f"{where}: the name says gzip, but the content does not unpack: {err}") from err
    except (pd.errors.ParserError, csv.Error) as err:
        said = re.sub(r"\s+", " ", str(err)).removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{where}: {said.strip()}; every line needs as many values as the header") from err
    except pd.errors.ParserWarning as err:
        raise DataError(f"{where}: the rows have more values than the header has names ({len(names)})") from err


def first_lines(path: Path) -> list[str]:
    """Return the first lines of a text file, unpacked.

    Raises
    ------
    DataError
        Nothing in it, or no header in the first line.
    """
    raw = path.open("rb")
    with raw, io.TextIOWrapper(gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw, "utf-8-sig") as file:
        lines = [line.rstrip("\r\n") for line, _ in zip(file, range(_SAMPLE_LINES), strict=False)]
    if not any(line.strip() for line in lines):
        raise DataError(f"{path}: the file is empty; a header line and rows are needed")
    if not lines[0].strip():
        raise DataError(f"{path}: the first line is blank; it must be the header")
    return lines


def _undecodable(path: Path) -> str:
    """Return the place of the first line that is not UTF-8."""
    for number, line in enumerate(_lines(path), start=1):
        try:
            line.encode(_BYTES).decode("utf-8")
        except UnicodeDecodeError:
            return f"line {number}"
    return "the end of the file"


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, unpacked, one character a byte; as for pandas, a lone CR ends a line, too."""
    with gzip.open(path, "rt", encoding=_BYTES) if path.suffix == ".gz" else path.open(encoding=_BYTES) as file:
        yield from file


def dialect(sample: list[str]) -> tuple[str, str]:
    """Return the separator and the decimal sign that the first lines show."""
    bare = re.sub(r'"[^"]*"', "", sample[0])
    separator = max((",", ";", "\t"), key=bare.count)
    fields = [field.strip() for line in sample[1:] for field in line.split(separator)]
    comma = separator != "," and any(re.fullmatch(r"[-+]?\d+,\d+([eE][-+]?\d+)?", field) for field in fields)
    return separator, "," if comma else "."


class _Lines:
    """The line of each row: rows follow each other from line 2 on, but for blank lines."""

    def __init__(self) -> None:
        self._blank = np.empty(0, dtype=np.int64)

    def skip(self, blank: NDArray[np.int64]) -> None:
        """Take the numbers of blank lines, after those taken before."""
        self._blank = np.append(self._blank, blank)

    def of(self, row: int) -> str:
        """Return the words for the line of a row."""
        line = row + 2
        before = np.searchsorted(self._blank - np.arange(len(self._blank)), line, side="right")
        return f"line {line + before}"


def _read(
    path: Path,
    timezone: str | None,
    chunks: Iterable[pd.DataFrame],
    asked: tuple[list[str], tuple[str, ...]],
    most: int,
) -> FileColumns:
    """Put the rows of a file, which has at most so many lines, together: values where large tables lie."""
    where = str(path)
    features, ignored = asked
    table, rows = empty(most, len(features)), 0
    clock, lines = Clock(timezone, where), _Lines()
    texts: dict[str, list[NDArray[np.object_]]] = {}
    for chunk in chunks:
        first = int(chunk.index[0]) + 2  # the header is line 1
        values = _numbers(where, chunk, features, first)
        text = {name: _stripped(chunk[name]) for name in chunk.columns if name in MEANINGS}
        blank = np.isnan(values).all(axis=1) & np.logical_and.reduce([column == "" for column in text.values()])
        keep = np.flatnonzero(~blank)
        table[rows : rows + len(keep)] = values[keep]
        released(table)
        lines.skip(first + np.flatnonzero(blank))
        clock.take(text.pop(TIMESTAMP)[keep], lines.of)
        for name, column in text.items():
            texts.setdefault(name, []).append(column[keep])
        rows += len(keep)
    if not rows:
        raise DataError(f"{where}: the file has a header and no rows")
    return FileColumns(
        where=where,
        features=tuple(features),
        values=table[:rows],
        timestamps=clock.taken(lines.of),
        text={name: np.concatenate(texts.pop(name)) for name in list(texts)},
        line=lines.of,
        ignored=ignored,
    )


def _chunks(path: Path, names: list[str], separator: str, decimal: str) -> Iterator[pd.DataFrame]:
    """Yield the table in pieces, numbers parsed, columns with a meaning as text."""
    meanings = [name for name in names if name in MEANINGS]
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        reader = pd.read_csv(
            path,
            sep=separator,
            decimal=decimal,
            encoding="utf-8-sig",
            header=0,
            names=names,
            index_col=False,
            dtype=dict.fromkeys(meanings, "object"),
            keep_default_na=False,
            na_values={name: MISSING_TOKENS for name in names if name not in MEANINGS},
            skip_blank_lines=False,  # so that row and line numbers agree
            skipinitialspace=True,
            low_memory=False,
            chunksize=_CHUNK_ROWS,
        )
        with reader:
            yield from (chunk for chunk in reader if len(chunk))


def check_widths(path: Path, separator: str, width: int, *, most: int | None = None) -> int:
    """Return the number of lines.

    A line with fewer values than the header is refused (pandas would fill it up without a word), and one with more
    than `most`.

    Raises
    ------
    DataError
        Names the first such line.
    """
    quoted, number = False, 0
    for number, line in enumerate(_lines(path), start=1):
        within = quoted
        if '"' in line:
            quoted ^= line.count('"') % 2 == 1  # a quoted value may go on in the next line
            line = re.sub(r'"[^"]*"', "", line)  # noqa: PLW2901
        found = line.count(separator) + 1
        if within or quoted or not line.strip(string.whitespace):
            continue
        if found < width or (most is not None and found > most):
            hint = "; is the file cut off?" if found < width else ""
            raise DataError(f"{path}: line {number} has {found} values, the header {width}{hint}")
    return number


def _numbers(where: str, chunk: pd.DataFrame, features: list[str], first: int) -> NDArray[np.float32]:
    values = np.empty((len(chunk), len(features)), dtype=np.float32)
    for position, name in enumerate(features):
        column = chunk[name]
        if not pd.api.types.is_numeric_dtype(column):  # booleans count as numeric
            numbers = to_numbers(column)
            bad = np.flatnonzero((numbers.isna() & column.notna()).to_numpy())
            if len(bad):
                raise not_numeric(where, name, column.iloc[bad[0]], f"line {first + bad[0]}")
            column = numbers
        with np.errstate(over="ignore"):  # beyond float32: infinite, which is counted as missing later
            values[:, position] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _stripped(column: pd.Series) -> NDArray[np.object_]:
    """Return text without surrounding blanks."""
    codes, values = pd.factorize(column)  # one text for equal values
    known = ["" if not isinstance(value, str) else value.strip() for value in values]
    return np.asarray([*known, ""], dtype=object)[codes]
