"""Sock Shop of RCD: `<service>-<fault>/<run>/normal.csv` and `anomalous.csv`, the second faulty from end to end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from trainables.data.assemble import RawColumns
from trainables.data.readers.files import folder_of, missing
from trainables.data.readers.number_csv import last_of_each_time, read_numbers
from trainables.data.readers.reader import Reader, Say, recording
from trainables.data.readers.timestamps import to_utc
from trainables.data.wording import number_of
from trainables.errors import DataError
from trainables.settings import DataSettings

HALVES: Final = ("normal", "anomalous")


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give the two files of each run, a recording each."""
    root = folder_of(data)
    names = [f"{half}.csv" for half in HALVES]
    runs = sorted({path.parent for name in names for path in root.rglob(name)})
    if not runs:
        raise missing(root, names, "runs of RCD's Sock Shop")
    conflicts = 0
    for run in runs:
        service, dash, fault = run.resolve().parent.name.rpartition("-")
        if not dash:
            raise DataError(f"{run}: the folder above the run must be named <service>-<fault>, such as carts-cpu")
        for label, half in enumerate(HALVES):
            path = run / f"{half}.csv"
            if not path.is_file():
                raise missing(run, [path.name], "both files of a run")
            frame = read_numbers(path, time="time")
            stamps = to_utc(frame.pop("time").to_numpy(), None, str(path), lambda row: f"line {row + 2}", "time")
            keep, doubled = last_of_each_time(stamps)
            conflicts += doubled
            yield recording(
                str(path),
                stamps[keep],
                frame.to_numpy(dtype=np.float64)[keep],
                list(map(str, frame.columns)),
                segment=_segment(root, run, half),
                labels=np.full(len(keep), label, dtype=np.int8),
                fault_type=fault,
                service=service,
            )
    say("Normal and anomalous runs were mostly recorded on different days: split by run, never by random windows.")
    if conflicts:
        say(f"{number_of(conflicts, 'row')} with the time of another row of their file: the last one counts.")


READER = Reader(
    about="Sock Shop of RCD: <service>-<fault>/<run>/ with normal.csv and anomalous.csv",
    example="sockshop_rcd sock-shop-data",
    recordings=recordings,
    streams="by recording",
)


def _segment(root: Path, run: Path, half: str) -> str:
    """Return `carts-cpu_1_normal`, after the folders between the root and it."""
    whole = run.resolve()
    above = run.relative_to(root).parts[:-2]
    return "/".join([*above, f"{whole.parent.name}_{whole.name}_{half}"])
