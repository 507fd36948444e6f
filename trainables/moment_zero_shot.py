"""MOMENT without any label: how badly it reconstructs what just happened."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainables._moment_config import MomentConfig
from trainables._moment_input import fit_scaling
from trainables.data.windows import LabelledWindows, Windows
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources

if TYPE_CHECKING:
    from torch import Tensor

    from trainables._moment import MomentBackbone


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

    masking: Literal["none", "last_patch", "fixed"] = "none"
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
        from trainables._torch import torch_session  # noqa: PLC0415

        with torch_session(self.resources):
            backbone, how = _frozen.open_frozen(self.config, self.resources, windows.length)
            masks = _masks(self.config.masking, windows.length // backbone.patch)
            by_window = how.normalise == "window"
            error = _frozen.kept(
                torch.from_numpy(self.scaling_.sequences(windows)),
                replace(how, normalise="reference"),  # RevIN must not see hidden patches: done below
                f"reconstruction {self.config.masking} {by_window}",
                lambda x: _last_patch_error(backbone, x, masks, by_window=by_window),
            )  # [N, C']
        top = min(self.config.top_channels, error.shape[1])
        return np.asarray(np.sort(error.numpy().astype(np.float64), axis=1)[:, -top:].mean(axis=1))

    @property
    def facts(self) -> FitFacts:
        """Nothing was trained."""
        return FitFacts(trainable_parameters=0)


def _masks(masking: str, patches: int) -> "list[Tensor | None]":
    """Return which patches are hidden, bool [P] each; None hides nothing. One patch alone cannot be hidden."""
    import torch  # noqa: PLC0415

    if masking == "none" or patches == 1:
        return [None]
    last = torch.arange(patches) == patches - 1
    if masking == "last_patch":
        return [last]
    quarter = torch.arange(patches) * 4 // (patches - 1)
    return [last | (quarter == number) for number in range(4) if patches > 2 or number == 3]


def _last_patch_error(
    backbone: "MomentBackbone", x: "Tensor", masks: "list[Tensor | None]", *, by_window: bool
) -> "Tensor":
    """Return the root mean squared error of the last patch of sequences [S, L], averaged over masks [S]."""
    import torch  # noqa: PLC0415

    from trainables._moment import window_scale  # noqa: PLC0415

    errors = []
    for mask in masks:
        hidden = None if mask is None else mask.to(x.device)
        steps = slice(None) if hidden is None else ~hidden.repeat_interleave(backbone.patch)
        mean, deviation = window_scale(x[:, steps]) if by_window else (0.0, 1.0)
        last = backbone.run(backbone.tokens((x - mean) / deviation, hidden), 0, backbone.layers, last_only=True)
        imputed = backbone.reconstruct(backbone.finish(last)).float() * deviation + mean  # [S, patch]
        errors.append((imputed - x[:, -backbone.patch :]).square().mean(-1).sqrt())
    return torch.stack(errors).mean(0)
