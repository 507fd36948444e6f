"""What a reader is: it finds the recordings of one layout; here they are joined, labelled by incidents, assembled."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.data.assemble import RawColumns, assemble
from trainables.data.big_tables import empty, released
from trainables.data.readers.columns import repeated
from trainables.data.readers.incidents import lay_over, read_incidents
from trainables.data.series import UNLABELLED, LabelledSeries, Quality
from trainables.errors import DataError
from trainables.settings import DataSettings

Say = Callable[[str], None]
"""Takes one sentence about what reading changed or noticed."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One layout of telemetry.

    Attributes
    ----------
    about
        The layout in one line, for the list of sources.
    example
        Arguments of `python -m trainables.data convert` after which only `--to` is missing.
    recordings
        Yields the recordings of `data.path`: one case, run or day each, or everything at once. Columns may
        differ between them, segments may not be shared. A second call yields the same again.
    labelled
        The layout carries its labels; if not, rows come unlabelled and `data.incidents` may label them.
    streams
        How `convert` handles sources larger than memory. By recording: one at a time is in memory. By row: the only
        recording is read piece by piece into a table that is mapped from a file when it is large; beside its values,
        a few bytes a row are in memory.
    """

    about: str
    example: str
    recordings: Callable[[DataSettings, Say], Iterator[RawColumns]]
    labelled: bool = True
    streams: Literal["by recording", "by row"] = "by row"

    def read(self, data: DataSettings) -> LabelledSeries:
        """Return all recordings as one series.

        Raises
        ------
        DataError
            The files cannot be used as they are; the message starts with the path and says what would be right.
        """
        notes: list[str] = []
        raw = self.rows(data, notes.append)
        return assemble(raw, data.source_name, notes=tuple(notes))

    def rows(self, data: DataSettings, say: Say) -> RawColumns:
        """Return all recordings as one table, labelled by `data.incidents` if that is set.

        Raises
        ------
        DataError
            As `read`, or incidents for a layout with labels of its own.
        """
        self.check_incidents(data)
        raw = join(list(self.recordings(data, say)), str(data.path))
        return raw if data.incidents is None else _with_incidents(raw, data, say)

    def check_incidents(self, data: DataSettings) -> None:
        """Refuse `data.incidents` where the layout has labels of its own.

        Raises
        ------
        DataError
            It is set, and must not be.
        """
        if self.labelled and data.incidents is not None:
            raise DataError(f"{data.incidents}: source {data.source} brings its own labels; leave data.incidents out")


def join(parts: list[RawColumns], where: str) -> RawColumns:
    """Return the rows of all parts in one table; a column that a part lacks is missing there.

    Takes the parts out of the list, so that their memory is given back one by one.

    Raises
    ------
    DataError
        There is no part.
    """
    if not parts:
        raise DataError(f"{where}: there is no recording that can be used")
    if len(parts) == 1:
        return parts.pop()
    columns = union_of_columns(parts)
    lengths = [len(part) for part in parts]
    values = empty(sum(lengths), len(columns))
    starts = np.cumsum([0, *lengths])
    place = {name: number for number, name in enumerate(columns)}
    lines = [part.line for part in parts]
    joined = replace(
        parts[0],
        where=where,
        timestamps=np.concatenate([part.timestamps for part in parts]),
        values=values,
        columns=columns,
        labels=np.concatenate([part.labels for part in parts]),
        fault_type=np.concatenate([part.fault_type for part in parts]),
        service=np.concatenate([part.service for part in parts]),
        segment=np.concatenate([part.segment for part in parts]),
        quality=np.concatenate([part.quality for part in parts]),
        line=lambda row: lines[(part := bisect_right(starts, row) - 1)](int(row - starts[part])),
        simulated=any(part.simulated for part in parts),
    )
    for start in starts[-2::-1]:
        part = parts.pop()
        values[start : start + len(part)] = np.nan
        values[start : start + len(part), [place[name] for name in part.columns]] = part.values
        released(values)
    return joined


def union_of_columns(parts: Sequence[RawColumns]) -> tuple[str, ...]:
    """Return every column name of the parts, in order of first appearance."""
    return tuple(dict.fromkeys(name for part in parts for name in part.columns))


def recording(
    where: str,
    timestamps: NDArray[np.datetime64],
    values: NDArray[np.floating],
    columns: Sequence[str],
    *,
    segment: str,
    labels: NDArray[np.int8] | None = None,
    fault_type: NDArray[np.object_] | str = "",
    service: NDArray[np.object_] | str = "",
    quality: NDArray[np.int8] | Quality = Quality.OK,
    line: Callable[[int], str] | None = None,
) -> RawColumns:
    """Return one recording, a single segment; without `labels` it is unlabelled.

    A fault type, service or quality that is not an array holds for all rows (types and services: all fault rows).
    """
    rows = len(timestamps)
    labels = np.full(rows, UNLABELLED, dtype=np.int8) if labels is None else labels
    types, services = (
        np.where(labels == 1, np.asarray(text, dtype=object), "").astype(object) for text in (fault_type, service)
    )
    with np.errstate(over="ignore"):  # beyond float32: infinite, which is counted as missing later
        values = np.asanyarray(values, dtype=np.float32)  # a mapped table stays one
    return RawColumns(
        where=where,
        timestamps=np.asarray(timestamps, dtype="datetime64[ns]"),
        values=values,
        columns=tuple(columns),
        labels=labels,
        fault_type=types,
        service=services,
        segment=repeated(segment, rows),
        quality=np.full(rows, int(quality), dtype=np.int8) if isinstance(quality, Quality) else quality,
        line=line or (lambda row: f"{where} row {row + 1}"),
    )


def _with_incidents(raw: RawColumns, data: DataSettings, say: Say) -> RawColumns:
    if data.incidents is None:
        raise TypeError("no incidents")
    incidents = read_incidents(data.incidents, data.timezone)
    labels, fault_type, service, notes = lay_over(incidents, data.incidents, raw.where, raw.timestamps)
    for note in notes:
        say(note)
    return replace(raw, labels=labels, fault_type=fault_type, service=service)
