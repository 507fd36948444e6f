"""The linear head of the MOMENT classifiers: fault or not, and which type of fault."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from trainables.data.series import NORMAL
from trainables.data.windows import LabelledWindows

MAX_ITERATIONS = 1000

QR_EXAMPLES = 2_000
"""Up to here the examples' span is cheaper to work in than the features; a basis of more would fill the memory."""


@dataclass(frozen=True, slots=True, eq=False)
class LinearHead:
    """Weights of two linear models on the same features.

    Attributes
    ----------
    alarm_weight : float32 [F], alarm_bias
        Log-odds of a fault.
    types
        Fault types seen, sorted.
    type_weight : float32 [F, types], type_bias : float32 [types]
        Scores of the types, given that there is a fault.
    """

    alarm_weight: NDArray[np.float32]
    alarm_bias: float
    types: tuple[str, ...]
    type_weight: NDArray[np.float32]
    type_bias: NDArray[np.float32]

    def log_odds(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return log-odds of a fault [N]; each row is summed by itself, so that neighbours do not matter."""
        products = features.astype(np.float64) * self.alarm_weight
        return np.asarray(products.sum(axis=1) + self.alarm_bias)

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probability of normal and of each fault type [N, 1 + types]."""
        scores = features.astype(np.float64) @ self.type_weight + self.type_bias
        return type_probabilities(self.log_odds(features), scores)


def fit_head(features: NDArray[np.float32], support: LabelledWindows, strength: float) -> LinearHead:
    """Fit both models with the quadratic penalty of logistic regression; `strength` is scikit-learn's C."""
    weight, bias = _fit(features, support.y, strength)
    faulty = support.y == 1
    types = np.unique(support.fault_type[faulty])
    type_weight = np.zeros((features.shape[1], len(types)), dtype=np.float32)
    type_bias = np.zeros(len(types), dtype=np.float32)
    if len(types) > 1:
        found, offsets = _fit(features[faulty], support.fault_type[faulty], strength)
        if len(types) == 2:  # scikit-learn gives one model for two classes
            found, offsets = np.column_stack([-found / 2, found / 2]), np.array([-offsets[0] / 2, offsets[0] / 2])
        type_weight, type_bias = found.astype(np.float32), offsets.astype(np.float32)
    return LinearHead(weight[:, 0].astype(np.float32), float(bias[0]), tuple(map(str, types)), type_weight, type_bias)


def type_probabilities(log_odds: NDArray[np.float64], type_scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Combine P(fault) and P(type | fault): log-odds [N] and scores [N, types] -> [N, 1 + types], normal first."""
    fault = 1 / (1 + np.exp(-np.clip(log_odds, -500, 500)))  # [N]
    exponentials = np.exp(type_scores - type_scores.max(axis=1, keepdims=True))
    conditional = exponentials / exponentials.sum(axis=1, keepdims=True)  # [N, types]
    return np.column_stack([1 - fault, fault[:, None] * conditional])


def class_names(head: LinearHead) -> tuple[str, ...]:
    """Return the names of the columns of `probabilities`."""
    return (NORMAL, *head.types)


def class_weights(labels: NDArray[np.integer], classes: int = 2) -> NDArray[np.float32]:
    """Return the weight of each class [classes] that makes all count the same, with mean 1 over labels [K]."""
    counts = np.bincount(labels, minlength=classes)
    return np.asarray(len(labels) / (classes * np.maximum(counts, 1)), dtype=np.float32)


def _fit(
    features: NDArray[np.float32], labels: NDArray[np.int8] | NDArray[np.str_], strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weights [F, models] and offsets [models] of a logistic regression with balanced classes.

    K examples span at most K dimensions, and a quadratic penalty keeps the weights in their span: fitting in
    those coordinates gives the same weights at a fraction of the cost when there are thousands of features. Of many
    examples the features themselves are used, in fp32 and without a copy.
    """
    model = LogisticRegression(C=strength, class_weight="balanced", max_iter=MAX_ITERATIONS)
    if len(features) > QR_EXAMPLES:
        model.fit(features, labels)
        return np.asarray(model.coef_.T, dtype=np.float64), np.asarray(model.intercept_, dtype=np.float64)
    rows = features.astype(np.float64)
    basis, coordinates = np.linalg.qr(rows.T)  # [F, min(F, K)], [min(F, K), K]
    model.fit(coordinates.T, labels)
    return basis @ model.coef_.T, np.asarray(model.intercept_, dtype=np.float64)
