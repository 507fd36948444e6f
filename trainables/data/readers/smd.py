"""Server Machine Dataset in OmniAnomaly's text layout: train, test and test_label, a file a machine.

The train half is presumed clean, the test half is labelled by operators, types are not told. There is no clock:
times are 0, 60, 120 s ..., the test half goes on where the train half ends.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data.assemble import RawColumns
from trainables.data.readers.files import folder_of, missing
from trainables.data.readers.reader import Reader, Say, recording
from trainables.data.series import Quality
from trainables.errors import DataError
from trainables.settings import DataSettings

STEP_S: Final = 60
FAULT: Final = "anomaly"
"""Fault type of all anomalies of SMD and ASD."""


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give the train and the test half of each machine."""
    root = folder_of(data)
    machines = sorted(path.stem for path in (root / "test").glob("*.txt"))
    if not machines:
        raise missing(root, ["test/*.txt"], "ServerMachineDataset (train, test, test_label)")
    for machine in machines:
        yield from halves(
            machine,
            _numbers(root, "train", machine),
            _numbers(root, "test", machine),
            _numbers(root, "test_label", machine)[:, 0],
            str(root / "test_label" / f"{machine}.txt"),
            STEP_S,
        )
    say("Times are made up: the data set has no clock. Values are published scaled to [0, 1].")


READER = Reader(
    about="Server Machine Dataset, text: folders train, test, test_label",
    example="smd ServerMachineDataset",
    recordings=recordings,
    streams="by recording",
)


def halves(
    name: str,
    train: NDArray[np.float64],
    test: NDArray[np.float64],
    labels: NDArray[np.float64],
    where: str,
    step_s: int,
) -> Iterator[RawColumns]:
    """Yield the train half, presumed normal, and the labelled test half; columns are m_1, m_2, ...

    Raises
    ------
    DataError
        The halves differ in columns, or the labels in number or kind.
    """
    if train.shape[1] != test.shape[1]:
        raise DataError(f"{where}: {name} has {train.shape[1]} columns in train and {test.shape[1]} in test")
    if len(labels) != len(test):
        raise DataError(f"{where}: {len(labels)} labels for {len(test)} rows of test")
    if not np.isin(labels, (0, 1)).all():
        row = int((~np.isin(labels, (0, 1))).argmax())
        raise DataError(f"{where}: line {row + 1}: a label must be 0 or 1, found {labels[row]:g}")
    clock = np.arange(len(train) + len(test)) * np.timedelta64(step_s, "s") + np.datetime64(0, "ns")
    columns = [f"m_{number + 1}" for number in range(test.shape[1])]
    clean = np.zeros(len(train), dtype=np.int8)
    yield recording(
        where,
        clock[: len(train)],
        train,
        columns,
        segment=f"{name}_train",
        labels=clean,
        quality=Quality.ASSUMED_NORMAL,
    )
    yield recording(
        where,
        clock[len(train) :],
        test,
        columns,
        segment=f"{name}_test",
        labels=labels.astype(np.int8),
        fault_type=FAULT,
    )


def _numbers(root: Path, part: str, machine: str) -> NDArray[np.float64]:
    path = root / part / f"{machine}.txt"
    if not path.is_file():
        raise missing(root, [f"{part}/{machine}.txt"], "ServerMachineDataset (train, test, test_label)")
    try:
        values = pd.read_csv(path, header=None, dtype=np.float64, skip_blank_lines=False).to_numpy()
    except (ValueError, pd.errors.ParserError, OSError) as err:  # UnicodeDecodeError is a ValueError
        raise DataError(f"{path}: lines of numbers separated by commas are needed: {err}") from err
    bad = ~np.isfinite(values).all(axis=1)
    if bad.any():
        raise DataError(f"{path}: line {int(bad.argmax()) + 1}: a value is missing; the data set has none missing")
    return values
