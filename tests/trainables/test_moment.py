"""Tests of MOMENT: the same numbers as momentfm itself, and what zero-shot scoring sees and misses."""

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from tests.fakes import small_windows
from trainables import _frozen, _linear_head, backbones
from trainables._moment import MomentBackbone, load, window_normalised, window_scale
from trainables._moment_checks import check_suits
from trainables._moment_config import MomentConfig, MomentHeadConfig
from trainables.data.windows import Windows
from trainables.errors import DetectorError
from trainables.moment_linear_probe import MomentLinearProbe
from trainables.moment_lora import MomentLora
from trainables.moment_zero_shot import MomentZeroShot, MomentZeroShotConfig
from trainables.protocol import TrialResources

FULL = 512


def assert_close(found: Tensor | None, expected: Tensor | None, message: str | None = None) -> None:
    """Within 1e-5: how close the window's own length must come to momentfm's padded computation."""
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5, msg=message)


@lru_cache(maxsize=1)
def bundled() -> MomentBackbone:
    return load(backbones.WEIGHTS_FOLDER, torch.device("cpu"))


def sequences(length: int, channels: int = 3) -> Tensor:
    """Two windows [2, channels, length] with level and scale of their own."""
    generator = torch.Generator().manual_seed(length)
    level = 5 * torch.randn(2, channels, 1, generator=generator)
    return level + 2 * torch.randn(2, channels, length, generator=generator)


def padded(x: Tensor, padding: float = 0.0) -> dict[str, Tensor]:
    """As momentfm wants a short window: left-padded to 512, with the mask of what was observed."""
    whole, mask = torch.full((*x.shape[:2], FULL), padding), torch.zeros(len(x), FULL)
    whole[:, :, FULL - x.shape[-1] :] = x
    mask[:, FULL - x.shape[-1] :] = 1
    return {"x_enc": whole, "input_mask": mask}


@torch.no_grad()
def momentfm_embeddings(module: Any, x: Tensor, padding: float = 0.0) -> Tensor:
    patches = x.shape[-1] // 8
    found: Tensor = module.embed(**padded(x, padding), reduction="none").embeddings[:, :, -patches:]
    return found


@torch.no_grad()
def momentfm_reconstruction(module: Any, x: Tensor, hidden: Tensor | None = None, padding: float = 0.0) -> Tensor:
    mask = torch.ones(len(x), FULL)
    if hidden is not None:
        mask[:, FULL - x.shape[-1] :] = (~hidden.repeat_interleave(8)).float()
    found: Tensor = module.reconstruction(**padded(x, padding), mask=mask).reconstruction[:, :, -x.shape[-1] :]
    return found


@torch.no_grad()
def own_embeddings(backbone: MomentBackbone, x: Tensor) -> Tensor:
    states = backbone.run(backbone.tokens(window_normalised(x.flatten(0, 1))), 0, backbone.layers)
    return backbone.finish(states).view(*x.shape[:2], -1, backbone.width)


@torch.no_grad()
def own_reconstruction(backbone: MomentBackbone, x: Tensor, hidden: Tensor | None = None) -> Tensor:
    flat = x.flatten(0, 1)
    seen = flat if hidden is None else flat[:, ~hidden.repeat_interleave(8)]
    mean, deviation = window_scale(seen)
    states = backbone.run(backbone.tokens((flat - mean) / deviation, hidden), 0, backbone.layers)
    return (backbone.reconstruct(backbone.finish(states)) * deviation + mean).view(x.shape)


@pytest.mark.parametrize("length", [8, 16, 32, 64, 256, 512])
def test_own_length_embeddings_equal_momentfms_padded_ones(length: int) -> None:
    x = sequences(length)
    assert_close(own_embeddings(bundled(), x), momentfm_embeddings(bundled().module, x))


@pytest.mark.parametrize("length", [8, 16, 32, 64, 256, 512])
def test_own_length_reconstructions_equal_momentfms_padded_ones(length: int) -> None:
    x = sequences(length)
    assert_close(own_reconstruction(bundled(), x), momentfm_reconstruction(bundled().module, x))


