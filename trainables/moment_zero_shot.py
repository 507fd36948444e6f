"""MOMENT without any label: how badly it reconstructs what just happened."""

from dataclasses import replace
from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainables._moment_config import Masking, MomentConfig, precision_of
from trainables._moment_input import fit_scaling, worst_channels
from trainables._served import Served
from trainables.data.windows import LabelledWindows, Windows
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources


class MomentZeroShotConfig(MomentConfig):
    """Settings of `MomentZeroShot`.

    Attributes
    ----------
    masking
        `none`: the window is reconstructed from itself, as momentfm's detect_anomalies does.
        `last_patch`: the last 8 steps are hidden and imputed from the rest; pretrained weights carry
        on part of a shift of level that fills the window, so it shows less than with `none`.
        `fixed`: the last 8 steps are hidden together with each quarter of the other patches in turn,
        and the errors averaged.
    top_channels
        Channels with the largest error whose mean is the score.
    """

    masking: Masking = "none"
    top_channels: Annotated[int, Field(ge=1, le=10_000)] = 3


class MomentZeroShot:
    """Reconstruction error of the last patch, in spreads of the reference, averaged over the worst channels.

    With `normalise: reference` the backbone sees values relative to the reference and the error is in those
    units. With `normalise: window` it sees each window in units of its own mean and standard deviation, as
    published, and the error is in the units of the telemetry's scaling.
    """

    labels: ClassVar[Labels] = "none"
    Config: ClassVar[type[DetectorConfig]] = MomentZeroShotConfig

    def __init__(self, config: MomentZeroShotConfig, resources: TrialResources) -> None:
        self.config = config
        self.resources = resources
        self.served_ = Served()

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:  # noqa: ARG002
        """Take each channel's level and spread from the unlabelled reference."""
        self.scaling_ = fit_scaling(reference, self.config.normalise, self.config.channels)
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return root mean squared errors [N], 0 or more.

        Raises
        ------
        DetectorError
            The window does not fit the backbone.
        WeightsError, MissingPackageError
            The backbone cannot be loaded.
        """
        if not len(windows):
            return np.empty(0)
        import torch  # noqa: PLC0415  (slow to import)

        from trainables import _frozen  # noqa: PLC0415
        from trainables._reconstruction import fixed_masks, last_patch_error  # noqa: PLC0415
        from trainables._torch import torch_session  # noqa: PLC0415

        with torch_session(self.resources):
            backbone, how = _frozen.open_frozen(self.config, self.resources, windows.length, self.served_)
            masks = fixed_masks(self.config.masking, windows.length // backbone.patch)
            by_window = how.normalise == "window"
            error = _frozen.kept(
                torch.from_numpy(self.scaling_.sequences(windows)),
                replace(how, normalise="reference"),  # RevIN must not see hidden patches: done below
                f"reconstruction {'none' if masks[0] is None else self.config.masking} {by_window}",
                lambda x: last_patch_error(backbone, x, masks, by_window=by_window),
            )  # [N, C']
        return worst_channels(error.numpy(), self.config.top_channels)

    @property
    def facts(self) -> FitFacts:
        """Nothing was trained."""
        return FitFacts(
            trainable_parameters=0,
            cache_saved_seconds=self.served_.seconds,
            dtype=precision_of(self.config, self.resources),
            kept_channels=self.scaling_.kept_channels,
        )
