"""Eadro's parsed data: `records<i>.json` (when which service was faulty) beside `metrics<i>/<service>.csv`."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from trainables.data.assemble import RawColumns
from trainables.data.readers.files import folder_of, missing
from trainables.data.readers.number_csv import read_numbers
from trainables.data.readers.reader import Reader, Say, recording
from trainables.data.readers.timestamps import to_utc
from trainables.data.wording import number_of
from trainables.errors import DataError
from trainables.settings import DataSettings

_RECORDS = re.compile(r"records(\d+)\.json")


@dataclass(frozen=True, slots=True)
class _Fault:
    start: float
    end: float
    service: str


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give each record as one recording; rows from a fault's start to its end, both inclusive, are faulty."""
    root = folder_of(data)
    found = [(match, path) for path in root.rglob("records*.json") if (match := _RECORDS.fullmatch(path.name))]
    if not found:
        raise missing(root, ["records<i>.json"], "Eadro's parsed data")
    overlaps = 0
    for match, path in sorted(found, key=lambda it: (it[1].parent, int(it[0][1]))):
        start, end, faults = _records(path)
        frame = _metrics(path.with_name(f"metrics{match[1]}"))
        frame = frame.loc[(frame.index >= start) & (frame.index <= end)]
        if frame.empty:
            raise DataError(f"{path}: no row of metrics{match[1]} lies between start and end ({start:g} to {end:g})")
        labels, service = np.zeros(len(frame), dtype=np.int8), np.full(len(frame), "", dtype=object)
        for fault in sorted(faults, key=lambda it: it.start):
            rows = np.asarray((frame.index >= fault.start) & (frame.index <= fault.end))
            overlaps += bool((rows & (labels == 1)).any())
            service[rows & (labels == 0)] = fault.service
            labels[rows] = 1
        yield recording(
            str(path.with_name(f"metrics{match[1]}")),
            to_utc(frame.index.to_numpy(), None, str(path), lambda row: f"row {row + 1}"),
            frame.to_numpy(dtype=np.float64),
            list(map(str, frame.columns)),
            segment="/".join([*path.relative_to(root).parts[:-1], match[1]]),
            labels=labels,
            service=service,
        )
    say("Types of faults are not told in Eadro's records; services are.")
    if overlaps:
        say(f"{number_of(overlaps, 'fault')} begun during an earlier one, which keeps the shared rows.")


READER = Reader(
    about="Eadro's parsed data (TrainTicket, social network): records<i>.json beside metrics<i>/<service>.csv",
    example="eadro parsed_data/TT",
    recordings=recordings,
    streams="by recording",
)


def _records(path: Path) -> tuple[float, float, list[_Fault]]:
    try:
        content = json.loads(path.read_bytes())
        faults = [_Fault(float(it["s"]), float(it["e"]), str(it["service"])) for it in content["faults"]]
        return float(content["start"]), float(content["end"]), faults
    except (ValueError, TypeError, KeyError) as err:
        raise DataError(f"{path}: an object with start, end and faults [{{s, e, service}}] is needed: {err!r}") from err


def _metrics(folder: Path) -> pd.DataFrame:
    """Return all services' metrics by time; `<service>_<metric>`."""
    if not folder.is_dir():
        raise missing(folder.parent, [f"{folder.name}/"], "metrics of the record")
    files = sorted(folder.glob("*.csv"))
    if not files:
        raise missing(folder, ["<service>.csv"], "metrics by service")
    parts = []
    for path in files:
        frame = read_numbers(path, time="timestamp").drop_duplicates("timestamp", keep="last").set_index("timestamp")
        parts.append(frame.add_prefix(f"{path.stem}_"))
    return pd.concat(parts, axis=1).sort_index()
