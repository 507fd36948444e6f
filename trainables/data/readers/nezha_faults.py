"""Fault lists of Nezha and TraStrainer: which starts can be trusted, and what they label."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.readers.files import missing
from trainables.data.readers.reader import Say
from trainables.data.series import Quality
from trainables.data.wording import number_of
from trainables.errors import DataError

FAULT_S: Final = 180
"""Each fault lasts three minutes (Nezha, ESEC/FSE 2023); the lists give only the start."""

GUARD_BEFORE_S: Final = 60
RECOVERY_S: Final = 180
"""Rows that touch the minute before a fault or the three minutes after it are `guard`: effects outlast some faults."""

CLOCKS_APART_S: Final = 120
"""Text and epoch field of one fault differ by up to a minute; the epoch field fits the observed onset."""

UNLISTED: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "2023-01-30": ((1675079070, 1675079250), (1675081370, 1675081590), (1675085840, 1675086080)),
    "2022-08-22": ((1661148330, 1661150070), (1661150370, 1661151110), (1661153450, 1661154200)),
}
"""Stretches, epoch seconds, in which an injection that the list leaves out is visible or likely: `suspect`."""

_ZONED = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? ([+-]\d{4})")


@dataclass(frozen=True, slots=True)
class Fault:
    """One injection; `start` in epoch seconds."""

    start: int
    service: str
    fault_type: str


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Labels int8 [T], fault types [T], services [T] and label quality int8 [T]."""

    labels: NDArray[np.int8]
    fault_type: NDArray[np.object_]
    service: NDArray[np.object_]
    quality: NDArray[np.int8]


def service_of(pod: str) -> str:
    """Return the service of a pod: its name without the last two parts."""
    return pod.rsplit("-", 2)[0]


def epoch_seconds(text: "pd.Series[str]", path: Path) -> NDArray[np.int64]:
    """Return whole epoch seconds of times such as `2023-01-30 11:39:52.948766709 +0000 UTC m=+0.125597034`.

    Raises
    ------
    DataError
        Another text, with its line.
    """
    found = text.astype(str).str.extract(_ZONED)
    bad = found[0].isna().to_numpy()
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{path}: line {text.index[row] + 2}: {text.iloc[row]!r} is not a time with its zone")
    stamps = pd.to_datetime(found[0] + found[1], format="%Y-%m-%d %H:%M:%S%z", utc=True)
    return np.asarray(stamps.dt.tz_localize(None).to_numpy(dtype="datetime64[s]").astype(np.int64))


def read_faults(day: Path, root: Path, say: Say) -> list[Fault]:
    """Return the faults of `*-fault_list.json` or `label.json` in the day's folder or the nearest one above.

    The epoch field is the start, unless it contradicts the text: whole hours apart, it is moved by these hours
    (the list of 2023-01-29); otherwise, or where it repeats the entry before it, the text counts.

    Raises
    ------
    DataError
        No list, or one that cannot be understood.
    """
    path = _list_of(day, root)
    faults, moved, from_text = [], 0, 0
    before = None
    for place, entry in _entries(path):
        try:
            epoch = int(entry["inject_timestamp"])
            text = int(pd.Timestamp(str(entry["inject_time"]), tz="UTC").timestamp())
            service, kind = service_of(str(entry["inject_pod"])), str(entry["inject_type"])
        except (KeyError, TypeError, ValueError) as err:
            raise DataError(
                f"{path}: {place}: inject_time, inject_timestamp, inject_pod and inject_type are needed: {err!r}"
            ) from err
        hours = round((text - epoch) / 3600) * 3600
        if abs(text - epoch - hours) > CLOCKS_APART_S or epoch == before:
            start, from_text = text, from_text + 1
        else:
            start, moved = epoch + hours, moved + bool(hours)
        before = epoch
        faults.append(Fault(start, service, kind))
    if moved or from_text:
        say(
            f"{path.name}: the epoch field of {number_of(moved, 'fault')} was moved by whole hours, "
            f"{number_of(from_text, 'start')} taken from the text field."
        )
    return sorted(faults, key=lambda fault: fault.start)


def annotate(seconds: NDArray[np.int64], interval_s: int, faults: list[Fault], day: str) -> Annotation:
    """Return what faults say of rows that summarise the interval before their time.

    A row is faulty if the middle of its interval lies within the fault.
    """
    rows = len(seconds)
    labels, quality = np.zeros(rows, dtype=np.int8), np.full(rows, int(Quality.OK), dtype=np.int8)
    fault_type, service = np.full(rows, "", dtype=object), np.full(rows, "", dtype=object)
    first = seconds - interval_s
    middle = seconds - interval_s / 2
    for start, end in UNLISTED.get(day, ()):
        quality[(seconds > start) & (first < end)] = Quality.SUSPECT
    for fault in faults:
        end = fault.start + FAULT_S
        quality[(seconds > fault.start - GUARD_BEFORE_S) & (first < end + RECOVERY_S)] = Quality.GUARD
        inside = (middle >= fault.start) & (middle < end) & (labels == 0)
        labels[inside], fault_type[inside], service[inside] = 1, fault.fault_type, fault.service
    quality[labels == 1] = Quality.OK
    return Annotation(labels, fault_type, service, quality)


def day_of(seconds: NDArray[np.int64]) -> str:
    """Return the UTC date of the first row."""
    return str(seconds[0].astype("datetime64[s]").astype("datetime64[D]"))


def _list_of(day: Path, root: Path) -> Path:
    above = [day, *(folder for folder in day.parents if folder == root or root in folder.parents)]
    for folder in above:
        found = [*sorted(folder.glob("*fault_list.json")), *folder.glob("label.json")]
        if found:
            return found[0]
    raise missing(day, ["<date>-fault_list.json", "label.json"], "a fault list")


def _entries(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the entries of {hour: [entry, ...]} with their places."""
    try:
        hours = json.loads(path.read_bytes())
    except ValueError as err:
        raise DataError(f"{path}: not a JSON file: {err}") from err
    if not isinstance(hours, dict) or not all(isinstance(entries, list) for entries in hours.values()):
        raise DataError(f"{path}: an object of hour -> list of faults is needed")
    for hour, entries in hours.items():
        for number, entry in enumerate(entries):
            yield f"{hour}[{number}]", entry
