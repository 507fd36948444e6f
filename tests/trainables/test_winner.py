"""Winners: what the manifest says, what is refused when it is loaded, and that saving costs no score."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from trainables import winner as winner_module
from trainables.data import load_source, prepare
from trainables.errors import DetectorError, WinnerError
from trainables.evaluate import run_trial
from trainables.protocol import TrialResources
from trainables.settings import (
    DataSettings,
    FewShotSettings,
    MissingByColumn,
    SplitSettings,
    ThresholdSettings,
    WindowCaps,
)
from trainables.trial import EvaluationSettings, TrialRequest
from trainables.watchdog import run_within
from trainables.winner import load_winner
from trainables.winner_manifest import MANIFEST, Manifest, Origin, read_manifest

SAVABLE = "tests.fakes.savable_detectors"
MISSING = MissingByColumn(default="median", columns={"*cpu*": "hold", "*memory*": "zero"})
DATA = DataSettings(
    rows=2000,
    normalise="robust",
    missing=MISSING,
    max_score_windows=WindowCaps(reference=60, validation=40, test=40),
)
SETTINGS = EvaluationSettings(DATA, SplitSettings(), FewShotSettings(shots=(0, 8)), ThresholdSettings(quantile=0.9))


@pytest.fixture(scope="module")
def series():
    return load_source(DATA)


def outcome_of(series, detector="Levels", **changes):
    own = f"{SAVABLE}:{detector}" if detector[0].isupper() else None
    asked = {
        "fold": 0,
        "shots": 8,
        "phase": "report",
        "draw": 100,
        "seed": 11,
        "keep": True,
        "class_path": own,
    } | changes
    return run_trial(TrialRequest(detector.lower() if own else detector, **asked), SETTINGS, series, TrialResources())


@pytest.fixture
def saved(series, tmp_path):
    """A winner's folder, and the outcome it came with."""
    outcome = outcome_of(series)
    origin = Origin(sweep="small", trial="abc", fingerprint="f00d", weights={})
    outcome.winner.from_(origin).write(tmp_path / "winner")
    return tmp_path / "winner", outcome


def test_the_manifest_says_all_that_scoring_needs(saved, series):
    folder, outcome = saved
    manifest = read_manifest(folder)
    parts = prepare(series, SETTINGS, 0)
    assert ("levels", 8, 100, 11, 32, 15.0) == (
        manifest.detector, manifest.shots, manifest.draw, manifest.seed, manifest.window, manifest.step_s,
    )  # fmt: skip
    assert {"gain": 1.0, "choice": 1} == manifest.settings
    assert (outcome.threshold, outcome.threshold_rule) == (manifest.threshold, manifest.threshold_rule)
    assert parts.scaler.columns == tuple(column.name for column in manifest.columns)
    assert set(series.columns) == {*parts.scaler.columns, *manifest.dropped}
    assert {"hold", "median", "zero"} == {column.missing for column in manifest.columns}
    assert {"numpy", "scikit-learn"} <= set(manifest.versions)
    assert manifest.simulated


def test_the_scaling_of_the_manifest_is_that_of_the_sweep_to_the_last_bit(saved, series):
    folder, _ = saved
    parts = prepare(series, SETTINGS, 0)
    scaler = read_manifest(folder).scaler
    raw = series.values[:, parts.scaler.kept]
    assert parts.pool.table.tobytes() == scaler.apply(raw, series.segment).tobytes()


def test_a_loaded_winner_scores_as_it_did(saved, series):
    folder, outcome = saved
    parts = prepare(series, SETTINGS, 0)
    again = load_winner(folder, read_manifest(folder)).score(parts.test.unlabelled()).astype(np.float32)
    assert outcome.scores.score.tobytes() == again.tobytes()


def test_no_winner_comes_without_being_asked_for(series):
    assert outcome_of(series, keep=False).winner is None


