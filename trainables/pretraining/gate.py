"""What pretraining must have taught: masked error on series it never saw, against simple ways to fill a gap.

A window has mean 0 and deviation 1 over its own steps, so that an error of 1 is that of guessing its mean. The
gate is passed where the pretrained backbone is below last-value hold, linear interpolation and untrained weights.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables._moment import MomentBackbone
from trainables.data import LabelledSeries, load_source
from trainables.errors import DataError
from trainables.pretraining import generated, real_series
from trainables.pretraining.corpus import STRIDES, SeriesTable, Windows, standardised
from trainables.pretraining.masked import backbone_errors, hidden_patches
from trainables.settings import DataSettings

Hidden = NDArray[np.bool_]
Cut = Callable[[np.random.Generator, int, int], NDArray[np.floating]]

PATCH = 8
LENGTHS = (32, 64, 256)
"""Steps of the gate's windows: the product's default, twice it, and a long one."""

WINDOWS = 300
"""Windows of each source, length and seed."""

SEEDS = (0, 1, 2)
"""Of windows and masks."""

RIVALS = ("last value", "interpolation", "untrained")
"""What the pretrained backbone must beat."""

WATCHED: Mapping[int, int] = {64: 200, 256: 100}
"""Length and number of the held-out windows looked at during training."""


@dataclass(frozen=True, slots=True)
class MaskedWindows:
    """Standardised windows [n, L] and which of their patches are hidden, bool [n, P]."""

    windows: Windows
    hidden: Hidden


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A source of windows that pretraining never saw.

    Attributes
    ----------
    name
        As the table calls it.
    cut
        Draws n windows of L steps [n, L]; raises DataError where the source has none.
    """

    name: str
    cut: Cut

    def masked(self, rng: np.random.Generator, count: int, length: int) -> MaskedWindows:
        """Draw standardised windows and their masks."""
        windows = standardised(self.cut(rng, count, length))
        return MaskedWindows(windows, hidden_patches(rng, count, length // PATCH))


def held_out_generated() -> list[HeldOut]:
    """Return the generated kinds that pretraining never saw."""
    return [HeldOut(f"generated {name}", kind) for name, kind in generated.HELD_OUT.items()]


def held_out_real(strides: Sequence[int] = (1,)) -> list[HeldOut]:
    """Return the packaged series that pretraining never saw.

    Raises
    ------
    MissingPackageError
        A package with real series is not installed.
    """
    tables = {name: SeriesTable.of(series) for name, series in real_series.held_out_series().items()}
    return [_from_table(name, table, strides) for name, table in tables.items()]


def telemetry(path: Path) -> HeldOut:
    """Return the fault-free rows of a table of telemetry, every column a series; rows with gaps are left out.

    Raises
    ------
    DataError
        The table cannot be read, or has no complete stretch of fault-free rows.
    """
    series = load_source(DataSettings(source="table", path=path))
    stretches = list(_complete_stretches(series))
    if not stretches:
        raise DataError(f"{path}: no column has {LENGTHS[0]} fault-free rows in a row without a gap")
    return _from_table(f"telemetry {Path(path.parent.name) / path.stem}", SeriesTable.of(stretches), (1,))


def watched(seed: int = 0) -> list[MaskedWindows]:
    """Return the held-out windows that training looks at for its curve; nothing is chosen by them.

    Raises
    ------
    MissingPackageError
        A package with real series is not installed.
    """
    rng = np.random.default_rng(seed)
    sources = [*held_out_real(STRIDES), *held_out_generated()]
    return [found for source in sources for found in _available(source, rng, WATCHED)]


def measure(
    pretrained: MomentBackbone, untrained: MomentBackbone, sources: Sequence[HeldOut], count: int = WINDOWS
) -> pd.DataFrame:
    """Return the gate's table: source, length, seed, and the mean masked error of every way to fill the gap."""
    ways: Mapping[str, Callable[[MaskedWindows], float]] = {
        "visible mean": lambda one: _error(one, visible_mean(one)),
        "last value": lambda one: _error(one, last_value(one)),
        "interpolation": lambda one: _error(one, interpolation(one)),
        "untrained": lambda one: float(backbone_errors(untrained, one.windows, one.hidden).mean()),
        "pretrained": lambda one: float(backbone_errors(pretrained, one.windows, one.hidden).mean()),
    }
    rows = []
    for source in sources:
        for seed in SEEDS:
            rng = np.random.default_rng(seed)
            for one in _available(source, rng, dict.fromkeys(LENGTHS, count)):
                errors = {way: fill(one) for way, fill in ways.items()}
                rows.append({"source": source.name, "length": one.windows.shape[1], "seed": seed, **errors})
    return pd.DataFrame(rows)


def passed(table: pd.DataFrame) -> pd.Series:
    """Return for each row of the gate's table whether the pretrained backbone is below all its rivals."""
    return table["pretrained"] < table[list(RIVALS)].min(axis=1)


def visible_mean(one: MaskedWindows) -> Windows:
    """Fill hidden steps with the mean of the visible ones."""
    hidden = _hidden_steps(one)
    mean = np.where(hidden, 0, one.windows).sum(axis=1) / (~hidden).sum(axis=1)
    return np.where(hidden, mean[:, None], one.windows).astype(np.float32)


def last_value(one: MaskedWindows) -> Windows:
    """Fill hidden steps with the last visible value before them, or the first after them at the beginning."""
    frame = pd.DataFrame(np.where(_hidden_steps(one), np.nan, one.windows).T)
    return frame.ffill().bfill().to_numpy(np.float32).T


def interpolation(one: MaskedWindows) -> Windows:
    """Fill hidden steps on a straight line between their visible neighbours; the edges are held."""
    frame = pd.DataFrame(np.where(_hidden_steps(one), np.nan, one.windows).T)
    return frame.interpolate(limit_direction="both").to_numpy(np.float32).T


def _available(source: HeldOut, rng: np.random.Generator, wanted: Mapping[int, int]) -> Iterator[MaskedWindows]:
    """Draw windows of every length the source has."""
    for length, count in wanted.items():
        try:
            yield source.masked(rng, count, length)
        except DataError:
            continue  # shorter than this length: the table has no such row


def _from_table(name: str, table: SeriesTable, strides: Sequence[int]) -> HeldOut:
    return HeldOut(name, lambda rng, count, steps: table.windows(rng, count, steps, strides))


def _complete_stretches(series: LabelledSeries) -> Iterator[Windows]:
    """Give every stretch of fault-free, finite, not constant values [L] of one column and segment."""
    normal = series.usable & (series.labels == 0)
    for column in np.transpose(series.values):
        usable = normal & np.isfinite(column)
        changes = np.flatnonzero(np.diff(usable) | (np.diff(series.segment) != 0)) + 1
        for rows in np.split(np.arange(len(column)), changes):
            stretch = column[rows]
            if usable[rows[0]] and len(rows) >= LENGTHS[0] and stretch.std() > 0:
                yield stretch


def _hidden_steps(one: MaskedWindows) -> Hidden:
    return np.repeat(one.hidden, PATCH, axis=1)


def _error(one: MaskedWindows, filled: Windows) -> float:
    steps = _hidden_steps(one)
    return float(np.square(one.windows - filled)[steps].reshape(len(steps), -1).mean())
