"""Which draw's detector becomes the winner of a cell, and that interruptions neither lose nor change it."""

import json
import shutil

import pytest

from tests.fakes.sweeps import comparable, plan_of, rows_of, run_sweep
from trainables.winner_manifest import read_manifest

SAVABLE = "tests.fakes.savable_detectors"

PLAIN = f"""
  levels: {{class: "{SAVABLE}:Levels"}}
  isolation_forest: {{n_estimators: 5}}
"""
SEARCHED = f"""
  levels:
    class: {SAVABLE}:Levels
    space: {{gain: {{uniform: [0.1, 2.0]}}}}
"""
CELL = "levels-simulated-f0-k8"


def manifests(run):
    return {folder.name: read_manifest(folder) for folder in sorted((run / "winners").iterdir())}


def contents(run):
    """Bytes of every file of every winner, compressed estimators left out: they carry the time of day."""
    files = [path for path in (run / "winners").rglob("*") if path.is_file() and path.suffix != ".skops"]
    return {
        path.relative_to(run).as_posix(): path.read_bytes()
        for path in files
        if "isolation_forest" not in path.parts[-2] or path.name != "winner.json"
    }


def test_every_cell_keeps_the_detector_of_its_first_report_draw(tmp_path):
    plan, series = plan_of(tmp_path, PLAIN + SEARCHED.replace("levels:", "searched:"), ["search.candidates=2"])
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="inline")
    kept = manifests(tmp_path / "run")
    assert 0 == code
    assert {cell.name for cell in plan.cells} == set(kept)
    for manifest in kept.values():
        row = rows[manifest.origin.trial, manifest.draw]
        assert ("report", 100, "ok", "") == (row["phase"], row["draw"], row["status"], manifest.not_saved)
        assert (row["threshold"], row["threshold_rule"]) == (manifest.threshold, manifest.threshold_rule)
        shown = {name.removeprefix("param."): value for name, value in row.items() if name.startswith("param.")}
        assert shown.items() <= manifest.settings.items()
        assert (row["sweep"], row["fingerprint"], row["seed"]) == (
            manifest.origin.sweep,
            manifest.origin.fingerprint,
            manifest.seed,
        )


def failing_once(tmp_path):
    return plan_of(tmp_path, f'\n  levels: {{class: "{SAVABLE}:FailingOnce", marker: {tmp_path / "marker"}}}\n')


def test_where_the_first_draw_fails_the_next_one_is_kept_and_no_row_is_written_twice(tmp_path):
    plan, series = failing_once(tmp_path)
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="inline")
    lines = (tmp_path / "run" / "rows.jsonl").read_text().splitlines()
    assert 1 == code
    assert {100: "failed", 101: "ok"} == {row["draw"]: row["status"] for row in rows.values()}
    assert 101 == manifests(tmp_path / "run")[CELL].draw
    assert 2 == len(lines)


def test_a_first_draw_that_succeeds_later_takes_its_place(tmp_path):
    plan, series = failing_once(tmp_path)
    run_sweep(plan, series, tmp_path / "run", backend="inline")
    code, _ = run_sweep(plan, series, tmp_path / "run", backend="inline", resume=True, retry_failed=True)
    assert 0 == code
    assert 100 == manifests(tmp_path / "run")[CELL].draw


@pytest.fixture
def finished(tmp_path):
    plan, series = plan_of(tmp_path, PLAIN)
    run_sweep(plan, series, tmp_path / "run", backend="inline")
    return plan, series, tmp_path / "run"


@pytest.mark.parametrize("loss", ["folder", "manifest", "damaged"])
def test_a_winner_that_was_lost_is_made_again_and_rows_stay_as_they_are(finished, loss):
    plan, series, run = finished
    rows, before = (run / "rows.jsonl").read_bytes(), contents(run)
    folder = run / "winners" / CELL
    if loss == "folder":
        shutil.rmtree(folder)
    elif loss == "manifest":
        (folder / "winner.json").unlink()
    else:
        (folder / "winner.json").write_text("{")
    code, _ = run_sweep(plan, series, run, backend="inline", resume=True)
    assert 0 == code
    assert before == contents(run)
    assert rows == (run / "rows.jsonl").read_bytes()


