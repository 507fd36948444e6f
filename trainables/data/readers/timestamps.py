"""Timestamps: ISO text, epoch numbers or datetimes, all to UTC."""

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.errors import DataError

_UNITS = ((1e11, "s"), (1e14, "ms"), (1e17, "us"), (np.inf, "ns"))
"""Epoch numbers below each bound are taken in that unit (1e11 s is the year 5138, 1e11 ms is 1973)."""

_EARLIEST, _LATEST = pd.Timestamp("1900-01-01", tz="UTC"), pd.Timestamp("2200-01-01", tz="UTC")
"""Telemetry from outside these years is a misread number, not a time."""

_OFFSET = re.compile(r"\d[T ]\d{2}(?::?\d{2})?(?::?\d{2})?(?:[.,]\d+)?\s*(?:Z|z|UTC|[+-]\d{2}(?::?\d{2})?)$")
_NUMBER = re.compile(r"[-+]?\d+(\.\d+)?([eE][-+]?\d+)?")

ZONE_KEY: Final = "timezone (of a command: --timezone)"
"""Where one says in which zone times without an offset are, for messages."""

Line = Callable[[int], str]


def to_utc(
    stamps: NDArray[np.generic], timezone: str | None, where: str, line: Line, column: str = "timestamp"
) -> NDArray[np.datetime64]:
    """Return UTC times datetime64[ns] [T].

    Text may be ISO 8601 or epoch numbers; numbers are seconds, milliseconds, micro- or nanoseconds by
    their size. A time with an offset means what it says, whatever offsets the others have. `timezone` is
    the zone of times without one; without it they are UTC, provided that none of the others has an offset.

    Raises
    ------
    DataError
        Empty or unreadable times (with the line of the first), or times with and without an offset, unless
        `timezone` says how those without are meant.
    """
    return Clock(timezone, where, column).utc(stamps, line)


