"""Incidents: a list of when something was wrong, laid over telemetry without labels."""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.readers.csv_text import dialect, first_lines
from trainables.data.readers.files import UNREADABLE
from trainables.data.readers.labels import UNTYPED
from trainables.data.readers.timestamps import ZONE_KEY, to_utc
from trainables.data.series import UNLABELLED
from trainables.data.wording import number_of
from trainables.errors import DataError

SPAN_ALIASES = {
    "start_time": "start", "startsat": "start", "starts_at": "start",
    "end_time": "end", "endsat": "end", "ends_at": "end", "duration_s": "duration",
}  # fmt: skip
"""Names of columns of lists with a start and an end, here and in exports of alerts."""

_ALIASES = {**SPAN_ALIASES, "fault_type": "type", "fault_service": "service"}
_MEANT: Final = 0.8
"""Likeness (difflib) from which on an unknown column is a misspelt one; others, such as notes, are not read."""

MOST_PLACES = 20
"""Lines that a note names."""

TO_MEND: Final = "Incidents"
"""First word of each note that names lines to look at."""


@dataclass(frozen=True, slots=True, eq=False)
class Incident:
    """From `start` up to, not including, `end` (UTC; NaT where nobody noted it); `place` is its line in the file."""

    start: np.datetime64
    end: np.datetime64
    fault_type: str
    service: str
    place: str


def read_incidents(path: Path, timezone: str | None) -> list[Incident]:
    """Read a CSV with columns start, end or duration (seconds, or text such as 3min), and service and type if known.

    Where both columns exist, the duration counts in lines without an end; a line with neither is an open incident.

    Raises
    ------
    DataError
        Missing columns, unreadable times, an end before its start, no end at all; the message starts with the path.
    """
    where = str(path)
    if not path.is_file():
        raise DataError(f"{where}: no such file of incidents")
    frame = read_list(path, _ALIASES)
    _refuse_misspelt(where, [str(name) for name in frame.columns])
    if "start" not in frame or not {"end", "duration"} & set(frame.columns):
        found = ", ".join(map(str, frame.columns))
        raise DataError(f"{where}: columns start and end (or duration) are needed, found: {found}")
    if not len(frame):
        raise DataError(f"{where}: the file lists no incident")

    line = line_of(frame)
    start = to_utc(text_of(frame, "start"), timezone, where, line, "start")
    end = ends_of(frame, start, timezone, where, line)
    empty = end <= start
    if empty.any():
        row = int(empty.argmax())
        raise DataError(f"{where}: {line(row)}: the incident ends at or before its start")
    if np.isnat(end).all():
        raise DataError(f"{where}: no incident has an end: fill the column end, or duration")
    types, services = text_of(frame, "type"), text_of(frame, "service")
    return [
        Incident(start[row], end[row], str(types[row]) or UNTYPED, str(services[row]), line(row))
        for row in range(len(frame))
    ]


def _refuse_misspelt(where: str, names: list[str]) -> None:
    ends = ("end", "duration") if not {"end", "duration"} & {*names} else ()  # one of them is enough
    lacking = [name for name in ("start", *ends, "type", "service") if name not in names]
    spellings = [*lacking, *(alias for alias, name in _ALIASES.items() if name in lacking)]
    for name in names:
        meant = [] if name in spellings else get_close_matches(name, spellings, n=1, cutoff=_MEANT)
        if meant:
            column = _ALIASES.get(meant[0], meant[0])
            unit = " (seconds, or text such as 3min)" if column == "duration" else ""
            raise DataError(f"{where}: column {name!r} would not be read; did you mean {column}{unit}?")