def test_keeping_a_winner_changes_nothing_else_of_an_outcome(series):
    kept, plain = outcome_of(series), outcome_of(series, keep=False)
    assert kept.scores.score.tobytes() == plain.scores.score.tobytes()
    assert (kept.metrics, kept.threshold) == (plain.metrics, plain.threshold)


def test_a_winner_holds_no_telemetry(saved):
    """Of a table [2000, 80] it keeps a few numbers a column, in all files together."""
    folder, _ = saved
    manifest = read_manifest(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.name != MANIFEST)
    assert size < 100 * len(manifest.columns)


def change(folder, **values):
    text = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(text | values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": 2}, "written by another version: format"),
        ({"threshold": None}, "threshold"),
        ({"surprise": 1}, "surprise"),
        ({"columns": [{"name": "a"}]}, "columns.0.centre"),
    ],
)
def test_a_manifest_of_another_kind_is_refused_by_the_name_of_the_field(saved, values, message):
    change(saved[0], **values)
    with pytest.raises(WinnerError) as caught:
        read_manifest(saved[0])
    assert message in str(caught.value)


def test_a_missing_or_changed_file_is_refused(saved):
    folder, _ = saved
    manifest = read_manifest(folder)
    path = folder / "arrays.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(WinnerError, match=r"arrays.safetensors: changed since it was saved"):
        load_winner(folder, manifest)
    path.unlink()
    with pytest.raises(WinnerError, match=r"arrays.safetensors: missing"):
        load_winner(folder, manifest)
    shutil.rmtree(folder)
    with pytest.raises(WinnerError, match=r"winner.json: cannot be read"):
        read_manifest(folder)


def test_a_winner_whose_class_is_not_here_says_so(saved):
    folder, _ = saved
    change(folder, class_path="no_such_module:Levels")
    with pytest.raises(DetectorError, match="cannot import 'no_such_module'"):
        load_winner(folder, read_manifest(folder))


def test_a_winner_that_was_not_saved_says_why_when_it_is_asked_to_score(series, tmp_path):
    outcome = outcome_of(series, "RaisingOnSave")
    assert "ok" == outcome.status
    outcome.winner.write(tmp_path / "winner")
    with pytest.raises(WinnerError, match="was not saved: RuntimeError: planted: no save"):
        load_winner(tmp_path / "winner", read_manifest(tmp_path / "winner"))


def test_a_winner_that_is_too_large_to_travel_is_not_saved(series, monkeypatch):
    monkeypatch.setattr(winner_module, "MOST_BYTES", 100)
    assert "more than" in outcome_of(series).winner.manifest.not_saved


def test_another_backbone_than_the_one_it_was_fitted_on_is_refused(series, tmp_path):
    pytest.importorskip("momentfm")
    outcome = outcome_of(series, "moment_zero_shot", shots=0)
    origin = Origin(sweep="small", trial="abc", fingerprint="f00d", weights={"bundled": "0" * 64})
    outcome.winner.from_(origin).write(tmp_path / "winner")
    with pytest.raises(WinnerError, match="the backbone 'bundled' is not the one that the winner was fitted on"):
        load_winner(tmp_path / "winner", read_manifest(tmp_path / "winner"))


def test_the_manifest_is_frozen_and_survives_its_own_text(saved):
    manifest = read_manifest(saved[0])
    assert manifest == Manifest.model_validate_json(manifest.model_dump_json())
    with pytest.raises(ValidationError):
        manifest.threshold = 0.0
    assert replace(saved[1].winner, files={}).manifest.origin is None


def test_a_save_that_takes_the_rest_of_the_time_limit_costs_no_score(series):
    request = TrialRequest("Slow", 0, 8, "report", 100, 1, {}, class_path=f"{SAVABLE}:SlowToSave", keep=True)
    outcome = run_within(request, SETTINGS, series, TrialResources(), timeout_s=3.0, hard=False)
    assert "ok" == outcome.status
    assert "DrawTimeoutError: the draw ran longer than 3 s" in outcome.winner.manifest.not_saved