class Clock:
    """Reads a column of times as `to_utc`, a piece after the other, and refuses pieces that do not go together.

    Attributes
    ----------
    in_pieces
        False with a zone other than UTC: in which of two hours of the same name a time lies, at the end of summer
        time, is told by the order of all rows, so that all have to be given at once.
    """

    def __init__(self, timezone: str | None, where: str, column: str = "timestamp") -> None:
        self._declared = timezone is not None
        self._zone = _zone(timezone, where)
        self.in_pieces = self._zone.key == "UTC"
        self._where, self._column = where, column
        self._first: dict[str, str] = {}  # what a time was, and the place and words of the first that was so
        self._taken: list[NDArray[np.generic]] = []

    def take(self, stamps: NDArray[np.generic], line: Line) -> None:
        """Take the next piece of a column; `line` counts rows from the first piece on."""
        before = sum(map(len, self._taken))
        self._taken.append(self.utc(stamps, lambda row: line(before + row)) if self.in_pieces else stamps)

    def taken(self, line: Line) -> NDArray[np.datetime64]:
        """Return the times of all pieces."""
        column = np.concatenate(self._taken)
        self._taken.clear()
        return column.astype("datetime64[ns]", copy=False) if self.in_pieces else self.utc(column, line)

    def utc(self, stamps: NDArray[np.generic], line: Line) -> NDArray[np.datetime64]:
        """Return the times of the next piece; see `to_utc`."""
        if isinstance(stamps.dtype, np.dtype) and stamps.dtype.kind == "M":
            return _localised(pd.Series(stamps), self._zone, self._where, line, self._column)
        if stamps.dtype.kind in "iuf":
            return self._from_epoch(stamps, line)
        text = [str(value).strip() for value in stamps]
        blank = next(
            (row for row, value in enumerate(text) if not value or value.lower() in ("nan", "nat", "none")), None
        )
        if blank is not None:
            raise DataError(f"{self._where}: {line(blank)}: {self._column} is empty; every row needs a time")
        numeric = np.asarray([_NUMBER.fullmatch(value) is not None for value in text], dtype=bool)
        self._all_of_one_kind(numeric, text, line)
        if numeric.all():
            whole = all(re.fullmatch(r"[-+]?\d{1,18}", value) for value in text)  # longer ones do not fit 64 bits
            return self._from_epoch(np.asarray(text, dtype=np.int64 if whole else np.float64), line)
        return self._from_iso(text, line)

    def _all_of_one_kind(self, numeric: NDArray[np.bool_], text: list[str], line: Line) -> None:
        if not len(text):
            return
        numbers, dates = "epoch numbers", "dates"
        mostly = next((kind for kind in (numbers, dates) if kind in self._first), None)
        mostly = mostly or (numbers if 2 * numeric.sum() > len(text) else dates)
        odd = np.flatnonzero(numeric != (mostly == numbers))
        if len(odd):
            raise DataError(
                f"{self._where}: {line(int(odd[0]))}: {self._column} {text[odd[0]]!r} is not a time like the others, "
                f"which are {mostly}; write ISO 8601 (2024-03-01T12:00:00Z) or epoch seconds"
            )
        self._first.setdefault(mostly, "")

    def _from_epoch(self, numbers: NDArray[np.generic], line: Line) -> NDArray[np.datetime64]:
        if not len(numbers):
            return np.empty(0, dtype="datetime64[ns]")
        values = np.asarray(numbers)
        missing = ~np.isfinite(values.astype(np.float64))
        if missing.any():
            place = line(int(missing.argmax()))
            raise DataError(f"{self._where}: {place}: {self._column} is empty; every row needs a time")
        sizes = np.abs(values.astype(np.float64))
        row = int(sizes.argmax())
        unit = _unit(sizes[row])
        if sizes[row] / {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit] > _LATEST.timestamp():
            raise DataError(
                f"{self._where}: {line(row)}: {self._column} {values[row]} would be after the year 2200 in {unit}; "
                "write ISO 8601 (2024-03-01T12:00:00Z) or epoch seconds"
            )
        for extreme in sorted((int(sizes.argmin()), row)):
            self._all_in_one_unit(_unit(sizes[extreme]), f"{values[extreme]}", line(extreme))
        if values.dtype.kind == "f":
            per_unit = {"s": 10**6, "ms": 10**3, "us": 1, "ns": 1}[unit]
            whole = np.round(values.astype(np.float64) * per_unit).astype(np.int64)
            values, unit = whole, "ns" if unit == "ns" else "us"
        return values.astype(np.int64).astype(f"datetime64[{unit}]").astype("datetime64[ns]")

    def _all_in_one_unit(self, unit: str, number: str, place: str) -> None:
        for known in {"s", "ms", "us", "ns"} - {unit}:
            if known in self._first:
                raise DataError(
                    f"{self._where}: {place}: {self._column} {number} is in {unit} by its size, but "
                    f"{self._first[known]} in {known}; write all in one unit, or ISO 8601 (2024-03-01T12:00:00Z)"
                )
        self._first.setdefault(unit, f"{number} in {place}")

    def _from_iso(self, text: list[str], line: Line) -> NDArray[np.datetime64]:
        aware = _parsed(pd.Series(text, dtype="object"), self._where, line, self._column)
        naive = np.asarray([_OFFSET.search(value) is None for value in text], dtype=bool)
        for kind, there in (("offset", ~naive), ("none", naive)):
            if there.any():
                row = int(there.argmax())
                self._first.setdefault(kind, f"{line(row)} ({text[row]})")
        if not self._declared and {"offset", "none"} <= set(self._first):
            raise DataError(
                f"{self._where}: {self._column} has an offset in {self._first['offset']} and none in "
                f"{self._first['none']}; give the zone of those without as {ZONE_KEY}, or write all in UTC"
            )
        utc = aware.dt.tz_localize(None).dt.as_unit("ns").to_numpy()
        if naive.any() and not self.in_pieces:
            rows = np.flatnonzero(naive)
            own = aware.iloc[rows].dt.tz_localize(None)
            utc = utc.copy()
            utc[rows] = _localised(own, self._zone, self._where, lambda row: line(int(rows[row])), self._column)
        return np.asarray(utc, dtype="datetime64[ns]")


def _unit(size: float) -> str:
    return next(name for bound, name in _UNITS if size < bound)


def _zone(timezone: str | None, where: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as err:
        near = get_close_matches(timezone or "", available_timezones(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(
            f"{where}: {ZONE_KEY}: {timezone!r} is not a zone name such as Europe/Berlin or UTC{hint}"
        ) from err


def _parsed(values: "pd.Series[str]", where: str, line: Line, column: str) -> "pd.Series[pd.Timestamp]":
    """Return times in UTC, those without an offset as if they were in it."""
    parsed = pd.Series(pd.to_datetime(values, format="ISO8601", utc=True, errors="coerce"))
    bad = (parsed.isna() | (parsed < _EARLIEST) | (parsed > _LATEST)).to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"{where}: {line(row)}: {column} {values.iloc[row]!r} is not a time; "
            "write ISO 8601 (2024-03-01T12:00:00Z) or epoch seconds"
        )
    return parsed


def _localised(
    naive: "pd.Series[pd.Timestamp]", zone: ZoneInfo, where: str, line: Line, column: str
) -> NDArray[np.datetime64]:
    missing = naive.isna().to_numpy()
    if missing.any():
        raise DataError(f"{where}: {line(int(missing.argmax()))}: {column} is empty; every row needs a time")
    if zone.key != "UTC":
        try:
            naive = naive.dt.tz_localize(zone, ambiguous="infer").dt.tz_convert("UTC").dt.tz_localize(None)
        except ValueError as err:  # ambiguous or missing hour of a clock change
            raise DataError(
                f"{where}: {column} cannot be placed in {zone.key}: {err}; write times with an offset or in UTC"
            ) from err
    return naive.to_numpy().astype("datetime64[ns]")
