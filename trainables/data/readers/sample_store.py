"""Samples of numbered series, taken in any order, then each series together; what is large lies in files."""

import io
import shutil
import tempfile
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray

from trainables.data import big_tables

_SAMPLE = np.dtype([("series", np.int32), ("time", np.int64), ("value", np.float64)])
_PIECE = 2**17
"""Samples that are put in order of their series together."""
_NEEDED = "samples that memory should not hold need a file"


class SampleStore:
    """Holds samples as they come: up to `big_tables.LARGE` bytes in memory, more in a file without a name."""

    def __init__(self) -> None:
        self._counts: list[int] = []
        self._samples: IO[bytes] = io.BytesIO()
        self._in_file = False

    def add(self, series: int, times: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Take samples of one series; series are numbered from 0 in order of their first samples.

        Raises
        ------
        DataError
            No room for the file.
        """
        if series == len(self._counts):
            self._counts.append(0)
        self._counts[series] += len(times)
        samples = np.empty(len(times), dtype=_SAMPLE)
        samples["series"], samples["time"], samples["value"] = series, times, values
        with big_tables.one_message(_NEEDED):
            self._samples.write(samples.tobytes())
            if not self._in_file and self._samples.tell() > big_tables.LARGE:
                self._into_file()

    def _into_file(self) -> None:
        self._samples.seek(0)
        file = tempfile.TemporaryFile(dir=big_tables.folder())  # noqa: SIM115  (`_pieces` closes it)
        shutil.copyfileobj(self._samples, file)
        self._samples, self._in_file = file, True

    def by_series(self) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Return times and values of each series, in the order in which they were taken.

        They may be written to: all are views of two columns, in memory or mapped.

        Raises
        ------
        DataError
            No room for the files of the columns, or for the last samples.
        """
        ends = np.cumsum(self._counts, dtype=np.int64)
        free = ends - self._counts
        times = big_tables.column(sum(self._counts), np.int64)
        values = big_tables.column(sum(self._counts), np.float64)
        for piece in self._pieces():
            samples = piece[np.argsort(piece["series"], kind="stable")]
            series, starts, lengths = np.unique(samples["series"], return_index=True, return_counts=True)
            place = np.repeat(free[series] - starts, lengths) + np.arange(len(samples))
            times[place], values[place] = samples["time"], samples["value"]
            free[series] += lengths
            big_tables.released(times)
            big_tables.released(values)
        return [(times[start:end], values[start:end]) for start, end in zip(ends - self._counts, ends, strict=True)]

    def _pieces(self) -> Iterator[NDArray[np.void]]:
        with big_tables.one_message(_NEEDED), self._samples as samples:
            samples.seek(0)  # writes what is in the file's buffer
            while packed := samples.read(_PIECE * _SAMPLE.itemsize):
                yield np.frombuffer(packed, dtype=_SAMPLE)
