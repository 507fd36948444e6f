"""Incidents: a list of when something was wrong, laid over telemetry without labels."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.readers.csv_text import dialect, first_lines
from trainables.data.readers.labels import UNTYPED
from trainables.data.readers.timestamps import to_utc
from trainables.errors import DataError

_ALIASES = {
    "fault_type": "type",
    "fault_service": "service",
    "start_time": "start",
    "end_time": "end",
    "duration_s": "duration",
}


@dataclass(frozen=True, slots=True, eq=False)
class Incident:
    """From `start` up to, not including, `end` (UTC)."""

    start: np.datetime64
    end: np.datetime64
    fault_type: str
    service: str
    place: str


def read_incidents(path: Path, timezone: str | None) -> list[Incident]:
    """Read a CSV with columns start, end or duration (seconds, or text such as 3min), and service and type if known.

    Raises
    ------
    DataError
        Missing columns, unreadable times, an end before its start; the message starts with the path.
    """
    where = str(path)
    if not path.is_file():
        raise DataError(f"{where}: no such file (data.incidents)")
    try:
        separator, _ = dialect(first_lines(path))
        frame = pd.read_csv(path, dtype="object", keep_default_na=False, sep=separator, encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, pd.errors.ParserError) as err:
        raise DataError(f"{where}: cannot be read as CSV: {err}") from err
    names = [str(name).strip().lower() for name in frame.columns]
    frame.columns = pd.Index([_ALIASES.get(name, name) for name in names])
    if "start" not in frame or not {"end", "duration"} & set(frame.columns):
        raise DataError(f"{where}: columns start and end (or duration) are needed, found: {', '.join(names)}")
    if not len(frame):
        raise DataError(f"{where}: the file lists no incident")

    def line(row: int) -> str:
        return f"line {row + 2}"

    start = to_utc(_text(frame, "start"), timezone, where, line, "start")
    if "end" in frame:
        end = to_utc(_text(frame, "end"), timezone, where, line, "end")
    else:
        end = start + _durations(_text(frame, "duration"), where)
    empty = end <= start
    if empty.any():
        row = int(empty.argmax())
        raise DataError(f"{where}: {line(row)}: the incident ends at or before its start")
    types, services = _text(frame, "type"), _text(frame, "service")
    return [
        Incident(start[row], end[row], str(types[row]) or UNTYPED, str(services[row]), line(row))
        for row in range(len(frame))
    ]


def lay_over(
    incidents: list[Incident], path: Path, where: str, timestamps: NDArray[np.datetime64]
) -> tuple[NDArray[np.int8], NDArray[np.object_], NDArray[np.object_], tuple[str, ...]]:
    """Return labels, fault types and services by row of `where`, and notes; rows outside all incidents are normal.

    Where incidents overlap, the one that started first keeps its rows.

    Raises
    ------
    DataError
        No incident covers any row.
    """
    labels = np.zeros(len(timestamps), dtype=np.int8)
    fault_type, service = (np.full(len(timestamps), "", dtype=object) for _ in range(2))
    order = np.argsort(timestamps, kind="stable")
    ordered = timestamps[order]
    unmatched, overlaps = [], 0
    for incident in sorted(incidents, key=lambda it: it.start):
        rows = order[np.searchsorted(ordered, incident.start) : np.searchsorted(ordered, incident.end)]
        if not len(rows):
            unmatched.append(incident)
            continue
        free = rows[labels[rows] == 0]
        overlaps += len(free) < len(rows)
        labels[free], fault_type[free], service[free] = 1, incident.fault_type, incident.service
    if len(unmatched) == len(incidents):
        spans = f"telemetry covers {_span(ordered[0], ordered[-1])}, the incidents " + _span(
            min(it.start for it in incidents), max(it.end for it in incidents)
        )
        raise DataError(
            f"{path}: none of {len(incidents)} incidents covers a row of {where}: {spans} (UTC); "
            "is a time zone or a unit wrong (data.timezone)?"
        )
    notes = [f"{len(incidents) - len(unmatched)} incidents of {path.name} label {int(labels.sum())} rows."]
    if unmatched:
        listed = ", ".join(f"{it.place} ({_moment(it.start)})" for it in unmatched[:5])
        notes.append(f"{len(unmatched)} incidents cover no row: {listed}{' ...' if len(unmatched) > 5 else ''}.")
    if overlaps:
        notes.append(f"Overlapping incidents: {overlaps}; the earlier one keeps the shared rows.")
    return labels, fault_type, service, tuple(notes)


def _text(frame: pd.DataFrame, name: str) -> NDArray[np.object_]:
    if name not in frame:
        return np.full(len(frame), "", dtype=object)
    return np.asarray([str(value or "").strip() for value in frame[name]], dtype=object)


def _durations(text: NDArray[np.object_], where: str) -> NDArray[np.timedelta64]:
    durations = np.empty(len(text), dtype="timedelta64[ns]")
    for row, value in enumerate(text):
        seconds = re.fullmatch(r"[-+]?\d+(\.\d+)?", value)
        try:
            length = pd.to_timedelta(float(value), unit="s") if seconds else pd.to_timedelta(value)
        except ValueError:
            length = pd.NaT
        if pd.isna(length):
            raise DataError(f"{where}: line {row + 2}: duration {value!r} is neither seconds nor like 3min")
        durations[row] = np.timedelta64(length.value, "ns")
    return durations


def _span(first: np.datetime64, last: np.datetime64) -> str:
    return f"{_moment(first)} to {_moment(last)}"


def _moment(stamp: np.datetime64) -> str:
    return str(np.datetime_as_string(stamp, unit="s"))