def read_list(path: Path, aliases: Mapping[str, str]) -> pd.DataFrame:
    """Return a CSV as text, its columns in lower case and by the names that `aliases` gives them.

    Blank lines are left out; `line_of` says which line a row stands in.

    Raises
    ------
    DataError
        Not a CSV file, a line with more values than the header, or two columns of one name.
    """
    try:
        separator, _ = dialect(first_lines(path))
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                path,
                dtype="object",
                na_filter=False,
                sep=separator,
                encoding="utf-8-sig",
                index_col=False,  # a line that is too long would else shift its values into an index
                skip_blank_lines=False,  # so that row and line numbers agree
            )
    except (*UNREADABLE, pd.errors.ParserError, pd.errors.ParserWarning) as err:
        raise DataError(f"{path}: cannot be read as CSV: {' '.join(str(err).split())}") from err
    return renamed(frame[(frame != "").any(axis="columns")], path, aliases)


def line_of(frame: pd.DataFrame) -> Callable[[int], str]:
    """Return what names the line of a row of `read_list`."""
    return lambda row: f"line {frame.index[row] + 2}"


def renamed(frame: pd.DataFrame, path: Path, aliases: Mapping[str, str]) -> pd.DataFrame:
    """Return a frame with its columns in lower case and by the names that `aliases` gives them.

    Raises
    ------
    DataError
        Two columns have one name.
    """
    lower = [str(name).strip().lower() for name in frame.columns]
    names = [aliases.get(name, name) for name in lower]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: two columns mean {twice}: {', '.join(map(str, frame.columns))}; leave one")
    return frame.set_axis(pd.Index(names), axis="columns")


def lay_over(
    incidents: list[Incident], path: Path, where: str, timestamps: NDArray[np.datetime64]
) -> tuple[NDArray[np.int8], NDArray[np.object_], NDArray[np.object_], tuple[str, ...]]:
    """Return labels, fault types and services by row of `where`, and notes; rows outside all incidents are normal.

    Where incidents overlap, the one that started first keeps its rows. Rows from the start of an open incident to the
    next incident are unlabelled: nobody knows when it was over.

    Raises
    ------
    DataError
        No incident covers any row.
    """
    labels = np.zeros(len(timestamps), dtype=np.int8)
    fault_type, service = (np.full(len(timestamps), "", dtype=object) for _ in range(2))
    order = np.argsort(timestamps, kind="stable")
    ordered = timestamps[order]
    in_order = sorted(incidents, key=lambda it: it.start)
    closed = [it for it in in_order if not np.isnat(it.end)]
    unmatched = []
    for incident in closed:
        rows = order[np.searchsorted(ordered, incident.start) : np.searchsorted(ordered, incident.end)]
        if not len(rows):
            unmatched.append(incident)
        free = rows[labels[rows] == 0]
        labels[free], fault_type[free], service[free] = 1, incident.fault_type, incident.service
    if len(unmatched) == len(closed):
        spans = f"telemetry covers {_span(ordered[0], ordered[-1])}, the incidents " + _span(
            min(it.start for it in closed), max(it.end for it in closed)
        )
        raise DataError(
            f"{path}: none of the incidents ({len(closed)}) covers a row of {where}: {spans} (UTC); "
            f"if the clock is another one, give its zone as {ZONE_KEY}"
        )
    matched = [it for it in closed if it not in unmatched]
    used = f"incidents that match: {len(matched)} of {len(incidents)}"
    notes = [f"Rows labelled as faults by {path.name}: {int((labels == 1).sum())} ({used})."]
    notes += _open_ended(in_order, order, ordered, labels)
    if unmatched:
        notes.append(f"{TO_MEND} that match no row: {_places(unmatched)}.")
    notes += _overlaps(closed)
    beyond = [it for it in matched if it.start < ordered[0] or it.end > ordered[-1] + _step(ordered)]
    if beyond:
        notes.append(f"{TO_MEND} that reach beyond the telemetry: {_places(beyond)}.")
    return labels, fault_type, service, tuple(notes)


