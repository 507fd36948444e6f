"""The adapter of a winner without this project: the code of the README, with momentfm and PEFT alone."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fakes.telemetry import table_of, write_table
from trainables.data import load_source
from trainables.evaluate import run_trial
from trainables.protocol import TrialResources
from trainables.scoring import read_telemetry
from trainables.settings import DataSettings, FewShotSettings, SplitSettings, ThresholdSettings, WindowCaps
from trainables.trial import EvaluationSettings, TrialRequest
from trainables.winner import load_winner
from trainables.winner_manifest import read_manifest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ROWS = 160


@pytest.fixture(scope="module")
def winner(tmp_path_factory):
    """A winner of moment_lora in its folder, and a table of the last rows of its telemetry."""
    folder = tmp_path_factory.mktemp("home")
    data = DataSettings(rows=2000, max_score_windows=WindowCaps(reference=16, validation=8, test=8))
    few_shot = FewShotSettings(shots=(8,))
    settings = EvaluationSettings(data, SplitSettings(), few_shot, ThresholdSettings())
    # without a held-out share: adapters that do not help it are left out, and here they must be in
    trained = {"max_window_passes": 16, "held_out": 0.0}
    request = TrialRequest("moment_lora", 0, 8, "report", 100, 1, trained, keep=True)
    series = load_source(data)
    outcome = run_trial(request, settings, series, TrialResources())
    assert (outcome.status, outcome.winner.manifest.not_saved) == ("ok", "")
    outcome.winner.write(folder / "winner")
    table = write_table(table_of(series, slice(len(series) - ROWS, None)), folder / "telemetry.csv")
    return folder / "winner", table


def test_the_code_of_the_readme_gives_our_embeddings_without_our_code(winner, tmp_path):
    folder, table = winner
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "PeftModel" in block]
    for shown, here in (
        ("runs/NAME/winners/moment_lora-simulated-f0-k20", folder),
        ("telemetry.csv", table),
        ("trainables/weights", ROOT / "trainables" / "weights"),
    ):
        assert 1 == code.count(f'"{shown}"'), shown
        code = code.replace(f'"{shown}"', repr(str(here)))
    ours = "[name for name in sys.modules if name.split('.')[0] in ('trainables', 'orchestrator', 'analysis')]"
    code += f"np.save('embedding.npy', embedding.numpy())\nimport sys\nassert [] == {ours}\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    manifest = read_manifest(folder)
    model = load_winner(folder, manifest).model_
    last = read_telemetry(table, manifest).windows.take(np.asarray([-1]))
    with torch.no_grad():
        tokens = model.backbone.tokens(model.features.sequences(last)[0])
        states = model.backbone.run(tokens, 0, model.backbone.layers, last_only=True)
        expected = model.backbone.finish(states)[:, 0].numpy()  # [C, d]
    np.testing.assert_allclose(np.load(tmp_path / "embedding.npy"), expected, atol=1e-5 * np.abs(expected).max())


def test_the_adapter_merged_into_the_backbone_scores_the_same_to_float_tolerance(winner):
    folder, table = winner
    manifest = read_manifest(folder)
    windows = read_telemetry(table, manifest).windows.take(np.arange(0, 128, 8))
    detector = load_winner(folder, manifest)
    merged_here = detector.score(windows)
    backbone = detector.model_.backbone
    backbone.adopt(backbone.adapted)  # adapters beside the weights again, as they were trained
    apart = detector.score(windows)
    for weight in backbone.module.parameters():  # merging changes them, and the whole process reads the same ones
        weight.data = weight.data.clone()
    backbone.module.config.get = vars(backbone.module.config).get  # PEFT asks it like a dict
    attention = backbone.module.encoder.block[0].layer[0].SelfAttention
    before = attention.q.base_layer.weight.clone()
    backbone.adapted.merge_and_unload()
    backbone.adopt(backbone.adapted)
    merged = detector.score(windows)
    assert not hasattr(attention.q, "lora_A")
    assert not torch.equal(before, attention.q.weight), "nothing was merged"
    np.testing.assert_allclose(merged, apart, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(merged_here, apart, rtol=1e-5, atol=1e-5)


def test_the_adapter_folder_holds_what_peft_writes_and_names_no_path(winner):
    folder, _ = winner
    assert {"adapter_config.json", "adapter_model.safetensors"} == {
        path.name for path in (folder / "adapter").iterdir()
    }
    text = (folder / "adapter" / "adapter_config.json").read_text()
    assert '"base_model_name_or_path": null' in text
    assert str(ROOT) not in text + (folder / "winner.json").read_text() + (folder / "state.json").read_text()
    assert {".json", ".safetensors"} == {path.suffix for path in folder.rglob("*") if path.is_file()}
