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
    zone = _zone(timezone, where)
    if isinstance(stamps.dtype, np.dtype) and stamps.dtype.kind == "M":
        return _localised(pd.Series(stamps), zone, where, line, column)
    if stamps.dtype.kind in "iuf":
        return _from_epoch(stamps, where, line, column)
    text = [str(value).strip() for value in stamps]
    blank = next((row for row, value in enumerate(text) if not value or value.lower() in ("nan", "nat", "none")), None)
    if blank is not None:
        raise DataError(f"{where}: {line(blank)}: {column} is empty; every row needs a time")
    numeric = np.asarray([_NUMBER.fullmatch(value) is not None for value in text], dtype=bool)
    if 0 < numeric.sum() < len(text):
        odd = int((~numeric if 2 * numeric.sum() > len(text) else numeric).argmax())
        kind = "epoch numbers" if not numeric[odd] else "dates"
        raise DataError(
            f"{where}: {line(odd)}: {column} {text[odd]!r} is not a time like the others, which are {kind}; "
            "write ISO 8601 (2024-03-01T12:00:00Z) or epoch seconds"
        )
    if numeric.all():
        whole = all(re.fullmatch(r"[-+]?\d{1,18}", value) for value in text)  # longer ones do not fit 64 bits
        return _from_epoch(np.asarray(text, dtype=np.int64 if whole else np.float64), where, line, column)
    return _from_iso(text, timezone, zone, where, line, column)


def _zone(timezone: str | None, where: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as err:
        near = get_close_matches(timezone or "", available_timezones(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(
            f"{where}: {ZONE_KEY}: {timezone!r} is not a zone name such as Europe/Berlin or UTC{hint}"
        ) from err


def _from_epoch(numbers: NDArray[np.generic], where: str, line: Line, column: str) -> NDArray[np.datetime64]:
    if not len(numbers):
        return np.empty(0, dtype="datetime64[ns]")
    values = np.asarray(numbers)
    missing = ~np.isfinite(values.astype(np.float64))
    if missing.any():
        raise DataError(f"{where}: {line(int(missing.argmax()))}: {column} is empty; every row needs a time")
    sizes = np.abs(values.astype(np.float64))
    size = float(sizes.max())
    unit = next(name for bound, name in _UNITS if size < bound)
    if size / {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[unit] > _LATEST.timestamp():
        row = int(sizes.argmax())
        raise DataError(
            f"{where}: {line(row)}: {column} {values[row]} would be after the year 2200 in {unit}; "
            "write ISO 8601 (2024-03-01T12:00:00Z) or epoch seconds"
        )
    if values.dtype.kind == "f":
        per_unit = {"s": 10**6, "ms": 10**3, "us": 1, "ns": 1}[unit]
        whole = np.round(values.astype(np.float64) * per_unit).astype(np.int64)
        values, unit = whole, "ns" if unit == "ns" else "us"
    return values.astype(np.int64).astype(f"datetime64[{unit}]").astype("datetime64[ns]")


def _from_iso(
    text: list[str], timezone: str | None, zone: ZoneInfo, where: str, line: Line, column: str
) -> NDArray[np.datetime64]:
    values = pd.Series(text, dtype="object")
    aware = _parsed(values, where, line, column)
    naive = np.asarray([_OFFSET.search(value) is None for value in text], dtype=bool)
    if timezone is None and naive.any() and not naive.all():
        with_offset, without = int((~naive).argmax()), int(naive.argmax())
        raise DataError(
            f"{where}: {column} has an offset in {line(with_offset)} ({text[with_offset]}) and none in {line(without)} "
            f"({text[without]}); give the zone of those without as {ZONE_KEY}, or write all in UTC"
        )
    utc = aware.dt.tz_localize(None).dt.as_unit("ns").to_numpy()
    if naive.any() and zone.key != "UTC":
        rows = np.flatnonzero(naive)
        own = aware.iloc[rows].dt.tz_localize(None)
        utc = utc.copy()
        utc[rows] = _localised(own, zone, where, lambda row: line(int(rows[row])), column)
    return np.asarray(utc, dtype="datetime64[ns]")


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
