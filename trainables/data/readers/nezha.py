"""Nezha and TraStrainer: metrics of TrainTicket and Online Boutique by pod and minute, with a list of faults.

``<date>/metric/<pod>_metric.csv``, ``front_service.csv``, for Online Boutique also ``source_50.csv`` and
``destination_50.csv`` (median latency of each edge); ``<date>-fault_list.json`` or ``label.json``.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from trainables.data.assemble import RawColumns
from trainables.data.readers.files import folder_of, missing
from trainables.data.readers.nezha_faults import annotate, day_of, epoch_seconds, read_faults, service_of
from trainables.data.readers.number_csv import read_numbers
from trainables.data.readers.reader import Reader, Say, recording
from trainables.errors import DataError
from trainables.settings import DataSettings

INTERVAL_S: Final = 60
"""A row summarises the minute before it."""

_METRIC, _FRONT = "_metric.csv", "front_service.csv"
_EPOCH: Final = "TimeStamp"
_EDGES = ("source_50", "destination_50")


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give each day as one recording.

    Files of one day are stamped seconds apart: their rows are joined to the nearest row of `front_service.csv`,
    or of the first pod. Times come from the text column; the epoch column is wrong in one published file.
    """
    root = folder_of(data)
    days = sorted({path.parent.parent for path in root.rglob(f"metric/*{_METRIC}")})
    if not days:
        raise missing(root, [f"metric/<pod>{_METRIC}"], "days of Nezha or TraStrainer")
    for day in days:
        table = _table(day / "metric", say)
        seconds = table.index.to_numpy(dtype=np.int64)
        said = annotate(seconds, INTERVAL_S, read_faults(day, root, say), day_of(seconds))
        yield recording(
            str(day),
            seconds.astype("datetime64[s]"),
            table.to_numpy(dtype=np.float64),
            list(map(str, table.columns)),
            segment="/".join(day.relative_to(root).parts) or day.resolve().name,
            labels=said.labels,
            fault_type=said.fault_type,
            service=said.service,
            quality=said.quality,
        )
    say("Faults last three minutes by the paper; rows near one are guard, near unlisted ones suspect.")


READER = Reader(
    about="Nezha or TraStrainer metrics: folders of days with metric/<pod>_metric.csv and a fault list",
    example="nezha rca_data/2023-01-30",
    recordings=recordings,
    streams="by recording",
)


def _table(folder: Path, say: Say) -> pd.DataFrame:
    """Return all metrics of a day by epoch second: `<service>_<metric>`, `front_<metric>`, `edge_<from>_<to>_...`."""
    parts = []
    if (folder / _FRONT).is_file():
        parts.append(_part(folder / _FRONT, "front", say))
    pods = sorted(folder.glob(f"*{_METRIC}"))
    of_service = Counter(service_of(_pod(path)) for path in pods)
    twice = sorted(service for service, count in of_service.items() if count > 1)
    if twice:
        say(f"{folder.parent.name}: several pods of {', '.join(twice)}: their columns carry the pod's name.")
    for path in pods:
        service = service_of(_pod(path))
        parts.append(_part(path, _pod(path) if service in twice else service, say))
    for name in _EDGES:
        path = folder / f"{name}.csv"
        if path.is_file():
            parts.append(_part(path, "edge", say).add_suffix(f"_{name}"))
    grid = pd.DataFrame(index=parts[0].index)
    joined = [
        pd.merge_asof(grid, part, left_index=True, right_index=True, direction="nearest", tolerance=INTERVAL_S // 2)
        for part in parts
    ]
    return pd.concat(joined, axis=1)


def _pod(path: Path) -> str:
    return path.name.removesuffix(_METRIC)


def _part(path: Path, prefix: str, say: Say) -> pd.DataFrame:
    """Return the metrics of one file by epoch second."""
    words = ("Time", "time", "PodName", "ServiceName")
    time = "time" if prefix == "edge" else "Time"
    frame = read_numbers(path, time=time, text=words)
    seconds = epoch_seconds(frame[time], path)
    if _EPOCH in frame:
        off = np.nanmax(np.abs(frame[_EPOCH].to_numpy(dtype=np.float64) - seconds), initial=0)
        if off > INTERVAL_S:
            where = f"{path.parent.parent.name}/{path.name}"
            say(f"{where}: its column {_EPOCH} is up to {off:,.0f} s off its column {time}, which counts.")
    metrics = frame.drop(columns=[name for name in (*words, _EPOCH, "timestamp") if name in frame])
    if metrics.empty:
        raise DataError(f"{path}: there is no metric")
    metrics.index = pd.Index(seconds)
    return metrics[~metrics.index.duplicated(keep="last")].sort_index().add_prefix(f"{prefix}_")