def _open_ended(
    in_order: list[Incident], order: NDArray[np.int64], ordered: NDArray[np.datetime64], labels: NDArray[np.int8]
) -> list[str]:
    """Take the labels from rows between the start of an open incident and the next one, in place; say so."""
    still_open = [it for it in in_order if np.isnat(it.end)]
    taken = 0
    for incident in still_open:
        later = [it.start for it in in_order if it.start > incident.start]
        stop = np.searchsorted(ordered, min(later)) if later else len(ordered)
        rows = order[np.searchsorted(ordered, incident.start) : stop]
        free = rows[labels[rows] == 0]
        labels[free] = UNLABELLED
        taken += len(free)
    if not still_open:
        return []
    until = f"{number_of(taken, 'row')} up to the next incident, or to the end of the table, left unlabelled"
    return [f"{TO_MEND} without an end: {_places(still_open)}; {until}. Give their ends."]


def _overlaps(closed: list[Incident]) -> list[str]:
    """Name the incidents that begin before an earlier one is over, with both lines."""
    pairs, longest = [], closed[0]
    for incident in closed[1:]:
        if incident.start < longest.end:
            how = "begins" if incident.end > longest.end else "lies wholly"
            pairs.append(f"{incident.place} {how} within {longest.place}")
        if incident.end > longest.end:
            longest = incident
    if not pairs:
        return []
    named = ", ".join(pairs[:MOST_PLACES]) + (" ..." if len(pairs) > MOST_PLACES else "")
    rule = "The earlier one keeps the shared rows; one wholly within another is no fault of its own."
    return [f"{TO_MEND} that overlap: {len(pairs)}, {named}. {rule}"]


def _places(incidents: list[Incident]) -> str:
    listed = ", ".join(f"{it.place} ({_moment(it.start)})" for it in incidents[:MOST_PLACES])
    return f"{len(incidents)}, {listed}{' ...' if len(incidents) > MOST_PLACES else ''}"


def _step(ordered: NDArray[np.datetime64]) -> np.timedelta64:
    return np.median(np.diff(ordered)) if len(ordered) > 1 else np.timedelta64(0, "ns")


def ends_of(
    frame: pd.DataFrame, start: NDArray[np.datetime64], timezone: str | None, where: str, line: Callable[[int], str]
) -> NDArray[np.datetime64]:
    """Return the end of each incident, NaT where neither an end nor a duration is given."""
    end = np.full(len(frame), np.datetime64("NaT"), dtype="datetime64[ns]")
    stamps, durations = text_of(frame, "end"), text_of(frame, "duration")
    given = np.flatnonzero(stamps != "")
    if len(given):
        end[given] = to_utc(stamps[given], timezone, where, lambda row: line(int(given[row])), "end")
    lasting = np.flatnonzero((stamps == "") & (durations != ""))
    for row in lasting:
        end[row] = start[row] + _duration(str(durations[row]), f"{where}: {line(int(row))}")
    return end


def text_of(frame: pd.DataFrame, name: str) -> NDArray[np.object_]:
    """Return a column as stripped text [T]; blank where the frame does not have it."""
    if name not in frame:
        return np.full(len(frame), "", dtype=object)
    return np.asarray([str(value or "").strip() for value in frame[name]], dtype=object)


def _duration(value: str, place: str) -> np.timedelta64:
    seconds = re.fullmatch(r"[-+]?\d+(\.\d+)?", value)
    try:
        length = pd.Timedelta(float(value), unit="s") if seconds else pd.Timedelta(value)
    except ValueError as err:
        raise DataError(f"{place}: duration {value!r} is neither seconds nor like 3min") from err
    if pd.isna(length):  # the text "nat"
        raise DataError(f"{place}: duration {value!r} is neither seconds nor like 3min")
    return np.timedelta64(length.value, "ns")


def _span(first: np.datetime64, last: np.datetime64) -> str:
    return f"{_moment(first)} to {_moment(last)}"


def _moment(stamp: np.datetime64) -> str:
    return str(np.datetime_as_string(stamp, unit="s"))
