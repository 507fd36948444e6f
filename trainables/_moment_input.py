"""What the MOMENT detectors look at: scaled sequences for the backbone, context beside it. Free of torch."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables._features import RECENT, level_and_spread, squashed, squashed_rows, window_features
from trainables._support import standardisation
from trainables.data.windows import Windows
from trainables.errors import DetectorError

Normalise = Literal["reference", "window"]

LIMIT = 8.0
"""Standardised features are cut here: no single one may outvote the rest."""

TAILS, QUARTILES = (0.02, 0.98), (0.25, 0.75)
"""Of the levels of reference windows: how far a channel strays, and how far it moves all the time."""

EXTREMES = (1, 3, 10)
"""Channels whose mean is an extreme of a window: the largest, the three and the ten largest, and all."""


@dataclass(frozen=True, slots=True, eq=False)
class InputScaling:
    """How windows become sequences [N, C', L] for the backbone.

    Attributes
    ----------
    normalise
        `reference`: z = (arcsinh(x) - m) / s with mean m and standard deviation s of the channel over the reference,
        so that a sustained shift of level stays visible. After arcsinh the standard deviation served better than
        a robust spread: channels that hardly move would fill the extremes.
        `window`: values as they are; the backbone's own window normalisation (RevIN) follows and removes
        level and scale, as MOMENT was published.
    centre, spread : float64 [C]
        m and s.
    kept : int64 [C']
        Channels that go through the backbone, increasing.
    kept_channels
        Which and why, as in `FitFacts`; None if all are kept.
    """

    normalise: Normalise
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    kept: NDArray[np.int64]
    kept_channels: str | None = None

    def sequences(self, windows: Windows) -> NDArray[np.float32]:
        """Return [N, C', L].

        Raises
        ------
        DetectorError
            A value is NaN or infinite.
        """
        if not len(windows):
            return np.empty((0, len(self.kept), windows.length), dtype=np.float32)
        if self.normalise == "window":
            found = windows.x[:, self.kept]
        else:
            centre, spread = self.centre[self.kept], self.spread[self.kept]
            some = None if len(self.kept) == windows.channels else self.kept
            found = np.empty((len(windows), len(self.kept), windows.length), dtype=np.float32)
            filled = 0
            for x in squashed(windows, some):  # [n, L, C']
                found[filled : filled + len(x)] = ((x - centre) / spread).transpose(0, 2, 1)
                filled += len(x)
        if not np.isfinite(found).all():
            bad = np.unique(np.nonzero(~np.isfinite(found))[1])
            names = ", ".join(windows.columns[channel] for channel in self.kept[bad][:4])
            raise DetectorError(f"values that are NaN or infinite in {len(bad)} channels ({names}); fill them first")
        return found


def fit_scaling(reference: Windows, normalise: Normalise, keep: int | Literal["all"]) -> InputScaling:
    """Fit scaling and the choice of channels on the unlabelled reference.

    Raises
    ------
    DetectorError
        The reference has no window.
    """
    if not len(reference):
        raise DetectorError("the reference has no window")
    centre, spread = standardisation(squashed_rows(reference))
    return InputScaling(normalise, centre, spread, *_channels(reference, keep))


def worst_channels(errors: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Return the mean of each window's largest errors [N] of errors [N, C']; all of them if there are fewer."""
    most = min(count, errors.shape[1])
    return np.asarray(np.sort(errors.astype(np.float64), axis=1)[:, -most:].mean(axis=1))


def _channels(reference: Windows, keep: int | Literal["all"]) -> tuple[NDArray[np.int64], str | None]:
    """Choose the channels whose level strays farthest now and then: outer over middle range of windows' levels.

    Sustained shifts are what detectors look for, so a channel that has never shown one on the reference
    (faults are in it, unlabelled) has the least to tell. A channel that drifts or follows the load moves as far, but
    all the time: its middle range is wide, too. Context features cover all channels in any case.
    Return the channels and their measures as text, the largest first.
    """
    if keep == "all" or keep >= reference.channels:
        return np.arange(reference.channels), None
    parts = window_features(reference).reshape(len(reference), -1, reference.channels)  # [R, features, C]
    low, lower, upper, high = np.quantile(parts[:, 0], (TAILS[0], *QUARTILES, TAILS[1]), axis=0)
    noise = parts[:, 2].mean(axis=0)  # within windows
    measure = (high - low) / np.maximum(upper - lower + noise, 1e-9)
    order = np.argsort(-measure, kind="stable")[:keep]
    return np.sort(order), "; ".join(f"{reference.columns[channel]}={measure[channel]:.3g}" for channel in order)


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """Level and spread of every channel relative to the reference, and their extremes over channels.

    Blocks, each divided by the root of its width so that a penalty on weights treats blocks alike:
    recent level, level and spread of each channel [3 C]; means of the 1, 3, 10 and all largest
    |recent level| and of the same number of largest recent spreads, over channels [8].
    The extremes know no channel by name: a fault in a service that no shot has shown still moves them.

    Attributes
    ----------
    scaling
        Gives the z-scores that extremes are taken of.
    mean, deviation : float64 [3 C + 8]
        Of the reference.
    """

    scaling: InputScaling
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def features(self, windows: Windows) -> NDArray[np.float32]:
        """Return [N, 3 C + 8]."""
        raw = _raw_context(windows, self.scaling)
        standardised = np.clip((raw - self.mean) / self.deviation, -LIMIT, LIMIT)
        channels = 3 * windows.channels
        widths = np.where(np.arange(raw.shape[1]) < channels, channels, raw.shape[1] - channels)
        return np.asarray(standardised / np.sqrt(widths), dtype=np.float32)


def context_width(channels: int) -> int:
    """Return the number of context features of that many channels."""
    return 3 * channels + 2 * (len(EXTREMES) + 1)


def fit_context(reference: Windows, scaling: InputScaling) -> Context:
    """Standardise the context by the unlabelled reference."""
    return Context(scaling, *standardisation(_raw_context(reference, scaling)))


def _raw_context(windows: Windows, scaling: InputScaling) -> NDArray[np.float64]:
    if not len(windows):
        return np.empty((0, context_width(windows.channels)))
    rows = []
    for x in squashed(windows):
        recent = (x[:, -RECENT:] - scaling.centre) / scaling.spread  # [n, 8, C]
        extremes = [_largest(np.abs(recent.mean(axis=1))), _largest(recent.std(axis=1))]
        rows.append(np.concatenate([*level_and_spread(x), *extremes], axis=1))
    return np.concatenate(rows)  # [N, 3 C + 8]


def _largest(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return arcsinh of the means of the largest values over channels: [n, C] -> [n, 4]."""
    ordered = -np.sort(-values, axis=1)
    means = [ordered[:, :count].mean(axis=1) for count in (*EXTREMES, ordered.shape[1])]
    return np.asarray(np.arcsinh(np.stack(means, axis=1)))
