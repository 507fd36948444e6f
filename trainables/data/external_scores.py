"""What another tool said about the same time: an alert history, or scores by time."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.readers.incidents import SPAN_ALIASES, ends_of, line_of, read_list, renamed, text_of
from trainables.data.readers.table import PARQUET, as_text
from trainables.data.readers.timestamps import to_utc
from trainables.errors import DataError

_ALIASES = {**SPAN_ALIASES, "timestamp": "time"}
_READ = ("start", "end", "duration", "time", "score")
"""Columns that mean something, by their common names; all others may hold anything."""


@dataclass(frozen=True, slots=True, eq=False)
class ExternalScores:
    """Alarms or scores of another tool, in order of their starts.

    Attributes
    ----------
    name
        File name.
    start, end : datetime64[ns] [E]
        UTC. An alarm holds from start to end, both inclusive; a score has both at its time.
    score : float64 [E]
        1 for every alarm.
    alarms
        True if the file lists alarms, False if it lists scores.
    place
        Line, or row of a Parquet file, of each entry.
    digest
        Hash of what the file says: of the times in UTC, the scores, and which of both kinds they are.
    """

    name: str
    start: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    score: NDArray[np.float64]
    alarms: bool
    place: Sequence[str]
    digest: str

    def __len__(self) -> int:
        return len(self.start)

    @property
    def key(self) -> str:
        """Name and content: what trials know the file by, wherever it lies."""
        return f"{self.name}@{self.digest}"

    def at(self, times: NDArray[np.datetime64], tolerance: np.timedelta64) -> NDArray[np.float64]:
        """Return what was known at each time [N]; NaN where nothing was said. Nothing comes from the future.

        Alarms: 1 if one held at any moment of the last `tolerance`, else 0. Scores: the latest one that is at most
        `tolerance` old.
        """
        latest = np.searchsorted(self.start, times, side="right") - 1  # [N], -1 before the first
        known = latest >= 0
        until = np.maximum.accumulate(self.end.view(np.int64)).view(self.end.dtype)[latest]
        recent = known & (until + tolerance >= times)
        if self.alarms:
            return recent.astype(np.float64)
        return np.where(recent, self.score[latest], np.nan)

    def met(self, times: NDArray[np.datetime64], tolerance: np.timedelta64) -> NDArray[np.bool_]:
        """Return which entries [E] count at any of the times (in order or not)."""
        ordered = np.sort(times)
        first = np.searchsorted(ordered, self.start, side="left")
        return np.asarray(first < np.searchsorted(ordered, self.end + tolerance, side="right"))


def read_external(path: Path, timezone: str | None) -> ExternalScores:
    """Read a CSV or Parquet file with start and end (or duration) of alarms, or with time and score.

    Raises
    ------
    DataError
        No such file, other columns, unreadable times or scores; the message starts with path and line.
    """
    where = str(path)
    if not path.is_file():
        raise DataError(f"{where}: no such file")
    parquet = path.suffix.lower() in PARQUET
    frame = _parquet(path) if parquet else read_list(path, _ALIASES)
    if not len(frame):
        raise DataError(f"{where}: the file lists no alarm and no score")
    line = _row_of if parquet else line_of(frame)
    has = set(frame.columns)
    alarms = "start" in has and bool({"end", "duration"} & has)
    if alarms:
        _refuse_scored_alarms(has, where)
        start = to_utc(text_of(frame, "start"), timezone, where, line, "start")
        end = ends_of(frame, start, timezone, where, line)
        _check_alarms(start, end, where, line)
        score = np.ones(len(frame))
    elif {"time", "score"} <= has:
        start = end = to_utc(text_of(frame, "time"), timezone, where, line, "time")
        score = _scores(frame["score"], where, line)
    else:
        raise DataError(
            f"{where}: found columns {', '.join(map(str, frame.columns))}; "
            "alarms need start and end (or duration), scores need time and score"
        )
    order = np.argsort(start, kind="stable")
    _check_repeats(start[order], order, where, line, alarms=alarms)
    start, end, score = start[order], end[order], score[order]
    digest = _digest(start, end, score, alarms=alarms)
    return ExternalScores(path.name, start, end, score, alarms, [line(int(row)) for row in order], digest)


def refuse_unmatched(
    said: ExternalScores, where: str, times: NDArray[np.datetime64], tolerance: np.timedelta64
) -> None:
    """Refuse entries that count at none of the times [T], by line.

    Raises
    ------
    DataError
        Names the first lines, and the time that the telemetry covers.
    """
    lost = np.flatnonzero(~said.met(times, tolerance))
    if not len(lost):
        return
    what = "alarms" if said.alarms else "scores"
    lines = ", ".join(f"{said.place[one]} ({_moment(said.start[one])})" for one in lost[:5])
    seconds = tolerance / np.timedelta64(1, "s")
    raise DataError(
        f"{where}: {len(lost)} of {len(said)} {what} match no row of the telemetry within tolerance_s {seconds:g}: "
        f"{lines}{' ...' if len(lost) > 5 else ''}; it covers {_moment(times.min())} to {_moment(times.max())} (UTC). "
        "Take them out, raise tolerance_s, or set timezone"
    )


def _row_of(row: int) -> str:
    return f"row {row + 1}"


def _parquet(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as err:  # pyarrow's errors derive from ValueError
        raise DataError(f"{path}: not a Parquet file: {err}") from err
    if frame.index.name is not None:
        frame = frame.reset_index()
    frame = renamed(frame, path, _ALIASES)
    return frame.assign(**{name: _text(frame[name], path) for name in _READ if name in frame})


def _text(column: pd.Series, path: Path) -> NDArray[np.object_]:
    try:
        return as_text(column)
    except TypeError as err:  # unhashable
        raise DataError(f"{path}: column {column.name} holds lists or structs, not one value a row") from err


def _digest(
    start: NDArray[np.datetime64], end: NDArray[np.datetime64], score: NDArray[np.float64], *, alarms: bool
) -> str:
    """Hash what was understood, not the bytes: one file read in two time zones says two things."""
    content = hashlib.sha256(b"alarms" if alarms else b"scores")
    for column in (start, end, score):
        content.update(column.tobytes())
    return content.hexdigest()[:12]


def _refuse_scored_alarms(has: set[str], where: str) -> None:
    """Refuse a score beside start and end: an alarm held or did not, so the score would be dropped unseen."""
    if "score" in has:
        span = " and ".join(name for name in ("start", "end", "duration") if name in has)
        raise DataError(
            f"{where}: alarms with start and end have no score; take out the column score to judge the alarms as they "
            f"were, or give each score its time and take out {span} to judge the scores"
        )


def _scores(column: "pd.Series[str]", where: str, line: Callable[[int], str]) -> NDArray[np.float64]:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = ~(np.abs(numbers) <= np.finfo(np.float32).max)  # scores are stored in float32; NaN is bad, too
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{where}: {line(row)}: score {str(column.iloc[row])!r} is not a finite number")
    return numbers


def _check_alarms(
    start: NDArray[np.datetime64], end: NDArray[np.datetime64], where: str, line: Callable[[int], str]
) -> None:
    still_open = np.isnat(end)
    if still_open.any():
        place = line(int(still_open.argmax()))
        raise DataError(f"{where}: {place}: the alarm has no end; if it still fires, write the time of the export")
    backwards = end < start
    if backwards.any():
        raise DataError(f"{where}: {line(int(backwards.argmax()))}: the alarm ends before its start")


def _check_repeats(
    start: NDArray[np.datetime64], order: NDArray[np.int64], where: str, line: Callable[[int], str], *, alarms: bool
) -> None:
    """Refuse two scores at one time: which of them was meant is a guess. Alarms may overlap."""
    same = np.flatnonzero(start[1:] == start[:-1])
    if len(same) and not alarms:
        first, second = (line(int(order[same[0] + shift])) for shift in (0, 1))
        raise DataError(f"{where}: {first} and {second} give a score at the same time; leave one for each time")


def _moment(stamp: np.datetime64) -> str:
    return str(np.datetime_as_string(stamp, unit="s"))
