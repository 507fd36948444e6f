"""Several tables of one system as one series, so that its days can be compared."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainables.data.assemble import find_events
from trainables.data.inspection.finding import listed
from trainables.data.series import LabelledSeries
from trainables.data.wording import number_of
from trainables.errors import DataError


def stack(tables: Sequence[LabelledSeries]) -> LabelledSeries:
    """Return one series with the segments of all tables, in order of time, and the columns that all of them have.

    Raises
    ------
    DataError
        The tables share no column.
    """
    if len(tables) == 1:
        return tables[0]
    tables = sorted(tables, key=lambda series: series.timestamps.min())
    known = [{*series.columns, *series.dropped} for series in tables]
    filled = set().union(*(series.columns for series in tables))
    columns = tuple(
        name for name in dict.fromkeys(name for s in tables for name in s.columns) if name in set.intersection(*known)
    )
    if not columns:
        raise DataError(f"{tables[0].name} and {tables[1].name} have no column in common; inspect them one by one")
    stray = sorted(filled - set(columns))
    names, segment = _segments(tables)
    event, events = find_events(
        np.concatenate([series.labels for series in tables]),
        np.concatenate([_of_rows(series, [event.fault_type for event in series.events]) for series in tables]),
        np.concatenate([_of_rows(series, [event.service for event in series.events]) for series in tables]),
        segment,
    )
    notes = [f"{series.name}: {note}" for series in tables for note in series.notes]
    if stray:
        notes.append(f"{number_of(len(stray), 'column')} not in every table, left out: {listed(stray)}.")
    return LabelledSeries(
        name="+".join(series.name for series in tables),
        timestamps=np.concatenate([series.timestamps for series in tables]),
        values=np.concatenate([_values(series, columns) for series in tables]),
        columns=columns,
        labels=np.concatenate([series.labels for series in tables]),
        event=event,
        events=events,
        segment=segment,
        segments=names,
        quality=np.concatenate([series.quality for series in tables]),
        step_s=float(np.median([series.step_s for series in tables])),
        simulated=any(series.simulated for series in tables),
        notes=tuple(notes),
        dropped=tuple(sorted(set.intersection(*known) - set(columns))),
    )


def _segments(tables: Sequence[LabelledSeries]) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the names, with the table's own in front where two tables use one, and the code of each row."""
    used = Counter(name for series in tables for name in {re.sub(r"#\d+$", "", name) for name in series.segments})
    names: list[str] = []
    codes = []
    for series in tables:
        codes.append(series.segment + len(names))
        names += [f"{series.name}:{name}" if used[re.sub(r"#\d+$", "", name)] > 1 else name for name in series.segments]
    return tuple(names), np.concatenate(codes).astype(np.int32)


def _of_rows(series: LabelledSeries, of_event: Sequence[str]) -> NDArray[np.object_]:
    return np.asarray([*of_event, ""], dtype=object)[series.event]


def _values(series: LabelledSeries, columns: Sequence[str]) -> NDArray[np.float32]:
    values = np.full((len(series), len(columns)), np.nan, dtype=np.float32)
    place = {name: number for number, name in enumerate(series.columns)}
    for to, name in enumerate(columns):
        if name in place:
            values[:, to] = series.values[:, place[name]]
    return values
