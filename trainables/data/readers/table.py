"""One's own telemetry: a CSV, gzipped CSV or Parquet table, with labels in it or in a list of incidents."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from trainables.data.assemble import RawColumns
from trainables.data.big_tables import empty, released
from trainables.data.readers.columns import (
    FAULT_SERVICE,
    FAULT_TYPE,
    LABEL,
    MEANINGS,
    OTHER_LAYOUTS,
    QUALITY,
    SEGMENT,
    TIMESTAMP,
    FileColumns,
    check_header,
    chosen,
    not_numeric,
    repeated,
    to_numbers,
)
from trainables.data.readers.csv_text import read_csv
from trainables.data.readers.labels import read_labels, read_quality, read_types
from trainables.data.readers.reader import Reader, Say
from trainables.data.readers.timestamps import Clock
from trainables.data.series import UNLABELLED, Quality
from trainables.errors import DataError
from trainables.settings import DataSettings

ORIGIN_KEY: Final = b"fewshot_sweep.origin"
"""Key of a Parquet file's metadata under which `convert` writes where the table comes from."""

BATCH_ROWS: Final = 16_384
"""Most rows of a Parquet file that are unpacked together."""

BATCH_VALUES: Final = 2**21
"""Most values that are unpacked together, of wide tables."""

BUFFER_BYTES: Final = 2**16
"""Bytes of a column of a Parquet file that are read together."""

PARQUET = (".parquet", ".pq")
_TEXT = (".csv", ".tsv", ".txt", ".gz")


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give the table of `data.path`.

    Columns: `timestamp`, numeric features, `label`, and where known `fault_type`, `fault_service`,
    `segment`, `label_quality`; or no label, and `data.incidents`. A table without either is unlabelled.

    Raises
    ------
    DataError
        The file cannot be used as it is; the message starts with its path and says what would be right.
    """
    if data.path is None:
        raise DataError("data.source table needs data.path")
    columns = read_columns(data.path, data.timezone)
    for note in columns.notes:
        say(note)
    labels, fault_type, service = _labels(columns, data, say)
    quality = np.full(len(columns.timestamps), int(Quality.OK), dtype=np.int8)
    if QUALITY in columns.text:
        quality = read_quality(columns.text[QUALITY], columns.where, columns.line)
    yield RawColumns(
        where=columns.where,
        timestamps=columns.timestamps,
        values=columns.values,
        columns=columns.features,
        labels=labels,
        fault_type=fault_type,
        service=service,
        segment=segment_names(columns),
        quality=quality,
        line=columns.line,
        simulated=columns.simulated,
    )


READER = Reader(
    about="a CSV, CSV.gz or Parquet table: timestamp, features, and label or --incidents",
    example="table metrics.csv --incidents incidents.csv",
    recordings=recordings,
    labelled=False,
)


def read_columns(path: Path, timezone: str | None, only: Collection[str] | None = None) -> FileColumns:
    """Read a file by its suffix; `only` these feature columns, where the file has them, or all.

    `timezone` is the zone of times without an offset (`to_utc`).

    Raises
    ------
    DataError
        No such file, unknown suffix, the content is not what the suffix says, or a time is none.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name the table in it; {OTHER_LAYOUTS}")
    suffix = path.suffix.lower()
    if suffix not in (*PARQUET, *_TEXT):
        raise DataError(f"{path}: unknown kind of file {suffix!r}; use .csv, .csv.gz or .parquet; {OTHER_LAYOUTS}")
    try:
        return (_read_parquet if suffix in PARQUET else read_csv)(path, timezone, only)
    except OSError as err:
        raise DataError(f"{path}: cannot be read: {err}") from err


def segment_names(columns: FileColumns) -> NDArray[np.object_]:
    """Return the segment of each row [T]; a file without that column is one segment.

    Raises
    ------
    DataError
        A blank name.
    """
    if SEGMENT not in columns.text:
        return repeated("all", len(columns.timestamps))
    names = columns.text[SEGMENT]
    blank = np.asarray(names == "", dtype=bool)
    if blank.any():
        raise DataError(f"{columns.where}: {columns.line(int(blank.argmax()))}: segment is empty; name it")
    return names


def _read_parquet(path: Path, timezone: str | None, only: Collection[str] | None) -> FileColumns:
    where = str(path)
    try:
        # pre-buffered, all of the file would stay in memory; without a buffer, the columns of a row group
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
            names = _columns(file.schema_arrow)
            check_header(where, names)
            features, ignored = chosen(names, only)
            values = _features(where, file, features)
            timestamps = _timestamps(where, file, timezone)
            text = {name: _text(file, name) for name in names if name in MEANINGS and name != TIMESTAMP}
            origin = origin_of(file.schema_arrow.metadata or {})
    except (ValueError, pa.ArrowException) as err:
        raise DataError(f"{where}: not a Parquet file: {err}") from err
    pa.default_memory_pool().release_unused()
    return FileColumns(
        where=where,
        features=tuple(features),
        values=values,
        timestamps=timestamps,
        text=text,
        line=_row,
        simulated=origin.simulated,
        notes=origin.notes,
        ignored=ignored,
    )


def _row(row: int) -> str:
    return f"row {row + 1}"


def _columns(schema: pa.Schema) -> list[str]:
    """Return the columns as pandas would name them: an index is none, unless it is the timestamps."""
    described = schema.pandas_metadata
    listed = described.get("index_columns") if isinstance(described, dict) else None
    index = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    hidden = [] if index == [TIMESTAMP] else index
    return [name for name in schema.names if name not in hidden]


