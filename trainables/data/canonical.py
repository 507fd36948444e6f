"""Write recordings as one canonical Parquet table, in pieces if they do not fit into memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.data.assemble import RawColumns, assemble
from trainables.data.big_tables import released
from trainables.data.readers.columns import (
    FAULT_SERVICE,
    FAULT_TYPE,
    LABEL,
    QUALITY,
    SEGMENT,
    TIMESTAMP,
    check_header,
)
from trainables.data.readers.reader import Reader
from trainables.data.readers.table import Origin
from trainables.data.series import NORMAL, UNLABELLED, Quality
from trainables.settings import DataSettings

ROW_GROUP = 65_536
"""Most rows of a row group; a recording has row groups of its own."""


@dataclass(slots=True)
class Written:
    """What was written: counts, and what reading had to say."""

    rows: int = 0
    columns: tuple[str, ...] = ()
    labels: Counter[int] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    segments: int = 0
    simulated: bool = False
    notes: tuple[str, ...] = ()

    def count(self, part: RawColumns) -> None:
        """Check a recording as reading the table would, and count it.

        Raises
        ------
        DataError
            It would be refused: two rows at one time, or no value at all.
        """
        series = assemble(part, part.where)
        self.rows += len(part)
        self.columns = tuple(dict.fromkeys((*self.columns, *part.columns)))
        for label, count in zip(*np.unique(part.labels, return_counts=True), strict=True):
            self.labels[int(label)] += int(count)
        self.events.update(event.fault_type for event in series.events)
        self.segments += len(series.segments)
        self.simulated |= part.simulated


def write_canonical(reader: Reader, data: DataSettings, to: Path) -> Written:
    """Read all recordings of `data` and write them to `to` as `table` reads them; return what that is.

    The same reader and settings, and `table` on the file, give the same `LabelledSeries`. A reader that streams
    by recording is read twice, first to check and to learn all columns; only one recording is in memory at a time. The
    file appears under its name when it is complete.

    Raises
    ------
    DataError
        The source cannot be used as it is, or the table could not be read back.
    """
    written = Written()
    notes: list[str] = []
    reader.check_incidents(data)
    whole = [] if reader.streams == "by recording" else [reader.rows(data, notes.append)]
    for part in whole or reader.recordings(data, notes.append):
        written.count(part)
    written.notes = tuple(notes)
    check_header(str(to), [TIMESTAMP, *written.columns])
    schema = _schema(written)
    partial = to.with_name(f"{to.name}.partial")
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for part in whole or reader.recordings(data, notes.append):
                for table in _tables(part, schema):
                    writer.write_table(table)
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)
    return written


def _schema(written: Written) -> pa.Schema:
    text = (FAULT_TYPE, FAULT_SERVICE, SEGMENT, QUALITY)
    fields = [
        (TIMESTAMP, pa.timestamp("ns", tz="UTC")),
        *((name, pa.float32()) for name in written.columns),
        (LABEL, pa.int8()),
        *((name, pa.string()) for name in text),
    ]
    return pa.schema(fields, metadata=Origin(written.simulated, written.notes).as_metadata())


def _tables(part: RawColumns, schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield the rows of a recording, a row group each; a column that it lacks is missing."""
    place = {name: number for number, name in enumerate(part.columns)}
    qualities = np.asarray([quality.name.lower() for quality in Quality], dtype=object)
    for start in range(0, len(part), ROW_GROUP):
        rows = slice(start, start + ROW_GROUP)
        count = len(part.timestamps[rows])
        absent = pa.array(np.full(count, np.nan, dtype=np.float32))
        types = np.where(part.labels[rows] == 0, np.asarray(NORMAL, dtype=object), part.fault_type[rows])
        text = (types, part.service[rows], part.segment[rows], qualities[part.quality[rows]])
        yield pa.Table.from_arrays(
            [
                pa.array(part.timestamps[rows]).cast(schema.field(TIMESTAMP).type),
                *(
                    pa.array(part.values[rows, place[name]]) if name in place else absent
                    for name in schema.names[1 : -1 - len(text)]
                ),
                pa.array(part.labels[rows], mask=part.labels[rows] == UNLABELLED),
                *(pa.array(column, type=pa.string()) for column in text),
            ],
            schema=schema,
        )
        released(part.values)
