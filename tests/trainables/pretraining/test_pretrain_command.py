"""Tests of `python -m trainables.pretrain`: what it refuses, what it leaves behind, and the bundled card."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from trainables import backbones, pretrain
from trainables.pretraining import gate, real_series
from trainables.pretraining.folder import CARD_FILE, GATE_FILE, make_card
from trainables.pretraining.loop import CHECKPOINT_FILE, CURVE_FILE, RECIPE_FILE

BUNDLED = backbones.WEIGHTS_FOLDER


def run(*arguments: object) -> Result:
    return CliRunner().invoke(pretrain.app, [str(argument) for argument in arguments])


@pytest.fixture
def small_corpora(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise in place of the packages' series."""
    rng = np.random.default_rng(0)
    series = [rng.normal(size=3000).astype(np.float32)]
    monkeypatch.setattr(real_series, "training_series", lambda: {"simbench": series, "aeon": series})
    monkeypatch.setattr(real_series, "held_out_series", lambda: {"weather": series})
    monkeypatch.setattr(gate, "WINDOWS", 5)


def test_a_missing_package_is_exit_2_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("--output", tmp_path / "out")
    assert 2 == result.exit_code
    assert "pip install --no-deps simbench==" in result.stderr
    assert not (tmp_path / "out").exists()


def test_training_leaves_a_folder_that_detectors_take_and_the_gate_measures(
    small_corpora: None, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    trained = run("--output", out, "--steps", 2)
    assert 0 == trained.exit_code, trained.output
    assert out == backbones.resolve(str(out))
    assert {CARD_FILE, CURVE_FILE, RECIPE_FILE, CHECKPOINT_FILE, "config.json", "model.safetensors"} == names(out)
    assert "Not measured yet" in (out / CARD_FILE).read_text(encoding="utf-8")
    measured = run("--gate", out)
    assert 1 == measured.exit_code, "two steps teach nothing"
    assert "| weather | 32 |" in measured.stdout
    assert measured.stdout.strip() in (out / CARD_FILE).read_text(encoding="utf-8")
    assert GATE_FILE in names(out)


def test_a_folder_with_a_checkpoint_is_not_overwritten(small_corpora: None, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"")
    result = run("--output", tmp_path, "--steps", 2)
    assert 2 == result.exit_code
    assert "continue it with --resume" in result.stderr


def test_telemetry_without_a_gate_is_refused(tmp_path: Path) -> None:
    result = run("--output", tmp_path, "--telemetry", "table.csv")
    assert (2, "--telemetry goes with --gate FOLDER\n") == (result.exit_code, result.stderr)


@pytest.mark.parametrize("missing", [RECIPE_FILE, backbones.WEIGHTS_FILE])
def test_a_folder_that_pretraining_did_not_write_cannot_be_measured(tmp_path: Path, missing: str) -> None:
    folder = Path(shutil.copytree(BUNDLED, tmp_path / "copy"))
    (folder / missing).unlink()
    result = run("--gate", folder)
    assert 2 == result.exit_code
    assert missing in result.stderr


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_bundled_card_is_made_from_the_files_beside_it() -> None:
    assert make_card(BUNDLED) == (BUNDLED / CARD_FILE).read_text(encoding="utf-8")


def test_the_bundled_card_names_its_weights_its_data_and_their_licences() -> None:
    card = (BUNDLED / CARD_FILE).read_text(encoding="utf-8")
    digest = hashlib.sha256((BUNDLED / backbones.WEIGHTS_FILE).read_bytes()).hexdigest()
    assert f"| sha256 of model.safetensors | {digest} |" in card
    assert "never results of MOMENT" in card
    for notice in ("Open Database License 1.0", "SimBench", "UCR", "pvlib"):
        assert notice in card
