"""Long CSV: one sample a line (time, name, labels, value), as databases and spreadsheets export it."""

import csv
import json
import re
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
from trainables.data.readers.timestamps import Line, to_utc
from trainables.errors import DataError
from trainables.settings import DataSettings

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
    frame = _read(path)

    def line(row: int) -> str:
        return f"line {frame.index[row] + 2}"

    times = to_utc(frame["time"].to_numpy(dtype=object), timezone, str(path), line, "time").astype(np.int64)
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


def _read(path: Path) -> pd.DataFrame:
    """Return the file as stripped text with columns time, name, value, and others."""
    try:
        sample = first_lines(path)
        separator, decimal = dialect(sample)
        width = len(next(csv.reader(sample[:1], delimiter=separator)))
        check_widths(path, separator, width, most=width)
        frame = pd.read_csv(
            path,
            dtype="object",
            index_col=False,
            keep_default_na=False,
            sep=separator,
            encoding="utf-8-sig",
            skip_blank_lines=False,
        )
    except (*UNREADABLE, pd.errors.ParserError, pd.errors.EmptyDataError) as err:
        said = re.sub(r"\s+", " ", str(err)).removeprefix("Error tokenizing data. C error: ")
        raise DataError(f"{path}: cannot be read as CSV: {said.strip()}") from err
    names = [str(name).strip() for name in frame.columns]
    frame.columns = pd.Index([_ALIASES.get(name.lower(), name.lower()) for name in names])
    lacking = [name for name in ("time", "name", "value") if name not in frame.columns]
    if lacking:
        raise DataError(f"{path}: columns time, name and value are needed; no {lacking[0]}, found: {', '.join(names)}")
    twice = sorted({str(name) for name in frame.columns if list(frame.columns).count(name) > 1})
    if twice:
        raise DataError(f"{path}: more than one column means {', '.join(twice)}: {', '.join(names)}")
    for name in frame.columns:
        frame[name] = [str(value).strip() if isinstance(value, str) else "" for value in frame[name]]
    frame = frame.loc[(frame != "").any(axis=1)]
    if frame.empty:
        raise DataError(f"{path}: the file has a header and no samples")
    if decimal == ",":
        frame = frame.assign(value=frame["value"].str.replace(",", ".", regex=False))
    return frame


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
