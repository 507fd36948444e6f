"""Reference detectors that see no label: the rows every table must beat."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.decomposition import PCA

from trainables._features import robust_centre_spread, squashed, squashed_rows
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources


class NoSettings(DetectorConfig):
    """Nothing to set."""


class Random:
    """Score every window by a fair die: what any metric gives to no knowledge at all.

    The number depends on the seed and the window's last row only, so it does not change with the batch.
    """

    labels: ClassVar[Labels] = "none"
    Config: ClassVar[type[DetectorConfig]] = NoSettings
    uninformed: ClassVar[bool] = True

    def __init__(self, config: NoSettings, resources: TrialResources) -> None:
        self.config = config
        self.seed = resources.seed

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:  # noqa: ARG002
        """Learn nothing."""
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return uniform numbers [N] in 0..1."""
        offset = np.uint64(self.seed * int(_GOLDEN) % 2**64)
        return _uniform(windows.ends.astype(np.uint64) + offset)

    @property
    def facts(self) -> FitFacts:
        """Nothing was fitted."""
        return FitFacts(trainable_parameters=0)


class AlwaysAlarm:
    """Score every window 1: catches every fault and never stops alarming."""

    labels: ClassVar[Labels] = "none"
    Config: ClassVar[type[DetectorConfig]] = NoSettings
    uninformed: ClassVar[bool] = True

    def __init__(self, config: NoSettings, resources: TrialResources) -> None:  # noqa: ARG002
        self.config = config

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:  # noqa: ARG002
        """Learn nothing."""
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return ones [N]."""
        return np.ones(len(windows))

    @property
    def facts(self) -> FitFacts:
        """Nothing was fitted."""
        return FitFacts(trainable_parameters=0)


class MovingVarianceConfig(DetectorConfig):
    """Settings of `MovingVariance`.

    Attributes
    ----------
    steps
        Last steps of the window that are averaged; a shorter window is averaged whole.
    top_channels
        Channels with the largest variance whose mean is the score.
    """

    steps: Annotated[int, Field(ge=1, le=512)] = 8
    top_channels: Annotated[int, Field(ge=1, le=10_000)] = 3


class MovingVariance:
    """Variance of the last steps about the level of the reference: the one-line detector.

    With z = (arcsinh(x) - m) / s, where m and s are median and IQR / 1.349 of the channel over the reference:

        score = mean over the `top_channels` largest channels of (mean over the last `steps` of z ** 2)

    The variance is taken about the *reference's* level, not about the window's own, so that a sustained
    shift counts as much as a burst. arcsinh keeps one spike a thousand spreads high from filling the score.
    """

    labels: ClassVar[Labels] = "none"
    Config: ClassVar[type[DetectorConfig]] = MovingVarianceConfig

    def __init__(self, config: MovingVarianceConfig, resources: TrialResources) -> None:  # noqa: ARG002
        self.config = config

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:  # noqa: ARG002
        """Take each channel's level and spread from the unlabelled reference."""
        self.centre_, self.spread_ = robust_centre_spread(_reference_rows(reference))
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return mean squared deviations [N], 0 or more, in squared spreads of the reference."""
        top = min(self.config.top_channels, windows.channels)
        return _mean_of_largest(self.channel_errors(windows), top)

    def channel_errors(self, windows: Windows) -> NDArray[np.float64]:
        """Return the mean squared deviation of every channel [N, C]."""
        parts = [np.empty((0, windows.channels))]
        for x in squashed(windows):
            z = (x[:, -self.config.steps :] - self.centre_) / self.spread_  # [n, steps, C]
            parts.append(np.square(z).mean(axis=1))
        return np.concatenate(parts)

    @property
    def facts(self) -> FitFacts:
        """Nothing that counts as trained."""
        return FitFacts(trainable_parameters=0)


class PcaConfig(DetectorConfig):
    """Settings of `PcaReconstruction`.

    Attributes
    ----------
    explained_variance
        Share of the reference's variance that the kept components explain.
    steps
        Last steps of the window whose error counts; a shorter window counts whole.
    """

    explained_variance: Annotated[float, Field(gt=0, lt=1)] = 0.9
    steps: Annotated[int, Field(ge=1, le=512)] = 8


class PcaReconstruction:
    """Reconstruction error of a principal component model of the reference's rows.

    A row (arcsinh, then median and IQR / 1.349 of the reference) is projected on the components that explain
    `explained_variance`; the score is the squared error that is left, averaged over channels and the last
    `steps` rows. It rises when channels stop moving together as they did on the reference.

    References
    ----------
    J. E. Jackson and G. S. Mudholkar, "Control procedures for residuals associated with principal component
    analysis", Technometrics 21(3), 1979: the Q statistic.
    """

    labels: ClassVar[Labels] = "none"
    Config: ClassVar[type[DetectorConfig]] = PcaConfig

    def __init__(self, config: PcaConfig, resources: TrialResources) -> None:  # noqa: ARG002
        self.config = config

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:  # noqa: ARG002
        """Find the components of the unlabelled reference.

        Raises
        ------
        DetectorError
            No channel of the reference varies.
        """
        rows = _reference_rows(reference)
        self.centre_, self.spread_ = robust_centre_spread(rows)
        scaled = (rows - self.centre_) / self.spread_  # [R L, C]
        if not np.ptp(scaled, axis=0).any():
            raise DetectorError("pca: no channel of the reference varies, so there are no components")
        self.pca_ = PCA(self.config.explained_variance, svd_solver="full").fit(scaled)
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return mean squared errors [N], 0 or more, in squared spreads of the reference."""
        return np.concatenate([np.empty(0), *(error.mean(axis=2).mean(axis=1) for error in self._errors(windows))])

    def channel_errors(self, windows: Windows) -> NDArray[np.float64]:
        """Return the mean squared error of every channel [N, C]."""
        return np.concatenate([np.empty((0, windows.channels)), *(e.mean(axis=1) for e in self._errors(windows))])

    def _errors(self, windows: Windows) -> Iterator[NDArray[np.float64]]:
        """Yield squared errors [<= chunk, steps, C] in order."""
        for x in squashed(windows):
            z = (x[:, -self.config.steps :] - self.centre_) / self.spread_  # [n, steps, C]
            rows = z.reshape(-1, windows.channels)
            yield np.square(rows - self.pca_.inverse_transform(self.pca_.transform(rows))).reshape(z.shape)

    @property
    def facts(self) -> FitFacts:
        """Entries of the kept components."""
        return FitFacts(trainable_parameters=int(self.pca_.components_.size))


def _reference_rows(reference: Windows) -> NDArray[np.float64]:
    """Return the squashed rows [R L, C] of the reference."""
    if not len(reference):
        raise DetectorError("the reference has no window")
    return squashed_rows(reference)


def _mean_of_largest(values: NDArray[np.float64], top: int) -> NDArray[np.float64]:
    """Return the mean of the `top` largest values of each row of [n, C]."""
    return np.asarray(np.sort(values, axis=1)[:, -top:].mean(axis=1))


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _uniform(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Hash integers to 0..1 (SplitMix64: Steele, Lea and Flood, OOPSLA 2014, figure 16)."""
    z = keys + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.asarray((z >> np.uint64(11)).astype(np.float64) * 2.0**-53)