@pytest.mark.parametrize("masked", [[3], [0, 3], [1, 2]])
def test_reconstructions_of_hidden_patches_equal_momentfms(masked: list[int]) -> None:
    x, hidden = sequences(32), torch.zeros(4, dtype=torch.bool)
    hidden[masked] = True
    expected = momentfm_reconstruction(bundled().module, x, hidden)
    assert_close(own_reconstruction(bundled(), x, hidden), expected)


def test_what_stands_in_momentfms_padding_never_matters() -> None:
    x, module = sequences(32), bundled().module
    for padding in (-1000.0, 7.0):
        assert_close(own_embeddings(bundled(), x), momentfm_embeddings(module, x, padding), f"padding {padding}")
        assert_close(
            own_reconstruction(bundled(), x), momentfm_reconstruction(module, x, padding=padding), f"padding {padding}"
        )


def test_the_position_of_a_short_window_is_that_of_the_padded_one() -> None:
    shifted = bundled().tokens(torch.zeros(1, 32))
    module: Any = bundled().module
    assert_close(shifted[0], module.patch_embedding.position_embedding.pe[0, 60:64])


def test_the_last_patch_alone_is_what_the_whole_computation_gives_it() -> None:
    x = window_normalised(sequences(64).flatten(0, 1))
    with torch.no_grad():
        whole = bundled().run(bundled().tokens(x), 0, 4)
        last = bundled().run(bundled().tokens(x), 0, 4, last_only=True)
    assert_close(last, whole[:, -1:])


def test_saving_memory_changes_no_gradient() -> None:
    gradients = []
    for save_memory in (False, True):
        states = bundled().tokens(window_normalised(sequences(32).flatten(0, 1))).requires_grad_()
        bundled().run(states, 0, 4, save_memory=save_memory).square().sum().backward()  # type: ignore[no-untyped-call]
        gradients.append(states.grad)
    assert_close(gradients[1], gradients[0])


@pytest.mark.parametrize("length", [0, 12, 520])
def test_windows_that_do_not_fit_the_patches_are_refused(length: int) -> None:
    with pytest.raises(DetectorError, match=f"multiple of 8 steps, at most 512; got {length}"):
        check_suits(bundled().config, MomentConfig(), length)


def test_random_weights_depend_on_the_seed_alone_and_are_not_the_bundled_ones() -> None:
    def weights(seed: int | None) -> bytes:
        module: Any = load(backbones.WEIGHTS_FOLDER, torch.device("cpu"), random_seed=seed).module
        return bytes(module.head.linear.weight.detach().numpy().tobytes())

    assert weights(1) == weights(1)
    assert 3 == len({weights(1), weights(2), weights(None)})


def zero_shot(**settings: object) -> MomentZeroShot:
    config = MomentZeroShotConfig.model_validate(settings)
    nothing = small_windows.support().take(np.zeros(0, dtype=np.int64))
    return MomentZeroShot(config, TrialResources()).fit(nothing, small_windows.reference())


def raised(by: float) -> Windows:
    """The reference's windows with every channel's level raised throughout."""
    windows = small_windows.reference()
    return Windows(windows.table + np.float32(by), windows.ends, windows.length, windows.columns, windows.step_s)


@pytest.mark.parametrize("masking", ["none", "fixed"])
def test_a_sustained_shift_of_level_scores_high_when_normalised_by_the_reference(masking: str) -> None:
    detector = zero_shot(normalise="reference", masking=masking)
    assert detector.score(raised(6)).min() > detector.score(raised(0)).max()


def test_a_sustained_shift_shows_less_when_the_last_patch_is_imputed_from_shifted_ones() -> None:
    def ratio(masking: str) -> float:
        detector = zero_shot(normalise="reference", masking=masking)
        return float(np.median(detector.score(raised(6))) / np.median(detector.score(raised(0))))

    assert 1.5 < ratio("last_patch") < ratio("none")


