"""The mixture that pretraining draws its windows from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.errors import DataError
from trainables.pretraining import generated, real_series

Windows = NDArray[np.float32]

SHARES: Mapping[str, float] = {"generated": 0.5, "simbench": 0.4, "aeon": 0.1}
"""Share of the windows from each source; generated kinds share theirs equally. All pass `as_recorded`."""

LENGTHS = tuple(range(32, 513, 8))
"""Steps a window may have."""

STRIDES = (1, 1, 2, 4)
"""Real series are averaged over this many steps, one drawn a window, where they are long enough."""

ATTEMPTS = 100
"""Rounds of drawing windows before a corpus counts as flat."""

FLATTEST = 1e-3
"""A window of a real series varies at least this share of the whole series' deviation, or it teaches nothing."""


def standardised(windows: NDArray[np.floating]) -> Windows:
    """Return windows [n, L] with mean 0 and deviation 1 each; constant ones become zero."""
    windows = windows - windows.mean(axis=1, keepdims=True)
    deviation = windows.std(axis=1, keepdims=True)
    return (windows / np.where(deviation > 0, deviation, 1)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class SeriesTable:
    """Real series of one corpus, laid end to end so that windows can be cut without a loop.

    Attributes
    ----------
    values
        All series, float32.
    starts, lengths
        Where each begins and how many steps it has.
    deviations
        Standard deviation of each.
    """

    values: Windows
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    deviations: Windows

    @classmethod
    def of(cls, series: list[Windows]) -> "SeriesTable":
        """Lay series out."""
        lengths = np.array([len(one) for one in series])
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        return cls(np.concatenate(series), starts, lengths, np.array([one.std() for one in series], np.float32))

    def windows(self, rng: np.random.Generator, count: int, steps: int, strides: Sequence[int] = STRIDES) -> Windows:
        """Return `count` windows [count, steps] that are not flat, from series drawn with equal chance.

        Raises
        ------
        DataError
            No series has that many steps, or all that were looked at are flat.
        """
        if not (self.lengths >= steps).any():
            raise DataError(f"no series has {steps} steps; the longest has {self.lengths.max(initial=0)}")
        found: list[Windows] = []
        missing = count
        for _ in range(ATTEMPTS):
            windows = self._cut(rng, max(2 * missing, 16), steps, strides)[:missing]
            found.append(windows)
            missing -= len(windows)
            if missing == 0:
                return np.concatenate(found)
        raise DataError(f"{missing} of {count} windows of {steps} steps are missing: nearly all are flat")

    def _cut(self, rng: np.random.Generator, count: int, steps: int, allowed: Sequence[int]) -> Windows:
        number = rng.choice(np.flatnonzero(self.lengths >= steps), count)
        strides = rng.choice(allowed, count)
        strides = np.where(self.lengths[number] >= 4 * strides * steps, strides, 1)
        begin = self.starts[number] + rng.integers(0, self.lengths[number] - strides * steps + 1)
        windows = np.empty((count, steps), np.float32)
        for stride in set(strides.tolist()):
            rows = strides == stride
            index = begin[rows, None] + np.arange(steps * stride)
            windows[rows] = self.values[index].reshape(-1, steps, stride).mean(axis=2)
        varied: Windows = windows[windows.std(axis=1) > FLATTEST * self.deviations[number]]
        return varied


class Corpus:
    """Windows for pretraining: generated ones anew each time, real ones cut from packaged series."""

    def __init__(self, real: Mapping[str, list[Windows]]) -> None:
        self._tables = {name: SeriesTable.of(series) for name, series in real.items()}

    def batch(self, rng: np.random.Generator, steps: int, count: int) -> Windows:
        """Return standardised windows [count, steps], mixed by `SHARES`."""
        counts = rng.multinomial(count, list(SHARES.values()))
        parts = [
            self._tables[name].windows(rng, number, steps) if name in self._tables else _generated(rng, number, steps)
            for name, number in zip(SHARES, counts, strict=True)
            if number > 0
        ]
        return standardised(generated.as_recorded(rng, np.concatenate(parts)))


def _generated(rng: np.random.Generator, count: int, steps: int) -> NDArray[np.float64]:
    kinds = list(generated.TRAINED.values())
    counts = rng.multinomial(count, [1 / len(kinds)] * len(kinds))
    parts = [kind(rng, int(number), steps) for kind, number in zip(kinds, counts, strict=True) if number > 0]
    return np.concatenate(parts)


def training_corpus() -> Corpus:
    """Return the documented mixture.

    Raises
    ------
    MissingPackageError
        A package with real series is not installed.
    """
    return Corpus(real_series.training_series())