def test_an_interruption_between_winner_and_row_changes_nothing(finished):
    plan, series, run = finished
    before, rows = contents(run), rows_of(run)
    lines = (run / "rows.jsonl").read_text().splitlines(keepends=True)
    (run / "rows.jsonl").write_text("".join(line for line in lines if '"draw": 100' not in line))
    (run / "winners" / f"{CELL}.part").mkdir()
    code, again = run_sweep(plan, series, run, backend="inline", resume=True)
    assert 0 == code
    assert comparable(rows) == comparable(again)
    assert before == contents(run)
    assert {cell.name for cell in plan.cells} == {path.name for path in (run / "winners").iterdir()}


def test_a_finished_run_of_a_version_without_winners_stays_finished(finished):
    plan, series, run = finished
    shutil.rmtree(run / "winners")
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    code, _ = run_sweep(plan, series, run, backend="inline", resume=True)
    assert 0 == code
    assert before == {path.name: path.stat().st_mtime_ns for path in run.iterdir()}


def test_a_longer_search_that_finds_better_replaces_the_winner(tmp_path):
    plan, series = plan_of(tmp_path, SEARCHED)
    run_sweep(plan, series, tmp_path / "run", backend="inline")
    first = manifests(tmp_path / "run")[CELL]
    rows = [json.loads(line) for line in (tmp_path / "run" / "rows.jsonl").read_text().splitlines()]
    selected = [row for row in rows if row["phase"] == "select"]
    other = next(row["trial"] for row in selected if row["param.gain"] != first.settings["gain"])
    for row in rows:
        if row["trial"] == other:
            row["average_precision"] = 1.0
    (tmp_path / "run" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    longer, _ = plan_of(tmp_path, SEARCHED, ["search.candidates=5"])
    _, more = run_sweep(longer, series, tmp_path / "run", backend="inline", resume=True)
    second = manifests(tmp_path / "run")[CELL]
    assert first.origin.trial != second.origin.trial
    assert "ok" == more[second.origin.trial, second.draw]["status"]


@pytest.mark.parametrize(
    ("detector", "reason"),
    [
        ("RaisingOnSave", "RuntimeError: planted: no save"),
        ("Unsaved", "the class declares that it is not to be saved"),
        ("Forgetting", "it scores differently after it was saved"),
        ("OwnPickle", "level.pkl: a pickle"),
    ],
)
def test_a_detector_that_cannot_be_saved_costs_a_note_and_no_row(tmp_path, caplog, detector, reason):
    plan, series = plan_of(tmp_path, f'\n  levels: {{class: "{SAVABLE}:{detector}"}}\n')
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="inline")
    manifest = manifests(tmp_path / "run")[CELL]
    assert 0 == code
    assert {"ok"} == {row["status"] for row in rows.values()}
    assert reason in manifest.not_saved
    assert ["winner.json"] == [path.name for path in (tmp_path / "run" / "winners" / CELL).iterdir()]
    told = f"{CELL}: the winner was not saved: {manifest.not_saved}" in caplog.text
    assert (detector != "Unsaved") == told  # declared: nothing went wrong
    run_sweep(plan, series, tmp_path / "run", backend="inline", resume=True)
    assert 2 == len((tmp_path / "run" / "rows.jsonl").read_text().splitlines())


@pytest.mark.ray
def test_both_backends_write_the_same_bytes(tmp_path):
    detectors = PLAIN + "  moving_variance: {}\n  lstm_ae: {max_window_passes: 16}\n"
    plan, series = plan_of(tmp_path, detectors)
    for backend in ("inline", "ray"):
        run_sweep(plan, series, tmp_path / backend, backend=backend)
    assert contents(tmp_path / "inline") == contents(tmp_path / "ray")
    assert set(manifests(tmp_path / "inline")) == set(manifests(tmp_path / "ray"))
