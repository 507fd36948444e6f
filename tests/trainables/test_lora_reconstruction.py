"""Tests of LoRA with the objective `reconstruct`: it learns from normal shots alone what normal looks like."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from tests.fakes import small_windows
from trainables.data.series import NORMAL
from trainables.data.windows import LabelledWindows
from trainables.errors import DetectorError
from trainables.moment_lora import MomentLora, MomentLoraConfig
from trainables.moment_zero_shot import MomentZeroShot, MomentZeroShotConfig
from trainables.protocol import TrialResources

LENGTH = 32


def waves(count: int, seed: int) -> LabelledWindows:
    """One wave of period 16 in two channels; in a fault it changes sign before the last patch: a break of shape."""
    rng = np.random.default_rng(seed)
    y = (np.arange(count) % 2).astype(np.int8)
    phase = rng.uniform(0, 2 * np.pi, size=(count, 1, 2))
    x = 2 * np.sin(2 * np.pi * np.arange(LENGTH)[None, :, None] / 16 + phase) + 0.1 * rng.normal(
        size=(count, LENGTH, 2)
    )
    x[y == 1, -8:] *= -1
    return LabelledWindows(
        table=x.reshape(-1, 2).astype(np.float32),
        ends=np.arange(1, count + 1) * LENGTH - 1,
        length=LENGTH,
        columns=("requests", "latency"),
        step_s=1.0,
        y=y,
        fault_type=np.where(y == 1, "freeze", NORMAL).astype(np.str_),
        event=np.where(y == 1, np.arange(count), -1).astype(np.int32),
    )


def fitted(support: LabelledWindows, **settings: object) -> MomentLora:
    config = MomentLoraConfig.model_validate({"objective": "reconstruct", "top_channels": 2} | settings)
    return MomentLora(config, TrialResources()).fit(support, waves(40, seed=2).unlabelled())


def test_normal_shots_teach_it_to_find_a_break_that_zero_shot_misses() -> None:
    query, nothing = waves(80, seed=3), waves(2, seed=1).take(np.zeros(0, dtype=np.int64))
    zero_shot = MomentZeroShot(MomentZeroShotConfig(masking="fixed", top_channels=2, init="random"), TrialResources())
    zero_shot.fit(nothing, waves(40, seed=2).unlabelled())
    lora = fitted(
        waves(80, seed=1), epochs=40, learning_rate=5e-3, targets="q,k,v,o,wi_0,wi_1,wo", rank=16, init="random"
    )
    found = [float(roc_auc_score(query.y, detector.score(query.unlabelled()))) for detector in (zero_shot, lora)]
    assert found[1] > found[0] + 0.1
    assert lora.facts.training_steps


def changed_faults(support: LabelledWindows) -> LabelledWindows:
    table = support.table.copy()
    for end in support.ends[support.y == 1]:
        table[end - LENGTH + 1 : end + 1] = 5.0
    return replace(support, table=table)


@pytest.mark.parametrize(("layers", "normalise"), [("all", "reference"), (1, "reference"), (2, "window")])
def test_faulty_shots_change_nothing(layers: int | str, normalise: str) -> None:
    def scores(support: LabelledWindows) -> NDArray[np.float64]:
        detector = fitted(support, epochs=1, adapted_layers=layers, normalise=normalise)
        return detector.score(waves(6, seed=3).unlabelled())

    np.testing.assert_array_equal(scores(changed_faults(waves(12, seed=1))), scores(waves(12, seed=1)))


def test_a_window_scores_the_same_alone_and_among_others() -> None:
    detector, windows = fitted(waves(8, seed=1), epochs=1), waves(6, seed=3).unlabelled()
    alone = [detector.score(windows.take(np.array([number])))[0] for number in range(len(windows))]
    np.testing.assert_array_equal(detector.score(windows), alone)


def test_without_a_normal_shot_there_is_nothing_to_learn() -> None:
    support = waves(8, seed=1)
    with pytest.raises(DetectorError, match="this support set has none"):
        fitted(support.take(support.y == 1))


def test_it_names_no_fault() -> None:
    detector = fitted(small_windows.support(channels=2), epochs=1)
    assert () == detector.fault_types
    with pytest.raises(DetectorError, match="names no fault"):
        detector.classify(small_windows.support(channels=2).unlabelled())
