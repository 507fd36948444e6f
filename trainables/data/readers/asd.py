"""Application Server Dataset as InterFusion publishes it: `omi-<n>_train.pkl`, `_test.pkl`, `_test_label.pkl`.

The arrays are read out of the files without unpickling them. Like the Server Machine Dataset otherwise, with a
step of 5 minutes and 19 metrics.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainables.data.assemble import RawColumns
from trainables.data.readers.files import folder_of, missing
from trainables.data.readers.pickled_array import read_pickled_array
from trainables.data.readers.reader import Reader, Say
from trainables.data.readers.smd import halves
from trainables.errors import DataError
from trainables.settings import DataSettings

STEP_S: Final = 300
_TEST, _TRAIN, _LABEL = "_test.pkl", "_train.pkl", "_test_label.pkl"


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give the train and the test half of each server (`omi-*`)."""
    root = folder_of(data)
    tests = sorted(root.rglob(f"omi-*{_TEST}"), key=lambda path: int(path.name[4 : -len(_TEST)]))
    if not tests:
        raise missing(root, [f"omi-*{_TEST}"], "ASD (omi-1_train.pkl, omi-1_test.pkl, omi-1_test_label.pkl, ...)")
    for path in tests:
        name = path.name.removesuffix(_TEST)
        label = path.with_name(name + _LABEL)
        yield from halves(
            name,
            _array(path.with_name(name + _TRAIN), dimensions=2),
            _array(path, dimensions=2),
            _array(label, dimensions=1),
            str(label),
            STEP_S,
        )
    say("Times are made up: the data set has no clock. Values are published scaled to [0, 1].")


READER = Reader(
    about="Application Server Dataset (InterFusion): arrays omi-*_train.pkl, _test.pkl, _test_label.pkl",
    example="asd InterFusion/data/processed",
    recordings=recordings,
    streams="by recording",
)


def _array(path: Path, dimensions: int) -> NDArray[np.float64]:
    if not path.is_file():
        raise missing(path.parent, [path.name], "a file of ASD")
    array = read_pickled_array(path)
    if array.ndim != dimensions:
        raise DataError(f"{path}: an array of {dimensions} dimension(s) is needed, found shape {array.shape}")
    return array.astype(np.float64)
