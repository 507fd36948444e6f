"""Gradient-boosted trees on level, spread and trend of every channel."""

from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from trainables._features import window_features
from trainables._support import require_both_classes
from trainables.data.windows import LabelledWindows, Windows
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources

BINS = 255
"""Most distinct values of a feature: scikit-learn's own limit."""


class GradientBoostingConfig(DetectorConfig):
    """Settings of `GradientBoostingDetector`; the defaults are for 20 to 500 shots.

    Attributes
    ----------
    learning_rate
        Share of each tree that is added.
    max_iter
        Trees.
    max_leaf_nodes
        Leaves of a tree.
    min_samples_leaf
        Fewest windows in a leaf. scikit-learn's 20 would never split at 20 shots.
    max_features
        Share of the features that each split may choose from.
    l2_regularization
        Penalty on the values of leaves.
    """

    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.1
    max_iter: Annotated[int, Field(ge=1, le=2000)] = 100
    max_leaf_nodes: Annotated[int, Field(ge=2, le=255)] = 4
    min_samples_leaf: Annotated[int, Field(ge=1, le=100)] = 3
    max_features: Annotated[float, Field(gt=0, le=1)] = 0.1
    l2_regularization: Annotated[float, Field(ge=0, le=1e3)] = 1.0


class GradientBoostingDetector:
    """Boosted trees for "fault or not" with both classes weighted equally; the score is the log-odds.

    It does not name fault types: one tree a type and step takes 4 s at 14 types and 100 shots, and names
    fewer faults right than logistic regression does in 0.1 s.
    """

    labels: ClassVar[Labels] = "all"
    Config: ClassVar[type[DetectorConfig]] = GradientBoostingConfig

    def __init__(self, config: GradientBoostingConfig, resources: TrialResources) -> None:
        self.config = config
        self.resources = resources

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:  # noqa: ARG002
        """Boost trees on the support set.

        Raises
        ------
        DetectorError
            The support set has one class only.
        """
        require_both_classes(support)
        model = HistGradientBoostingClassifier(
            learning_rate=self.config.learning_rate,
            max_iter=self.config.max_iter,
            max_leaf_nodes=self.config.max_leaf_nodes,
            min_samples_leaf=self.config.min_samples_leaf,
            max_features=self.config.max_features,
            l2_regularization=self.config.l2_regularization,
            class_weight="balanced",
            early_stopping=False,
            random_state=self.resources.seed % 2**32,
        )
        features = window_features(support)
        self.edges_ = np.quantile(features, np.linspace(0, 1, BINS + 1)[1:-1], axis=0)  # [BINS - 1, F]
        with threadpool_limits(self.resources.threads):  # the estimator has no n_jobs
            self.alarm_ = model.fit(_binned(features, self.edges_), support.y)
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return the log-odds of a fault [N]; 0 is even."""
        if not len(windows):
            return np.empty(0)
        features = _binned(window_features(windows), self.edges_)
        with threadpool_limits(self.resources.threads):
            return np.asarray(self.alarm_.decision_function(features), dtype=np.float64)

    @property
    def facts(self) -> FitFacts:
        """Trees have splits, not parameters."""
        return FitFacts()


def _binned(features: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the number of each value's bin [N, F].

    scikit-learn 1.9 would bin by itself, but with class weights and more than 255 windows it takes weighted
    percentiles one by one: 25 to 45 s a fit at 400 windows and 352 features, against 0.3 s this way.
    """
    columns = [np.searchsorted(edges[:, number], features[:, number]) for number in range(features.shape[1])]
    return np.stack(columns, axis=1).astype(np.float64)  # [N, F]
