"""Long CSV: one sample a line (time, name, labels, value), as databases and spreadsheets export it."""

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.assemble import RawColumns
from trainables.data.readers.columns import not_numeric
from trainables.data.readers.csv_text import MISSING_TOKENS, check_widths, dialect, first_lines
from trainables.data.readers.files import UNREADABLE, files_of, path_of
from trainables.data.readers.reader import Reader, Say
from trainables.data.readers.samples import Samples
from trainables.data.readers.timestamps import Clock, Line
from trainables.errors import DataError
from trainables.settings import DataSettings

PIECE_ROWS = 50_000
"""Samples of a file that are in memory together."""

_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_ALIASES = {
    "timestamp": "time", "ts": "time", "datetime": "time", "_time": "time",
    "metric": "name", "__name__": "name", "metric_name": "name", "_field": "name",
    "tags": "labels",
    "_value": "value",
}  # fmt: skip
_PAIR = re.compile(r'\s*([^=,;{}"\s]+)\s*[=:]\s*(?:"((?:\\.|[^"\\])*)"|([^,;{}"]*))\s*(?:[,;]|$)')


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give the samples of all files as one table; columns other than time, name, labels, value are labels."""
    root = path_of(data)
    samples = Samples(str(root))
    for path in files_of(root, _SUFFIXES, "CSV files of samples"):
        _add(samples, path, data.timezone)
    yield samples.wide(say)


READER = Reader(
    about="long CSV, one sample a line: time, name, labels (or a column a label), value; a file or a folder",
    example="long_csv samples.csv --incidents incidents.csv",
    recordings=recordings,
    labelled=False,
)


def _add(samples: Samples, path: Path, timezone: str | None) -> None:
    clock, empty = Clock(timezone, str(path), "time"), True
    for frame in _pieces(path, None if not clock.in_pieces else PIECE_ROWS):
        if len(frame):
            _add_piece(samples, path, frame, clock)
            empty = False
    if empty:
        raise DataError(f"{path}: the file has a header and no samples")


def _add_piece(samples: Samples, path: Path, frame: pd.DataFrame, clock: Clock) -> None:
    def line(row: int) -> str:
        return f"line {frame.index[row] + 2}"

    times = clock.utc(frame["time"].to_numpy(dtype=object), line).astype(np.int64)
    values = _numbers(frame["value"], path, line)
    keys = [name for name in frame.columns if name not in ("time", "value")]
    for key, rows in frame.groupby(keys, sort=False, dropna=False).indices.items():
        texts = dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
        place = line(int(rows[0]))
        name = texts.pop("name")
        if not name:
            raise DataError(f"{path}: {place}: name is empty; every sample needs the name of its metric")
        labels = _labels(texts.pop("labels", ""), path, place)
        labels.update({key: value for key, value in texts.items() if value})
        samples.add(name, labels, times[rows], values[rows])


def _pieces(path: Path, rows: int | None) -> Iterator[pd.DataFrame]:
    """Yield the file, so many rows at a time, as stripped text with columns time, name, value, and others."""
    try:
        sample = first_lines(path)
        separator, decimal = dialect(sample)
        header = next(csv.reader(sample[:1], delimiter=separator))
        check_widths(path, separator, len(header), most=len(header))
        names = _names(path, header)
        with pd.read_csv(
            path,
            dtype="object",
            header=0,
            names=names,
            index_col=False,
            keep_default_na=False,
            sep=separator,
            encoding="utf-8-sig",
            skip_blank_lines=False,
            chunksize=rows or sys.maxsize,
        ) as pieces:
            for piece in pieces:
                yield _stripped(piece, decimal)
    except (*UNREADABLE, csv.Error, pd.errors.ParserError, pd.errors.EmptyDataError) as err:
        said = re.sub(r"\s+", " ", str(err)).removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path}: cannot be read as CSV: {said.strip()}") from err


def _names(path: Path, header: list[str]) -> list[str]:
    """Return the names of the columns in lower case, time, name and value by these names.

    Raises
    ------
    DataError
        One of them is not there, or two columns have one name.
    """
    given = [name.strip() for name in header]
    names = [_ALIASES.get(name.lower(), name.lower()) or f"unnamed: {n}" for n, name in enumerate(given)]
    lacking = [name for name in ("time", "name", "value") if name not in names]
    if lacking:
        raise DataError(f"{path}: columns time, name and value are needed; no {lacking[0]}, found: {', '.join(given)}")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: more than one column means {', '.join(twice)}: {', '.join(given)}")
    return names


def _stripped(piece: pd.DataFrame, decimal: str) -> pd.DataFrame:
    """Return a piece as stripped text without blank lines, numbers with a decimal point."""
    for name in piece.columns:
        piece[name] = [value.strip() if isinstance(value, str) else "" for value in piece[name]]
    piece = piece.loc[(piece != "").any(axis=1)]
    if decimal == ",":
        piece = piece.assign(value=piece["value"].str.replace(",", ".", regex=False))
    return piece


def _numbers(column: "pd.Series[str]", path: Path, line: Line) -> NDArray[np.float64]:
    text = column.where(~column.isin(MISSING_TOKENS), "nan").str.replace("Inf", "inf", regex=False)
    values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.isnan(values) & (text != "nan").to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise not_numeric(str(path), "value", column.iloc[row], line(row))
    return np.asarray(values)


def _labels(text: str, path: Path, place: str) -> dict[str, str]:
    """Return labels from {a="b",c="d"}, a=b,c=d, a=b;c=d or a JSON object."""
    inner = text.strip()
    if inner.startswith('{"'):
        try:
            return {str(key): str(value) for key, value in json.loads(inner).items()}
        except json.JSONDecodeError as err:
            raise DataError(f"{path}: {place}: labels {text!r} are not a JSON object: {err}") from err
    inner = inner.removeprefix("{").removesuffix("}")
    labels: dict[str, str] = {}
    at = 0
    while at < len(inner.rstrip()):
        match = _PAIR.match(inner, at)
        if match is None:
            raise DataError(f"{path}: {place}: labels {text!r} are not of the form name=value, name=value")
        labels[match[1]] = match[2] if match[2] is not None else match[3].strip()
        at = match.end()
    return labels
