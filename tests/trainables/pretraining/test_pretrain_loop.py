"""Tests of the pretraining loop: masks and numbers of momentfm, learning, and exact continuation."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from torch import Tensor

from trainables._moment import MomentBackbone
from trainables.errors import WeightsError
from trainables.pretrain import TINY
from trainables.pretraining.corpus import LENGTHS, Corpus
from trainables.pretraining.gate import MaskedWindows
from trainables.pretraining.loop import CHECKPOINT_FILE, CURVE_FILE, Pretraining, Recipe, drawn_length, read_recipe
from trainables.pretraining.masked import hidden_patches, masked_error, reconstructed

SMALL = TINY | {"d_model": 32, "t5_config": TINY["t5_config"] | {"d_model": 32, "d_ff": 32, "num_layers": 1}}  # type: ignore[operator]


class Waves(Corpus):
    """Sine waves: easy to fill in."""

    def __init__(self) -> None:
        super().__init__({})

    def batch(self, rng: np.random.Generator, steps: int, count: int) -> Any:
        angle = np.arange(steps) / rng.uniform(8, 40, (count, 1)) + rng.uniform(0, 6, (count, 1))
        return (np.sqrt(2) * np.sin(angle)).astype(np.float32)


def watched() -> list[MaskedWindows]:
    rng = np.random.default_rng(1)
    return [MaskedWindows(Waves().batch(rng, 64, 50), hidden_patches(rng, 50, 8))]


def training(folder: Path, steps: int, seed: int = 13) -> Pretraining:
    folder.mkdir(exist_ok=True)
    recipe = Recipe(steps, seed, learning_rate=3e-3, warm_up=2, patches=128)
    return Pretraining(SMALL, recipe, Waves(), watched(), folder)


@pytest.mark.parametrize(("patches", "hidden"), [(2, 1), (4, 1), (8, 2), (16, 4), (64, 19)])
def test_as_many_patches_are_hidden_as_momentfm_hides(patches: int, hidden: int) -> None:
    from momentfm.utils.masking import Masking

    own = hidden_patches(np.random.default_rng(0), 200, patches)
    theirs = Masking(mask_ratio=0.3).generate_mask(torch.zeros(1, 1, patches, 8), torch.ones(1, patches * 8))
    assert {hidden} == set(own.sum(axis=1).tolist())
    assert own.any(axis=0).all()
    assert hidden == int((theirs == 0).sum()) or patches * 0.3 < 1  # momentfm hides none below one patch; here one


def test_windows_with_masks_of_their_own_are_filled_in_as_momentfm_does(tmp_path: Path) -> None:
    backbone = training(tmp_path / "run", 1).backbone
    generator = torch.Generator().manual_seed(0)
    windows = 3 * torch.randn(5, 64, generator=generator) + 2
    hidden = torch.from_numpy(hidden_patches(np.random.default_rng(0), 5, 8))
    with torch.no_grad():
        found = reconstructed(backbone, windows, hidden)
        expected = momentfm_reconstruction(backbone, windows, hidden)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def momentfm_reconstruction(backbone: MomentBackbone, windows: Tensor, hidden: Tensor) -> Tensor:
    whole, observed, mask = torch.zeros(5, 1, 512), torch.zeros(5, 512), torch.ones(5, 512)
    whole[:, 0, 448:], observed[:, 448:] = windows, 1
    mask[:, 448:] = (~hidden.repeat_interleave(8, dim=1)).float()
    module: Any = backbone.module
    result: Tensor = module.reconstruction(x_enc=whole, input_mask=observed, mask=mask).reconstruction[:, 0, 448:]
    return result


def test_only_hidden_steps_count_as_error() -> None:
    windows, filled = torch.zeros(2, 16), torch.ones(2, 16)
    filled[0, :8] = 5
    assert [25.0, 1.0] == masked_error(windows, filled, torch.tensor([[True, False], [False, True]])).tolist()


def test_the_rate_warms_up_and_falls_to_a_hundredth() -> None:
    recipe = Recipe(steps=1000, warm_up=100)
    rates = [recipe.rate(step) for step in range(1001)]
    assert 1e-3 == pytest.approx(rates[99]) == pytest.approx(max(rates))
    assert 1e-5 == pytest.approx(rates[1000])
    assert sorted(rates[:100]) == rates[:100]
    assert sorted(rates[100:], reverse=True) == rates[100:]


def test_lengths_are_multiples_of_the_patch_with_as_many_short_as_long_ones() -> None:
    rng = np.random.default_rng(0)
    lengths = np.array([drawn_length(rng) for _ in range(4000)])
    assert set(lengths.tolist()) <= set(LENGTHS)
    assert {32, 512} <= set(lengths.tolist())
    assert 0.25 == pytest.approx(np.mean(lengths < 64), abs=0.03)


def test_training_learns_to_fill_in_waves(tmp_path: Path) -> None:
    run = training(tmp_path / "run", 100)
    assert 1 < run.held_out_error()
    run.run()
    assert run.held_out_error() < 0.8  # 1 is the waves' own variance


def test_a_continued_run_ends_with_the_weights_of_an_unbroken_one(tmp_path: Path) -> None:
    unbroken = training(tmp_path / "unbroken", 8)
    unbroken.run()
    cut = training(tmp_path / "cut", 8)
    for _ in range(3):
        cut._losses.append(cut._train_step())
    cut.save()
    continued = training(tmp_path / "cut", 8)
    continued.restore()
    continued.run()
    expected, found = (load_file(tmp_path / name / CHECKPOINT_FILE) for name in ("unbroken", "cut"))
    assert set(expected) == set(found)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(tensor, found[name], err_msg=name)
    lines = [list(csv.DictReader((tmp_path / name / CURVE_FILE).open())) for name in ("unbroken", "cut")]
    assert lines[0][-1]["loss"] == lines[1][-1]["loss"]


def test_lines_of_the_curve_after_the_checkpoint_are_written_again(tmp_path: Path) -> None:
    run = training(tmp_path / "run", 4)
    run.run()
    curve = tmp_path / "run" / CURVE_FILE
    curve.write_text(curve.read_text() + "9,1.0,0.1,1.0,99,9\n")
    training(tmp_path / "run", 6).restore()
    assert ["4"] == [line["step"] for line in csv.DictReader(curve.open())]


def test_the_recipe_remembers_from_which_step_it_was_lengthened(tmp_path: Path) -> None:
    training(tmp_path / "run", 4).run()
    longer = training(tmp_path / "run", 6)
    longer.restore()
    longer.run()
    assert {"0": 4, "4": 6} == json.loads((tmp_path / "run" / "recipe.json").read_text())["planned"]
    assert longer.recipe == read_recipe(tmp_path / "run")


def test_a_folder_without_a_checkpoint_or_with_another_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"has no checkpoint\.safetensors to resume from"):
        training(tmp_path / "run", 4).restore()
    training(tmp_path / "run", 1).run()
    with pytest.raises(WeightsError, match="was made with seed 13, not 14"):
        training(tmp_path / "run", 4, seed=14).restore()
