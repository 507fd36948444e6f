"""CSV files of numbers as data sets publish them: headers with flaws, no meaning of their own."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.readers.columns import not_numeric
from trainables.data.readers.csv_text import MISSING_TOKENS, check_widths, first_lines
from trainables.data.readers.files import UNREADABLE
from trainables.errors import DataError


def read_numbers(path: Path, time: str, text: Sequence[str] = ()) -> pd.DataFrame:
    """Return the columns of a comma-separated file: numbers, and those named in `text` as text.

    Columns without a name (a saved row index) are left out, and so is a second column named `time`.

    Raises
    ------
    DataError
        Not a CSV file, no column `time`, another name twice, or text among the numbers (with its line).
    """
    try:
        header = [name.strip() for name in next(csv.reader(first_lines(path)[:1]))]
        keep = [n for n, name in enumerate(header) if name and not (name == time and n > header.index(time))]
        names = [header[n] for n in keep]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DataError(f"{path}: more than one column is named {', '.join(twice)}")
        if time not in names:
            raise DataError(f"{path}: there is no column named {time}, found: {', '.join(names[:8])}")
        check_widths(path, ",", len(header), most=len(header))
        frame = pd.read_csv(
            path,
            header=0,
            names=[str(n) for n in range(len(header))],
            usecols=[str(n) for n in keep],
            dtype={str(n): "object" for n in keep if header[n] in text},
            keep_default_na=False,
            na_values={str(n): MISSING_TOKENS for n in keep if header[n] not in text},
            skip_blank_lines=False,
            low_memory=False,
            encoding="utf-8-sig",
        )
    except (*UNREADABLE, pd.errors.ParserError) as err:
        raise DataError(f"{path}: cannot be read as CSV: {err}") from err
    frame.columns = pd.Index(names)
    frame = frame.dropna(how="all")
    if frame.empty:
        raise DataError(f"{path}: the file has a header and no rows")
    for name in names:
        if name not in text and not pd.api.types.is_numeric_dtype(frame[name]):
            numbers = pd.to_numeric(frame[name], errors="coerce")
            bad = np.flatnonzero((numbers.isna() & frame[name].notna()).to_numpy())
            if len(bad):
                raise not_numeric(str(path), name, frame[name].iloc[bad[0]], f"line {frame.index[bad[0]] + 2}")
            frame[name] = numbers
    return frame


def last_of_each_time(stamps: NDArray[np.datetime64]) -> tuple[NDArray[np.intp], int]:
    """Return the rows in order of time, of equal times the last in the file, and how many were left out."""
    order = np.argsort(stamps, kind="stable")
    last = np.append(stamps[order][1:] != stamps[order][:-1], True)
    return order[last], int((~last).sum())
