"""Tests of what MOMENT detectors see, keep and refuse: channels, level beside shape, values that are no numbers."""

import gc
import tracemalloc
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from tests.fakes import small_windows
from trainables import _frozen, backbones
from trainables._moment import MomentBackbone
from trainables._moment_config import MomentHeadConfig
from trainables._moment_input import fit_scaling
from trainables._torch import resolved_precision
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError
from trainables.moment_linear_probe import MomentLinearProbe
from trainables.moment_lora import MomentLora, MomentLoraConfig
from trainables.moment_zero_shot import MomentZeroShot, MomentZeroShotConfig
from trainables.protocol import TrialResources

TRAINED = (MomentLinearProbe, MomentLora)


def shifted(count: int, seed: int) -> LabelledWindows:
    """Noise in two channels; in a fault the whole window of channel 0 lies 4 higher: no shape, only level."""
    rng = np.random.default_rng(seed)
    y = (np.arange(count) % 2).astype(np.int8)
    x = rng.normal(size=(count, 32, 2)).astype(np.float32)
    x[y == 1, :, 0] += 4
    return LabelledWindows(
        x.reshape(-1, 2), np.arange(1, count + 1) * 32 - 1, 32, ("cpu", "memory"), 1.0, y,
        np.where(y == 1, "leak", "normal").astype(np.str_), np.where(y == 1, np.arange(count), -1).astype(np.int32),
    )  # fmt: skip


@pytest.mark.parametrize("detector", TRAINED)
def test_a_sustained_shift_is_found_with_level_and_spread_beside_and_missed_without(detector: Any) -> None:
    found = {}
    query = shifted(60, seed=3)
    for context in ("level_scale", "none"):
        config = detector.Config(normalise="window", context=context)
        fitted = detector(config, TrialResources()).fit(shifted(24, seed=1), shifted(30, seed=2).unlabelled())
        found[context] = float(roc_auc_score(query.y, fitted.score(query.unlabelled())))
    assert found["level_scale"] > 0.95
    assert found["none"] < 0.7


def bad(value: float) -> Windows:
    windows = small_windows.reference(4)
    table = windows.table.copy()
    table[windows.ends[1] - 3, 1] = value
    return replace(windows, table=table)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("detector", "settings"),
    [(MomentZeroShot, {}), (MomentZeroShot, {"normalise": "window"}), (MomentLinearProbe, {}), (MomentLora, {})],
)
def test_a_value_that_is_no_number_is_refused_by_channel(detector: Any, settings: dict[str, str], value: float) -> None:
    fitted = detector(detector.Config(**settings), TrialResources())
    fitted.fit(small_windows.support(), small_windows.reference())
    with pytest.raises(DetectorError, match=r"NaN or infinite in 1 channels \(service-1 load\); fill them first"):
        fitted.score(bad(value))


def test_kept_channels_are_named_with_the_measure_they_were_chosen_by() -> None:
    reference = small_windows.reference(20, channels=4)
    table = reference.table.copy()
    table[:, 1] += np.linspace(0, 6, len(table))  # drifts all the time
    table[:, 2] += np.where(np.arange(len(table)) < 256, 0, 9)  # strays in a fifth of the windows
    detector = MomentZeroShot(MomentZeroShotConfig(channels=2), TrialResources())
    detector.fit(small_windows.support(channels=4), replace(reference, table=table))
    kept = detector.facts.kept_channels
    assert kept is not None
    first, second = kept.split("; ")
    assert "service-2 load" == first.partition("=")[0]
    assert float(first.partition("=")[2]) > float(second.partition("=")[2]) > 0


@pytest.mark.parametrize("detector", [MomentZeroShot, *TRAINED])
def test_nothing_is_said_of_kept_channels_where_all_are(detector: Any) -> None:
    fitted = detector(detector.Config(channels="all"), TrialResources())
    fitted.fit(small_windows.support(), small_windows.reference())
    assert fitted.facts.kept_channels is None


@pytest.mark.parametrize("detector", TRAINED)
def test_one_shot_is_one_class_and_refused(detector: Any) -> None:
    support = small_windows.support()
    with pytest.raises(DetectorError, match="1 normal and 0 faulty"):
        detector(detector.Config(), TrialResources()).fit(support.take(np.array([0])), small_windows.reference())


@pytest.mark.parametrize(("has", "expected"), [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": False}, "fp32")])
def test_auto_takes_bf16_where_the_processor_has_it(
    has: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert expected == resolved_precision("auto", torch.device("cpu"))
    assert "fp32" == resolved_precision("fp32", torch.device("cpu"))


def test_bf16_scores_stay_close_to_fp32_ones() -> None:
    windows, found = small_windows.reference(6), []
    for precision in ("fp32", "bf16"):
        detector = MomentZeroShot(MomentZeroShotConfig.model_validate({"precision": precision}), TrialResources())
        found.append(detector.fit(small_windows.support(), windows).score(windows))
    np.testing.assert_allclose(found[1], found[0], rtol=0.05)


def test_settings_of_lora_say_their_scale() -> None:
    assert 2.0 == MomentLoraConfig(rank=4).effective_scale
    assert 1.0 == MomentLoraConfig(rank=4, rank_stabilised=True).effective_scale
    assert MomentHeadConfig().context == "level_scale"


def test_one_set_of_random_weights_is_kept_at_a_time() -> None:
    def of(seed: int) -> MomentBackbone:
        return _frozen.frozen_backbone(backbones.WEIGHTS_FOLDER, torch.device("cpu"), "random", seed)

    first = weakref.ref(of(1))
    assert of(1) is first()
    of(2)
    gc.collect()
    assert first() is None


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_detector_says_what_it_computed_in(precision: str) -> None:
    detector = MomentZeroShot(MomentZeroShotConfig.model_validate({"precision": precision}), TrialResources())
    windows = small_windows.reference(6)
    assert precision == detector.fit(small_windows.support(), windows).facts.dtype


def test_scaling_many_windows_takes_little_beside_what_it_returns() -> None:
    windows = Windows(
        np.random.default_rng(0).standard_normal((2_100, 100), dtype=np.float32), np.arange(63, 2_063), 64,
        tuple(f"m{n}" for n in range(100)), 1.0,
    )  # fmt: skip
    scaling = fit_scaling(windows.take(np.arange(20)), "reference", "all")
    tracemalloc.start()
    try:
        taken = scaling.sequences(windows).nbytes
        assert tracemalloc.get_traced_memory()[1] < 2.2 * taken
    finally:
        tracemalloc.stop()