@pytest.mark.parametrize("masking", ["none", "last_patch", "fixed"])
def test_a_sustained_shift_of_level_is_missed_when_each_window_is_normalised_by_itself(masking: str) -> None:
    detector = zero_shot(normalise="window", masking=masking)
    np.testing.assert_allclose(detector.score(raised(6)), detector.score(raised(0)), rtol=1e-3)


def test_zero_shot_scores_are_the_errors_of_momentfms_own_reconstruction() -> None:
    windows = small_windows.reference(4)
    x = torch.from_numpy(windows.x)
    error = (momentfm_reconstruction(bundled().module, x) - x)[:, :, -8:].square().mean(-1).sqrt()  # [N, C]
    expected = error.sort(dim=1).values[:, -2:].mean(1).numpy()
    np.testing.assert_allclose(zero_shot(normalise="window", top_channels=2).score(windows), expected, rtol=1e-4)


def test_scores_do_not_depend_on_neighbours_nor_on_what_was_computed_before() -> None:
    windows, detector = small_windows.reference(6), zero_shot(masking="fixed")
    _frozen._KEPT.clear()
    alone = [detector.score(windows.take(np.array([number])))[0] for number in reversed(range(6))]
    _frozen._KEPT.clear()
    np.testing.assert_array_equal(detector.score(windows), alone[::-1])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"masking": "none"}, {"masking": "last_patch"}),
        ({"masking": "last_patch"}, {"masking": "fixed"}),
        ({"init": "pretrained"}, {"init": "random"}),
        ({"precision": "fp32"}, {"precision": "bf16"}),
    ],
)
def test_what_is_kept_of_one_setting_never_answers_for_another(before: dict[str, str], after: dict[str, str]) -> None:
    windows = small_windows.reference(2)
    _frozen._KEPT.clear()
    expected = zero_shot(**after).score(windows)
    _frozen._KEPT.clear()
    other = zero_shot(**before).score(windows)
    np.testing.assert_array_equal(zero_shot(**after).score(windows), expected)
    assert (other != expected).any()


def test_zero_shot_trains_nothing_and_gives_no_score_for_no_window() -> None:
    detector = zero_shot()
    assert 0 == detector.facts.trainable_parameters
    assert 0 == len(detector.score(small_windows.reference().take(np.zeros(0, dtype=np.int64))))


@pytest.mark.parametrize("detector", [MomentZeroShot, MomentLinearProbe, MomentLora])
def test_fp16_is_refused_with_the_reason(detector: Any) -> None:
    with pytest.raises(ValidationError, match="fp16 is refused: T5's activations leave its range"):
        detector.Config(precision="fp16")


def test_the_probe_finds_the_faults_it_was_shown_and_names_them() -> None:
    support = small_windows.support()
    probe = MomentLinearProbe(MomentHeadConfig(), TrialResources())
    probe.fit(support, small_windows.reference())
    found = probe.score(support.unlabelled())
    assert found[support.y == 1].min() > found[support.y == 0].max()
    assert ("normal", "cpu", "delay") == probe.fault_types
    probabilities = probe.classify(support.unlabelled())
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-9)
    assert support.fault_type.tolist() == [probe.fault_types[number] for number in probabilities.argmax(axis=1)]


def test_a_head_on_many_examples_is_that_of_a_few_without_their_basis(monkeypatch: pytest.MonkeyPatch) -> None:
    support = small_windows.support(8)
    features = np.random.default_rng(0).standard_normal((len(support), 300)).astype(np.float32)
    features[support.y == 1, 0] += 2
    expected = _linear_head.fit_head(features, support, 1.0)
    monkeypatch.setattr(_linear_head, "QR_EXAMPLES", 0)
    found = _linear_head.fit_head(features, support, 1.0)
    np.testing.assert_allclose(found.log_odds(features), expected.log_odds(features), atol=0.01)
    assert found.types == expected.types
