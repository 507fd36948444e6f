"""Readers: one file per source of telemetry, in one explicit table."""

import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

import numpy as np

from trainables.data.assemble import find_events
from trainables.data.big_tables import columns_of, rows_of
from trainables.data.readers import (
    asd,
    eadro,
    long_csv,
    nezha,
    nezha_traces,
    openmetrics,
    prometheus,
    rcaeval,
    simulated,
    smd,
    sockshop_rcd,
    table,
)
from trainables.data.readers.reader import Reader
from trainables.data.series import LabelledSeries
from trainables.errors import DataError
from trainables.settings import DataSettings, SourceName

READERS: Mapping[SourceName, Reader] = {
    "simulated": simulated.READER,
    "table": table.READER,
    "prometheus": prometheus.READER,
    "openmetrics": openmetrics.READER,
    "long_csv": long_csv.READER,
    "rcaeval": rcaeval.READER,
    "nezha": nezha.READER,
    "nezha_traces": nezha_traces.READER,
    "eadro": eadro.READER,
    "sockshop_rcd": sockshop_rcd.READER,
    "smd": smd.READER,
    "asd": asd.READER,
}
"""`data.source` -> reader."""


def load_source(data: DataSettings) -> LabelledSeries:
    """Read one source and keep the segments and columns that were asked for.

    Raises
    ------
    DataError
        The file cannot be used as it is, or a segment or column does not exist.
    """
    return drop_columns(select_segments(READERS[data.source].read(data), data), data)


def drop_columns(series: LabelledSeries, data: DataSettings) -> LabelledSeries:
    """Return the series without the columns that `data.drop` names.

    Raises
    ------
    DataError
        A name or pattern fits no column, or no column is left.
    """
    if not data.drop:
        return series
    where = f"{data.path}: " if data.path is not None else ""
    known = (*series.columns, *series.dropped)
    for pattern in data.drop:
        if not any(_fits(name, pattern) for name in known):
            near = get_close_matches(pattern, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{where}data.drop names {pattern!r}, no column fits it{hint}")
    kept = [n for n, name in enumerate(series.columns) if not any(_fits(name, pattern) for pattern in data.drop)]
    if not kept:
        raise DataError(f"{where}data.drop leaves no column of {len(series.columns)}")
    columns = tuple(series.columns[n] for n in kept)
    return replace(series, values=columns_of(series.values, kept), columns=columns)


def _fits(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)


def select_segments(series: LabelledSeries, data: DataSettings) -> LabelledSeries:
    """Return the series with only the segments named in `data.segments` (a name includes its pieces `name#2`)."""
    if data.segments == "all":
        return series
    base = [re.sub(r"#\d+$", "", name) for name in series.segments]
    unknown = [name for name in data.segments if name not in base and name not in series.segments]
    if unknown:
        known = list(dict.fromkeys(base))
        listed = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
        where = f"{data.path}: " if data.path is not None else ""
        raise DataError(f"{where}data.segments names {', '.join(map(repr, unknown))}, the segments are: {listed}")
    chosen = [
        number for number, name in enumerate(series.segments) if name in data.segments or base[number] in data.segments
    ]
    rows = np.flatnonzero(np.isin(series.segment, chosen))
    renumber = np.full(len(series.segments), -1, dtype=np.int32)
    renumber[chosen] = np.arange(len(chosen), dtype=np.int32)
    segment = renumber[series.segment[rows]]
    names = np.asarray([*(event.fault_type for event in series.events), ""], dtype=object)
    services = np.asarray([*(event.service for event in series.events), ""], dtype=object)
    of_row = series.event[rows]
    event, events = find_events(series.labels[rows], names[of_row], services[of_row], segment)
    return replace(
        series,
        timestamps=series.timestamps[rows],
        values=rows_of(series.values, rows),
        labels=series.labels[rows],
        event=event,
        events=events,
        segment=segment,
        segments=tuple(series.segments[number] for number in chosen),
        quality=series.quality[rows],
    )
