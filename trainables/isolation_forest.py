"""Isolation forest on level, spread and trend of every channel."""

from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.ensemble import IsolationForest

from trainables._features import window_features
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources


class IsolationForestConfig(DetectorConfig):
    """Settings of `IsolationForestDetector`.

    Attributes
    ----------
    n_estimators
        Trees.
    max_samples
        Windows that each tree sees; all of them where there are fewer. 256 is the paper's choice.
    max_features
        Share of the features that each tree sees.
    """

    n_estimators: Annotated[int, Field(ge=1, le=2000)] = 200
    max_samples: Annotated[int, Field(ge=1, le=100_000)] = 256
    max_features: Annotated[float, Field(gt=0, le=1)] = 1.0


class IsolationForestDetector:
    """Score windows by how few random cuts set them apart from the windows it was fitted on.

    At 0 shots it is fitted on the unlabelled reference, faults included; with shots only on the normal ones
    among them. From one window nothing can be learned: all scores are then equal.

    References
    ----------
    F. T. Liu, K. M. Ting and Z.-H. Zhou, "Isolation Forest", ICDM 2008, equation 2.
    """

    labels: ClassVar[Labels] = "normal"
    Config: ClassVar[type[DetectorConfig]] = IsolationForestConfig

    def __init__(self, config: IsolationForestConfig, resources: TrialResources) -> None:
        self.config = config
        self.resources = resources

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:
        """Grow the trees on the normal support windows, or on the reference where there are none.

        Raises
        ------
        DetectorError
            Neither has a window.
        """
        windows: Windows = support if len(support) else reference
        if not len(windows):
            raise DetectorError("isolation_forest: neither support nor reference has a window")
        self.forest_ = IsolationForest(
            n_estimators=self.config.n_estimators,
            max_samples=min(self.config.max_samples, len(windows)),
            max_features=self.config.max_features,
            random_state=self.resources.seed % 2**32,
            n_jobs=self.resources.threads,
        ).fit(window_features(windows))
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return the anomaly score of the paper [N], 0..1."""
        if not len(windows):
            return np.empty(0)
        return np.asarray(-self.forest_.score_samples(window_features(windows)), dtype=np.float64)

    @property
    def facts(self) -> FitFacts:
        """A forest has cuts, not parameters."""
        return FitFacts()
