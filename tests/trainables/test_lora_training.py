"""Tests that LoRA learns what frozen features cannot tell, stops in time, and gets the gradients of momentfm."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from tests.fakes import planted_order, small_windows
from trainables import _lora, _lora_training, _moment, backbones
from trainables._linear_head import class_weights
from trainables._moment import LoraSettings, load, window_normalised
from trainables._moment_config import MomentHeadConfig
from trainables.memory_caps import Passes
from trainables.moment_linear_probe import MomentLinearProbe
from trainables.moment_lora import MomentLora, MomentLoraConfig
from trainables.protocol import TrialResources


def fitted(shots: int = 60, **settings: object) -> MomentLora:
    config = MomentLoraConfig.model_validate(settings)
    reference = planted_order.windows(40, seed=2).unlabelled()
    return MomentLora(config, TrialResources()).fit(planted_order.windows(shots, seed=1), reference)


def auc(detector: Any, count: int = 200, seed: int = 3) -> float:
    query = planted_order.windows(count, seed)
    return float(roc_auc_score(query.y, detector.score(query.unlabelled())))


def test_adapters_learn_an_order_of_events_that_frozen_features_tell_poorly() -> None:
    probe = MomentLinearProbe(MomentHeadConfig(init="random"), TrialResources())
    probe.fit(planted_order.windows(60, seed=1), planted_order.windows(40, seed=2).unlabelled())
    lora = fitted(held_out=0, epochs=20, init="random")
    assert auc(lora) > auc(probe) + 0.05


def test_training_lowers_the_loss_of_the_shots_and_of_held_out_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    stopping_at = _lora_training.stopping_at

    def watched(*arguments: Any) -> Any:
        stopping = stopping_at(*arguments)

        def loss() -> float:
            looks.append(stopping.loss())
            return looks[-1]

        return type(stopping)(loss, stopping.every, stopping.patience)

    monkeypatch.setattr(_lora, "stopping_at", watched)
    lora = fitted(epochs=20)
    assert min(looks) < 0.9 * looks[0]
    assert lora.facts.training_steps
    assert auc(lora) > 0.8


def test_adapters_that_only_harm_held_out_shots_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    worse = iter(range(100))
    monkeypatch.setattr(
        _lora, "stopping_at", lambda *arguments: _lora_training.EarlyStopping(lambda: float(next(worse)), 1, 2)
    )
    shots, reference = planted_order.windows(20, seed=1), planted_order.windows(40, seed=2).unlabelled()
    lora = MomentLora(MomentLoraConfig(held_out=0.3), TrialResources()).fit(shots, reference)
    probe = MomentLinearProbe(MomentHeadConfig(), TrialResources()).fit(shots, reference)
    assert 0 == lora.facts.training_steps
    np.testing.assert_allclose(lora.score(shots.unlabelled()), probe.score(shots.unlabelled()), rtol=1e-4, atol=1e-4)


def test_types_count_the_same_however_many_windows_they_have() -> None:
    np.testing.assert_allclose([4 / 6, 4 / 2], class_weights(np.array([0, 0, 0, 1])), rtol=1e-6)
    np.testing.assert_allclose([1, 1, 1], class_weights(np.array([0, 1, 2]), 3))


def gradients(**how: Any) -> dict[str, Tensor]:
    """Of every adapter tensor, for a loss of the last patch's embedding; B is not zero, so that A has one."""
    backbone = load(backbones.WEIGHTS_FOLDER, torch.device("cpu"))
    tensors = backbone.add_lora(LoraSettings(4, 8.0, 0.0, ("q", "k", "v", "o", "wi_0", "wi_1", "wo"), first_layer=0))
    generator = torch.Generator().manual_seed(0)
    for tensor in tensors.values():
        tensor.data.copy_(0.05 * torch.randn(tensor.shape, generator=generator))
    x = torch.randn(2, 3, 32, generator=generator)
    if how.get("padded"):
        whole, mask = torch.zeros(2, 3, 512), torch.zeros(2, 512)
        whole[:, :, -32:], mask[:, -32:] = x, 1
        module: Any = backbone.module
        last = module.embed(x_enc=whole, input_mask=mask, reduction="none").embeddings[:, :, -1].flatten(0, 1)
    else:
        states = backbone.tokens(window_normalised(x.flatten(0, 1))).requires_grad_()
        last = backbone.finish(backbone.run(states, 0, 4, last_only=True, **how))[:, 0]
    (last @ torch.linspace(-1, 1, last.shape[-1])).square().sum().backward()  # the length alone is fixed by the norm
    return {name: tensor.grad for name, tensor in tensors.items() if tensor.grad is not None}


def assert_same_gradients(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert 4 * 7 * 2 == len(found) == len(expected)
    for name, gradient in expected.items():
        assert gradient.any(), name
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5 * float(gradient.abs().max()), msg=name)


def test_gradients_equal_those_of_momentfm_and_peft_on_the_padded_window() -> None:
    assert_same_gradients(gradients(), gradients(padded=True))


@pytest.mark.parametrize("reentrant", [False, True])
def test_every_adapter_has_the_same_gradient_under_both_kinds_of_checkpointing(
    monkeypatch: pytest.MonkeyPatch, reentrant: bool
) -> None:
    def kind(function: Callable[..., Tensor], *arguments: Any, use_reentrant: bool) -> Any:
        assert not use_reentrant, "what the backbone asks for"
        return torch.utils.checkpoint.checkpoint(function, *arguments, use_reentrant=reentrant)

    monkeypatch.setattr(_moment, "checkpoint", kind)
    assert_same_gradients(gradients(save_memory=True), gradients())


def scores(detector: MomentLora) -> NDArray[np.float64]:
    return detector.score(small_windows.support(5).unlabelled())


def test_training_that_recomputes_activations_gives_the_same_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    config = MomentLoraConfig(epochs=2, held_out=0)

    def trained() -> NDArray[np.float64]:
        return scores(MomentLora(config, TrialResources()).fit(small_windows.support(), small_windows.reference()))

    expected = trained()
    monkeypatch.setattr(_lora_training, "lora_passes", lambda *arguments: Passes(4, checkpointing=True, gb=1.0))
    np.testing.assert_allclose(trained(), expected, rtol=1e-4, atol=1e-4)
