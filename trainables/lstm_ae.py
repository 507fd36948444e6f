"""LSTM autoencoder over all channels: the neural baseline that sees normal windows only."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainables._moment_input import fit_scaling
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources
from trainables.saving import read_state, write_state

if TYPE_CHECKING:
    from trainables._lstm import LstmModel


class LstmAutoencoderConfig(DetectorConfig):
    """Settings of `LstmAutoencoder`.

    Attributes
    ----------
    hidden
        Units of encoder and decoder.
    learning_rate
        Peak of AdamW's rate.
    epochs
        Times each window is seen.
    max_window_passes
        Cap on epochs x windows.
    top_channels
        Channels with the largest error whose mean is the score.
    """

    hidden: Annotated[int, Field(ge=1, le=4096)] = 32
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-2
    epochs: Annotated[int, Field(ge=1)] = 50
    max_window_passes: Annotated[int, Field(ge=1)] = 8192
    top_channels: Annotated[int, Field(ge=1, le=10_000)] = 3


class LstmAutoencoder:
    """Squeeze a window into the last state of an LSTM, unroll it backwards, and score what was lost.

    At 0 shots it learns from the unlabelled reference, otherwise from the normal windows among the shots.
    The score is the root mean squared error of the last 8 steps, in units of each channel's error on the
    windows it learned from, averaged over the worst channels.

    References
    ----------
    P. Malhotra et al., "LSTM-based encoder-decoder for multi-sensor anomaly detection", 2016.
    """

    labels: ClassVar[Labels] = "normal"
    Config: ClassVar[type[DetectorConfig]] = LstmAutoencoderConfig

    def __init__(self, config: LstmAutoencoderConfig, resources: TrialResources) -> None:
        self.config = config
        self.resources = resources

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:
        """Learn to reproduce normal windows.

        Raises
        ------
        DetectorError
            Neither support nor reference has a window.
        UntrainedError, NonFiniteError
            A tensor received no gradient, or the loss left the finite numbers.
        """
        from trainables._lstm import fit_lstm  # noqa: PLC0415  (torch is slow to import)

        learned_from = support.unlabelled() if len(support) else reference
        if not len(learned_from):
            raise DetectorError("lstm_ae has no window to learn from")
        self.scaling_ = fit_scaling(reference if len(reference) else learned_from, "reference", "all")
        self.model_: LstmModel = fit_lstm(self.config, self.resources, self.scaling_.sequences(learned_from))
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return relative errors [N], 0 or more."""
        if not len(windows):
            return np.empty(0)
        errors = self._errors(windows)
        top = min(self.config.top_channels, errors.shape[1])
        return np.asarray(np.sort(errors, axis=1)[:, -top:].mean(axis=1), dtype=np.float64)

    def channel_errors(self, windows: Windows) -> NDArray[np.float64]:
        """Return the relative error of every channel [N, C]."""
        return self._errors(windows).astype(np.float64) if len(windows) else np.empty((0, windows.channels))

    def _errors(self, windows: Windows) -> NDArray[np.float32]:
        return self.model_.errors(self.scaling_.sequences(windows))  # [N, C]

    @property
    def facts(self) -> FitFacts:
        """All weights of encoder and decoder."""
        return FitFacts(trainable_parameters=self.model_.trainable_parameters)

    def save(self, folder: Path) -> None:
        """Write weights, and the units of inputs and errors."""
        weights = self.model_.weights()
        write_state(folder, {"scaling": self.scaling_, "unit": self.model_.unit, "weights": weights}, home=__name__)

    @classmethod
    def load(cls, folder: Path, config: LstmAutoencoderConfig, resources: TrialResources) -> Self:
        """Read what `save` wrote."""
        from trainables._lstm import restored  # noqa: PLC0415

        detector, state = cls(config, resources), read_state(folder, home=__name__)
        detector.scaling_ = state["scaling"]
        detector.model_ = restored(config, resources, state["weights"], state["unit"])
        return detector
