"""RCAEval: failure cases of TrainTicket, Sock Shop and Online Boutique (RE1 to RE3), in any of its three layouts.

Nested CSV (Zenodo 14590730): ``<service>_<fault>/<n>/`` with ``simple_metrics.csv`` or ``data.csv``.
Flat JSON (Figshare 31048672): ``<suite><system>_<service>_<fault>_<n>/metrics.json``, column -> [[seconds, value]].
Flat Parquet (Hugging Face): the same folders with ``metrics.parquet`` and one ``cases.parquet`` for all.
The injection time stands in each case's ``inject_time.txt``, in the third layout in the index as well.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.assemble import RawColumns
from trainables.data.readers.files import folder_of, missing
from trainables.data.readers.number_csv import last_of_each_time, read_numbers
from trainables.data.readers.reader import Reader, Say, recording
from trainables.data.readers.timestamps import to_utc
from trainables.data.wording import number_of
from trainables.errors import DataError
from trainables.settings import DataSettings

FILES: Final = (
    "simple_metrics.csv", "data.csv", "metrics.json", "metrics.parquet", "simple_data.csv", "metrics.csv",
)  # fmt: skip
"""Files that hold the metrics of a case; of several, the first in this order is read (short names before raw ones)."""

HELPERS: Final = re.compile(r"(main_|PassthroughCluster_|istio-proxy|istio-init|redis_|rabbitmq)")
"""Columns of side-cars and message brokers, which RCAEval's own loader leaves out as well."""

_INJECT = "inject_time.txt"
_FLAT = re.compile(r"(?:[^_]+_)?(?P<service>[^_]+)_(?P<fault>[^_]+)_(?P<run>\d+)")
_NESTED = re.compile(r"(?P<service>[^_]+)_(?P<fault>[^_]+)")


@dataclass(frozen=True, slots=True)
class _Case:
    metrics: Path
    segment: str
    service: str
    fault: str
    injected: np.datetime64


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give each case as one recording: normal before the injection, fault from it to the end.

    No end of a fault is recorded. Cases whose injection time does not lie inside the recording are left out.
    """
    root = folder_of(data)
    folders = sorted({path.parent for name in FILES for path in root.rglob(name)})
    if not folders:
        raise missing(root, FILES, "RCAEval cases")
    index = _index(root)
    outside, helpers, conflicts = [], set(), 0
    for folder in folders:
        case = _case(folder, root, index)
        stamps, values, columns = _metrics(case.metrics)
        keep, doubled = last_of_each_time(stamps)
        conflicts += doubled
        stamps, values = stamps[keep], values[keep]
        helpers |= {name for name in columns if HELPERS.match(name)}
        chosen = [number for number, name in enumerate(columns) if not HELPERS.match(name)]
        labels = (stamps >= case.injected).astype(np.int8)
        if labels.all() or not labels.any():
            outside.append(case.segment)
            continue
        yield recording(
            str(case.metrics),
            stamps,
            values[:, chosen],
            [columns[number] for number in chosen],
            segment=case.segment,
            labels=labels,
            fault_type=case.fault,
            service=case.service,
        )
    say("Each fault lasts to the end of its recording: RCAEval records no end.")
    if helpers:
        say(f"{number_of(len(helpers), 'helper column')} left out: {_some(sorted(helpers))}.")
    if conflicts:
        say(f"{number_of(conflicts, 'row')} with the time of another row of their case: the last one counts.")
    if outside:
        said = f"{number_of(len(outside), 'case')} left out, injected outside the recording: {_some(outside)}"
        if len(outside) == len(folders):
            raise DataError(f"{root}: {said}")
        say(f"{said}.")


READER = Reader(
    about="RCAEval RE1 to RE3: a folder of cases, nested CSV, flat JSON or flat Parquet",
    example="rcaeval RE1-TT",
    recordings=recordings,
    streams="by recording",
)


def _case(folder: Path, root: Path, index: pd.DataFrame | None) -> _Case:
    metrics = next(folder / name for name in FILES if (folder / name).is_file())
    inside = folder.relative_to(root).parts
    if index is not None and folder.name in index.index:
        row = index.loc[folder.name]
        injected = to_utc(np.asarray([row["inject_time"]]), None, f"{root}/cases.parquet", lambda _: folder.name)[0]
        return _Case(metrics, "/".join(inside), str(row["root_cause_service"]), str(row["fault"]), injected)
    whole = folder.resolve()
    nested = whole.name.isdigit() and _NESTED.fullmatch(whole.parent.name)
    named = nested or _FLAT.fullmatch(whole.name)
    if not named:
        raise DataError(
            f"{folder}: the case cannot be told from the folder's name; it must be <service>_<fault>/<number> or "
            "<suite>_<service>_<fault>_<number>, a service has no underscore"
        )
    segment = "/".join(inside) if inside else f"{whole.parent.name}/{whole.name}" if nested else whole.name
    return _Case(metrics, segment, named["service"], named["fault"], _injected(folder))


def _injected(folder: Path) -> np.datetime64:
    path = folder / _INJECT
    if not path.is_file():
        raise missing(folder, [_INJECT], "the time of the injection (Unix seconds)")
    try:
        seconds = float(path.read_text(encoding="utf-8").strip())
    except ValueError as err:
        raise DataError(f"{path}: one number, Unix seconds, is needed: {err}") from err
    return np.datetime64(to_utc(np.asarray([seconds]), None, str(path), lambda _: "line 1", "the injection time")[0])


def _index(root: Path) -> pd.DataFrame | None:
    """Return the index of the cases by name, if there is one."""
    path = next(
        (folder / "cases.parquet" for folder in (root, root.parent) if (folder / "cases.parquet").is_file()), None
    )
    if path is None:
        return None
    index = pd.read_parquet(path)
    lacking = [name for name in ("case", "root_cause_service", "fault", "inject_time") if name not in index]
    if lacking:
        raise DataError(
            f"{path}: columns {', '.join(lacking)} are missing, found: {', '.join(map(str, index.columns))}"
        )
    return index.drop_duplicates("case").set_index("case")


def _metrics(path: Path) -> tuple[NDArray[np.datetime64], NDArray[np.float64], list[str]]:
    """Return times [T], values [T, C] and names of the metrics of a case."""
    if path.suffix == ".json":
        frame = _from_json(path)
    elif path.suffix == ".parquet":
        try:
            frame = pd.read_parquet(path)
        except ValueError as err:
            raise DataError(f"{path}: not a Parquet file: {err}") from err
    else:
        frame = read_numbers(path, time="time")
    frame = frame.loc[:, [name for name in frame.columns if not re.fullmatch(r"time\.\d+", str(name))]]
    if "time" not in frame:
        raise DataError(f"{path}: there is no column named time, found: {_some(list(map(str, frame.columns)))}")
    stamps = to_utc(frame.pop("time").to_numpy(), None, str(path), lambda row: f"row {row + 1}", "time")
    return stamps, frame.to_numpy(dtype=np.float64), [str(name) for name in frame.columns]


def _from_json(path: Path) -> pd.DataFrame:
    try:
        content = json.loads(path.read_bytes())
        series = {
            str(name): pd.Series({float(time): float("nan" if value is None else value) for time, value in pairs})
            for name, pairs in content.items()
        }
    except (ValueError, TypeError, AttributeError) as err:
        raise DataError(f"{path}: an object of column -> [[seconds, value], ...] is needed: {err}") from err
    if not series:
        raise DataError(f"{path}: there is no column")
    return pd.DataFrame(series).rename_axis("time").sort_index().reset_index()


def _some(names: list[str], count: int = 8) -> str:
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
