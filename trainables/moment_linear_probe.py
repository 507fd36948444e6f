"""MOMENT with frozen weights and a linear head: the control that shows what LoRA adds."""

from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from trainables._moment_config import MomentHeadConfig, precision_of
from trainables._served import Served
from trainables._support import require_both_classes
from trainables.data.windows import LabelledWindows, Windows
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources

if TYPE_CHECKING:
    from trainables._frozen import WindowPass
    from trainables._moment import MomentBackbone


class MomentLinearProbe:
    """Logistic regression on frozen embeddings of every channel, and on level and spread beside them.

    The score is the log-odds of "fault or not"; `classify` multiplies that probability with the one of each
    fault type given a fault. Embeddings are computed once per window and process.
    """

    labels: ClassVar[Labels] = "all"
    Config: ClassVar[type[DetectorConfig]] = MomentHeadConfig

    def __init__(self, config: MomentHeadConfig, resources: TrialResources) -> None:
        self.config = config
        self.resources = resources
        self.served_ = Served()

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:
        """Fit the head on the support set.

        Raises
        ------
        DetectorError
            The support set has one class only, or the window does not fit the backbone.
        WeightsError, MissingPackageError
            The backbone cannot be loaded.
        """
        from trainables._linear_head import fit_head  # noqa: PLC0415
        from trainables._moment_features import fit_features  # noqa: PLC0415
        from trainables._torch import torch_session  # noqa: PLC0415  (torch is slow to import)

        require_both_classes(support)
        with torch_session(self.resources):
            backbone, how = self._backbone(support.length)
            self.features_ = fit_features(
                backbone, how, reference, context=self.config.context, keep=self.config.channels
            )
        self.head_ = fit_head(self._features(support), support, self.config.C)
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return the log-odds of a fault [N]."""
        return self.head_.log_odds(self._features(windows)) if len(windows) else np.empty(0)

    @property
    def fault_types(self) -> tuple[str, ...]:
        """`normal`, then the fault types seen, sorted."""
        from trainables._linear_head import class_names  # noqa: PLC0415

        return class_names(self.head_)

    def classify(self, windows: Windows) -> NDArray[np.float64]:
        """Return probabilities [N, types]."""
        return self.head_.probabilities(self._features(windows))

    @property
    def facts(self) -> FitFacts:
        """Weights and bias of the model that gives the score."""
        return FitFacts(
            trainable_parameters=self.head_.alarm_weight.size + 1,
            cache_saved_seconds=self.served_.seconds,
            dtype=precision_of(self.config, self.resources),
            kept_channels=self.features_.scaling.kept_channels,
        )

    def _features(self, windows: Windows) -> NDArray[np.float32]:
        from trainables._moment_features import frozen_features  # noqa: PLC0415
        from trainables._torch import torch_session  # noqa: PLC0415

        with torch_session(self.resources):
            backbone, how = self._backbone(windows.length)
            found: NDArray[np.float32] = frozen_features(backbone, how, self.features_, windows).numpy()
        return found

    def _backbone(self, length: int) -> "tuple[MomentBackbone, WindowPass]":
        from trainables._frozen import open_frozen  # noqa: PLC0415

        return open_frozen(self.config, self.resources, length, self.served_)