def _features(where: str, file: pq.ParquetFile, features: list[str]) -> NDArray[np.float32]:
    """Return the feature columns [T, C], read a block of rows at a time.

    Raises
    ------
    DataError
        There is no row, or text in a column.
    """
    values = empty(file.metadata.num_rows, len(features))
    if not len(values):
        raise DataError(f"{where}: the table has no rows")
    first = 0
    together = max(1, min(BATCH_ROWS, BATCH_VALUES // max(1, len(features))))
    for batch in file.iter_batches(together, columns=features, use_pandas_metadata=False):
        rows = slice(first, first + batch.num_rows)
        for position, name in enumerate(features):
            values[rows, position] = _numeric(where, name, batch.column(name).to_pandas(), first)
        released(values)
        first = rows.stop
    return values


@dataclass(frozen=True, slots=True)
class Origin:
    """What the importer that wrote a Parquet table had to say about it."""

    simulated: bool = False
    notes: tuple[str, ...] = ()

    def as_metadata(self) -> dict[bytes, bytes]:
        """Return the entry for the metadata of a Parquet file."""
        return {ORIGIN_KEY: json.dumps(asdict(self)).encode()}


def origin_of(metadata: Mapping[bytes, bytes]) -> Origin:
    """Return the origin that the metadata of a Parquet file name; without one: measured, no notes."""
    if ORIGIN_KEY not in metadata:
        return Origin()
    said = json.loads(metadata[ORIGIN_KEY])
    return Origin(bool(said["simulated"]), tuple(map(str, said["notes"])))


def _timestamps(where: str, file: pq.ParquetFile, timezone: str | None) -> NDArray[np.datetime64]:
    """Return the times in UTC [T]."""
    kind = file.schema_arrow.field(TIMESTAMP).type
    in_utc = pa.types.is_timestamp(kind) and kind.tz is not None  # then no declared zone applies
    clock = Clock(None if in_utc else timezone, where)
    for batch in file.iter_batches(BATCH_ROWS, columns=[TIMESTAMP], use_pandas_metadata=False):
        clock.take(_stamps(batch.column(0).to_pandas()), _row)
    return clock.taken(_row)


def _text(file: pq.ParquetFile, name: str) -> NDArray[np.object_]:
    """Return a column as text [T], a block of rows after another."""

    def batches() -> Iterator[pa.Array]:
        for batch in file.iter_batches(BATCH_ROWS, columns=[name], use_pandas_metadata=False):
            yield batch.column(0)

    kind = file.schema_arrow.field(name).type
    # as in pandas, whole numbers of a column that lacks one are floats: in all blocks, not in those that lack one
    as_floats = pa.types.is_integer(kind) and any(column.null_count for column in batches())
    return np.concatenate(
        [as_text((column.cast(pa.float64(), safe=False) if as_floats else column).to_pandas()) for column in batches()]
    )


def _numeric(where: str, name: str, column: pd.Series, first: int) -> NDArray[np.float64]:
    if not pd.api.types.is_numeric_dtype(column):
        numbers = to_numbers(column) if column.dtype.kind not in "Mm" else None
        bad = np.zeros(1, dtype=bool) if numbers is None else (numbers.isna() & column.notna()).to_numpy()
        if numbers is None or bad.any():
            row = int(bad.argmax())
            raise not_numeric(where, name, column.iloc[row], f"row {first + row + 1}")
        column = numbers
    return column.to_numpy(dtype=np.float64, na_value=np.nan)


def _stamps(column: pd.Series) -> NDArray[np.generic]:
    """Return times as numpy understands them."""
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(column):
        return column.to_numpy(dtype="datetime64[ns]")
    if pd.api.types.is_integer_dtype(column) and not column.isna().any():
        return column.to_numpy(dtype=np.int64)
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return as_text(column)


def as_text(column: pd.Series) -> NDArray[np.object_]:
    """Return stripped text [T]; null is blank, whole floats lose their .0 only in labels."""
    codes, values = pd.factorize(column)  # one text for equal values: millions of rows share a few
    return np.asarray([*(str(value).strip() for value in values.astype("object")), ""], dtype=object)[codes]


def _labels(
    columns: FileColumns, data: DataSettings, say: Say
) -> tuple[NDArray[np.int8], NDArray[np.object_], NDArray[np.object_]]:
    """Return labels, fault types and services of the rows; unlabelled if incidents are to label them."""
    rows, text = len(columns.timestamps), columns.text
    source = LABEL if LABEL in text else FAULT_TYPE if FAULT_TYPE in text else None
    blank = repeated("", rows)
    if data.incidents is not None:
        if source is not None and (text[source] != "").any():
            raise DataError(
                f"{columns.where}: there is a column {source!r} and data.incidents as well; leave one of them out"
            )
        return np.full(rows, UNLABELLED, dtype=np.int8), blank, blank
    if source is None:
        say("The table has no labels: no column named label, no data.incidents.")
        return np.full(rows, UNLABELLED, dtype=np.int8), blank, blank
    labels, named = read_labels(text[source], source, columns.where, columns.line)
    if source == LABEL and FAULT_TYPE in text:
        named = read_types(text[FAULT_TYPE], labels, named, columns.where, columns.line)
    if FAULT_SERVICE not in text:
        return labels, named, blank
    return labels, named, np.where(labels == 1, text[FAULT_SERVICE], "").astype(object, copy=False)
