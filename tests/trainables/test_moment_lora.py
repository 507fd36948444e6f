"""Tests of MOMENT with LoRA: what trains, what is frozen, and that shortcuts change nothing."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from tests.fakes import small_windows
from trainables import _frozen, backbones, moment_memory
from trainables._moment import MomentBackbone, window_normalised
from trainables._moment_config import MomentHeadConfig
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError, MemoryCapError, UntrainedError
from trainables.moment_linear_probe import MomentLinearProbe
from trainables.moment_lora import MomentLora, MomentLoraConfig
from trainables.protocol import TrialResources

QUICK = {"epochs": 2, "rank": 4, "batch": 4, "held_out": 0}


def fitted(*, seed: int = 0, support: LabelledWindows | None = None, **settings: object) -> MomentLora:
    config = MomentLoraConfig.model_validate(QUICK | settings)
    shots = small_windows.support() if support is None else support
    return MomentLora(config, TrialResources(seed=seed)).fit(shots, small_windows.reference())


def adapters(detector: MomentLora) -> dict[str, Tensor]:
    named = detector.model_.backbone.adapted.named_parameters()
    return {name: tensor for name, tensor in named if "lora_" in name}


def scores(detector: MomentLora) -> NDArray[np.float64]:
    return detector.score(small_windows.support(5).unlabelled())


def test_every_adapter_moves_and_nothing_else_of_the_backbone_does() -> None:
    detector = fitted(targets="q,k,v,o")
    found = adapters(detector)
    assert 4 * 4 * 2 == len(found)  # layers, matrices, A and B
    idle = [name for name, tensor in found.items() if "lora_B" in name and not tensor.any()]
    assert [] == idle, "B starts at zero and must have moved"
    state = {name.replace(".base_layer", ""): t for name, t in detector.model_.backbone.module.state_dict().items()}
    untouched = _frozen.frozen_backbone(backbones.WEIGHTS_FOLDER, torch.device("cpu"), "pretrained", 0)
    for name, tensor in untouched.module.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("targets", ["q", "k", "v", "o", "q,k,v,o", "wi_0,wi_1,wo"])
def test_every_adapter_tensor_receives_a_gradient(monkeypatch: pytest.MonkeyPatch, targets: str) -> None:
    seen: dict[str, float] = {}
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, closure: None = None) -> None:
        for name, tensor in parameters.items():
            seen[name] = max(seen.get(name, 0.0), float(tensor.grad.abs().max()) if tensor.grad is not None else 0.0)
        step(self, closure)

    parameters: dict[str, Tensor] = {}
    add = MomentBackbone.add_lora

    def record(self: MomentBackbone, settings: Any) -> dict[str, Tensor]:
        parameters.update(add(self, settings))
        return parameters.copy()

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    monkeypatch.setattr(MomentBackbone, "add_lora", record)
    fitted(targets=targets)
    assert 4 * 2 * len(targets.split(",")) == len(seen)
    assert [] == [name for name, largest in seen.items() if largest == 0]


def test_an_adapter_that_was_detached_fails_the_fit_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    add = MomentBackbone.add_lora

    def one_detached(self: MomentBackbone, settings: Any) -> dict[str, Tensor]:
        tensors = add(self, settings)
        module: Any = self.module
        del module.encoder.block[2].layer[0].SelfAttention.v.lora_A  # as if PEFT had renamed it
        self.adopt(self.adapted)
        return tensors

    monkeypatch.setattr(MomentBackbone, "add_lora", one_detached)
    with pytest.raises(UntrainedError, match=r"block\.2\.layer\.0\.SelfAttention\.v\.lora_A\.default\.weight"):
        fitted()


def test_trainable_parameters_grow_with_the_rank_by_what_it_adds() -> None:
    counts = [fitted(rank=rank).facts.trainable_parameters for rank in (1, 2, 8, 96)]
    each = 4 * 2 * (96 + 96)  # layers x (q and v) x (row of A + column of B)
    assert counts[0] is not None
    assert [counts[0] + each * more for more in (0, 1, 7, 95)] == counts


def test_the_rank_stabilised_form_divides_alpha_by_the_root_of_the_rank() -> None:
    for rank, expected in ((1, 2.0), (16, 0.5)):
        detector = fitted(rank=rank, alpha_ratio=2.0, rank_stabilised=True, adapted_layers=1)
        module: Any = detector.model_.backbone.module
        assert expected == module.encoder.block[3].layer[0].SelfAttention.q.scaling["default"]
        assert expected == detector.facts.effective_scale


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_alpha_follows_the_rank_so_that_the_scale_of_the_update_stays(ratio: float) -> None:
    for rank in (1, 16):
        detector = fitted(rank=rank, alpha_ratio=ratio, adapted_layers=1)
        module: Any = detector.model_.backbone.module
        assert ratio == module.encoder.block[3].layer[0].SelfAttention.q.scaling["default"]
        assert ratio == detector.facts.effective_scale


@pytest.mark.parametrize(
    ("field", "value"), [("rank", 0), ("targets", "q,x"), ("targets", ""), ("targets", "q,q"), ("precision", "fp16")]
)
def test_settings_that_cannot_work_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        MomentLoraConfig.model_validate({field: value})


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ("q,value", "unknown matrix 'value', did you mean v?"),
        ("q_proj", "unknown matrix 'q_proj', did you mean q?"),
        ("wi0", "unknown matrix 'wi0', did you mean wi_0?"),
        ("q,lora", "unknown matrix 'lora'; known: q, k, v, o, wi_0, wi_1, wo"),
    ],
)
def test_an_unknown_target_is_refused_with_the_nearest_name(targets: str, words: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(words)):
        MomentLoraConfig(targets=targets)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"rank": 97}, "rank 97 is larger than the adapted matrices, 96"), ({"adapted_layers": 5}, "the backbone has 4")],
)
def test_settings_that_do_not_fit_the_backbone_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(DetectorError, match=words):
        fitted(**settings)


def test_queries_of_a_single_patch_are_refused_because_they_cannot_learn() -> None:
    short = small_windows.support(length=8)
    config = MomentLoraConfig(targets="q,v")
    with pytest.raises(DetectorError, match="q cannot train"):
        MomentLora(config, TrialResources()).fit(short, small_windows.reference(length=8))


def test_a_support_set_of_one_class_is_refused() -> None:
    support = small_windows.support()
    with pytest.raises(DetectorError, match="3 normal and 0 faulty"):
        fitted(support=support.take(support.y == 0))


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_the_same_seed_gives_the_same_bytes_in_a_reused_process_and_another_seed_does_not(dropout: float) -> None:
    _frozen._KEPT.clear()
    first = scores(fitted(seed=1, dropout=dropout)).tobytes()
    torch.rand(7)  # what another trial of the process leaves behind
    assert scores(fitted(seed=1, dropout=dropout)).tobytes() == first
    assert scores(fitted(seed=2, dropout=dropout)).tobytes() != first


@pytest.mark.parametrize("init", ["pretrained", "random"])
def test_training_leaves_the_shared_frozen_backbone_as_it_was(init: str) -> None:
    config = MomentHeadConfig.model_validate({"init": init})

    def probed() -> bytes:
        _frozen._KEPT.clear()
        probe = MomentLinearProbe(config, TrialResources())
        windows = small_windows.support()
        return probe.fit(windows, small_windows.reference()).score(windows.unlabelled()).tobytes()

    before = probed()
    fitted(init=init)
    assert probed() == before


@pytest.mark.parametrize("layers", [1, 2])
def test_the_frozen_prefix_equals_the_same_training_without_the_shortcut(
    monkeypatch: pytest.MonkeyPatch, layers: int
) -> None:
    shortcut = fitted(adapted_layers=layers)
    first = 4 - layers
    assert first == shortcut.model_.first_layer
    expected, parameters = scores(shortcut), adapters(shortcut)
    run = MomentBackbone.run

    def tokens_alone(backbone: MomentBackbone, windows: Tensor, how: _frozen.WindowPass, stop: int) -> Tensor:
        assert first == stop
        with torch.no_grad():
            return backbone.tokens(how.prepared(windows)).unflatten(0, windows.shape[:2])

    def from_the_start(self: MomentBackbone, states: Tensor, start: int, stop: int, **more: bool) -> Tensor:
        assert start in {0, first}
        return run(self, states, 0, stop, **more)

    monkeypatch.setattr(_frozen, "states", tokens_alone)
    monkeypatch.setattr(MomentBackbone, "run", from_the_start)
    whole = fitted(adapted_layers=layers)
    np.testing.assert_allclose(scores(whole), expected, rtol=1e-4, atol=1e-4)
    for name, tensor in adapters(whole).items():
        assert float((tensor - parameters[name]).norm()) < 0.01 * float(tensor.norm()), name


def test_the_last_layers_are_adapted_and_no_others() -> None:
    blocks = {name.split("block.")[1].split(".")[0] for name in adapters(fitted(adapted_layers=2))}
    assert {"2", "3"} == blocks


def test_adapted_embeddings_equal_those_of_momentfm_and_peft_on_the_padded_window() -> None:
    model = fitted(normalise="window").model_
    x = torch.from_numpy(small_windows.support().x)
    whole, mask = torch.zeros(len(x), 3, 512), torch.zeros(len(x), 512)
    whole[:, :, -32:], mask[:, -32:] = x, 1
    module: Any = model.backbone.module
    with torch.no_grad():
        expected = module.embed(x_enc=whole, input_mask=mask, reduction="none").embeddings[:, :, -1]
        states = model.backbone.run(model.backbone.tokens(window_normalised(x.flatten(0, 1))), 0, 4, last_only=True)
        found = model.backbone.finish(states)[:, 0].view(expected.shape)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_micro_batches_give_the_parameters_and_scores_of_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fitted(batch=6)
    assert 6 == whole.facts.micro_batch
    monkeypatch.setattr(moment_memory, "CPU_CHANNEL_WINDOWS", 3)
    single = fitted(batch=6)
    assert 1 == single.facts.micro_batch
    np.testing.assert_allclose(scores(single), scores(whole), rtol=1e-4, atol=1e-4)
    for name, tensor in adapters(whole).items():
        moved = float((adapters(single)[name] - tensor).norm())  # AdamW turns rounding of tiny gradients into steps
        assert moved < 0.01 * float(tensor.norm()), name


def test_running_out_of_memory_halves_the_micro_batch_and_gives_the_same_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = fitted(batch=6)
    run = MomentBackbone.run

    def small_memory(self: MomentBackbone, states: Tensor, *arguments: Any, **more: Any) -> Tensor:
        if torch.is_grad_enabled() and len(states) > 3 * 3:  # three windows of three channels
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return run(self, states, *arguments, **more)

    monkeypatch.setattr(MomentBackbone, "run", small_memory)
    halved = fitted(batch=6)
    assert (6, 0, False) == (whole.facts.micro_batch, whole.facts.memory_halvings, whole.facts.checkpointing)
    assert (3, 1, False) == (halved.facts.micro_batch, halved.facts.memory_halvings, halved.facts.checkpointing)
    np.testing.assert_allclose(scores(halved), scores(whole), rtol=1e-4, atol=1e-4)
    for name, tensor in adapters(whole).items():
        torch.testing.assert_close(adapters(halved)[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_where_one_window_does_not_fit_activations_are_computed_again_to_the_same_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = fitted(batch=6)
    run = MomentBackbone.run

    def no_memory(self: MomentBackbone, states: Tensor, *arguments: Any, **more: Any) -> Tensor:
        if torch.is_grad_enabled() and not more.get("save_memory"):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, states, *arguments, **more)

    monkeypatch.setattr(MomentBackbone, "run", no_memory)
    again = fitted(batch=6)
    assert (1, True) == (again.facts.micro_batch, again.facts.checkpointing)
    for name, tensor in adapters(whole).items():
        torch.testing.assert_close(adapters(again)[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_where_that_does_not_fit_either_channels_pass_one_by_one_to_the_same_parameters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = fitted(batch=6)
    run = MomentBackbone.run

    def memory_for_one(self: MomentBackbone, states: Tensor, *arguments: Any, **more: Any) -> Tensor:
        if torch.is_grad_enabled() and len(states) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return run(self, states, *arguments, **more)

    monkeypatch.setattr(MomentBackbone, "run", memory_for_one)
    sliced = fitted(batch=6)
    assert (1, True, 1) == (sliced.facts.micro_batch, sliced.facts.checkpointing, sliced.facts.channels_at_once)
    assert whole.facts.channels_at_once is None
    for name, tensor in adapters(whole).items():
        torch.testing.assert_close(adapters(sliced)[name], tensor, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("objective", ["classify", "reconstruct"])
def test_a_wide_window_scores_the_same_alone_and_to_rounding_as_in_one_pass(
    monkeypatch: pytest.MonkeyPatch, objective: str
) -> None:
    channels = 2 * moment_memory.CPU_SCORED + 1
    support, reference = (
        small_windows.support(2, channels=channels),
        small_windows.reference(4, channels=channels),
    )
    config = MomentLoraConfig.model_validate({"objective": objective, "epochs": 1, "max_window_passes": 4})
    detector = MomentLora(config, TrialResources()).fit(support, reference)
    found = detector.score(reference)
    alone = [detector.score(reference.take(np.array([number])))[0] for number in range(len(reference))]
    np.testing.assert_array_equal(found, alone)
    detector.model_.how = replace(detector.model_.how, at_once=channels)
    np.testing.assert_allclose(detector.score(reference), found, rtol=1e-4, atol=1e-5)


def test_a_trial_that_cannot_fit_at_one_window_fails_with_the_gb_it_would_need() -> None:
    resources = TrialResources(host_memory_gb=1e-3)
    with pytest.raises(MemoryCapError, match=r"needs \d\.\d GB with gradient checkpointing and one channel at a time"):
        MomentLora(MomentLoraConfig(), resources).fit(small_windows.support(), small_windows.reference())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_adapters_are_merged_for_scoring_only_where_nothing_is_rounded_away(precision: str) -> None:
    detector = fitted(precision=precision, targets="v", adapted_layers=1)
    assert (precision == "fp32") == (detector.model_.backbone._blocks[3].v.adapter is None)
    assert detector.model_.backbone._blocks[2].v.adapter is None


def test_a_window_scores_the_same_alone_and_among_others() -> None:
    detector, windows = fitted(), small_windows.support().unlabelled()
    alone = [detector.score(windows.take(np.array([number])))[0] for number in range(len(windows))]
    np.testing.assert_array_equal(detector.score(windows), alone)


@pytest.mark.parametrize("types", [("cpu",), ("cpu", "delay"), ("cpu", "delay", "loss")])
def test_faults_that_were_shown_score_high_and_are_named(types: Sequence[str]) -> None:
    support = small_windows.support(types=tuple(types))
    detector = fitted(support=support, epochs=10)
    found = detector.score(support.unlabelled())
    assert found[support.y == 1].min() > found[support.y == 0].max()
    assert ("normal", *types) == detector.fault_types
    probabilities = detector.classify(support.unlabelled())
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert support.fault_type.tolist() == [detector.fault_types[column] for column in probabilities.argmax(axis=1)]


def test_no_window_gives_no_score() -> None:
    nothing: Windows = small_windows.support().take(np.zeros(0, dtype=np.int64)).unlabelled()
    assert 0 == len(fitted().score(nothing))
