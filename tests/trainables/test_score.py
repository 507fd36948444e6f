"""The command `python -m trainables.score`: stored scores again in a fresh process, new telemetry, and bad input."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from orchestrator.results import read_scores
from tests.fakes.sweeps import plan_of, run_sweep
from tests.fakes.telemetry import read_scored, table_of, write_table
from trainables.score import app
from trainables.winner_manifest import read_manifest

ROOT = Path(__file__).parents[2]

DETECTORS = """
  random: {}
  pca: {}
  isolation_forest: {n_estimators: 20}
  random_forest: {n_estimators: 20}
  lstm_ae: {max_window_passes: 32}
  moment_lora: {max_window_passes: 16}
  moment_zero_shot: {}
"""
CELLS = {
    "random": 0, "pca": 0, "isolation_forest": 8, "random_forest": 8, "lstm_ae": 8, "moment_lora": 8,
    "moment_zero_shot": 0,
}  # fmt: skip
FEW = ["few_shot.report_seeds.count=1", "data.max_score_windows.test=12", "data.max_score_windows.reference=24"]
MARGIN = 64
"""Rows before the first scored window that the table of a test keeps: missing values are held from there."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run, its telemetry, and a table with the rows that its test windows lie in."""
    folder = tmp_path_factory.mktemp("score")
    plan, series = plan_of(folder, DETECTORS, FEW)
    code, _ = run_sweep(plan, series, folder / "run", backend="inline")
    assert code == 0
    simulated = series["simulated"]
    manifest = read_manifest(folder / "run" / "winners" / "pca-simulated-f0-k0")
    ends = read_scores(folder / "run", manifest.origin.trial, 100).window_end
    first, last = np.searchsorted(simulated.timestamps, [ends.min(), ends.max()])
    rows = slice(int(first) - MARGIN, int(last) + 1)
    return folder / "run", simulated, write_table(table_of(simulated, rows), folder / "telemetry.parquet")


def command(*words: object) -> "subprocess.CompletedProcess[str]":
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def fresh(finished, tmp_path_factory):
    """Score the table with every winner in one process that has fitted nothing; where the answers lie."""
    run, _, table = finished
    out = tmp_path_factory.mktemp("fresh")
    calls = [
        [str(run), "--detector", name, "--shots", str(shots), "--data", str(table), "--out", str(out / f"{name}.csv")]
        for name, shots in CELLS.items()
    ]
    code = f"from trainables.score import app\nfor words in {calls!r}: app(words, standalone_mode=False)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return out, done.stdout


@pytest.mark.parametrize("detector", CELLS)
def test_a_fresh_process_gives_the_stored_scores_bit_for_bit(finished, fresh, detector):
    run, _, _ = finished
    manifest = read_manifest(run / "winners" / f"{detector}-simulated-f0-k{CELLS[detector]}")
    stored = read_scores(run, manifest.origin.trial, manifest.draw)
    scored = read_scored(fresh[0] / f"{detector}.csv").set_index("timestamp")
    again = scored.loc[pd.DatetimeIndex(stored.window_end)]
    if detector != "random":  # its scores are those of row numbers, and this table begins elsewhere
        assert stored.score.tobytes() == again["score"].to_numpy().tobytes()
    assert ((again["score"] >= manifest.threshold) == again["alarm"].astype(bool)).all()


def test_the_same_table_as_csv_gives_the_same_scores(finished, tmp_path):
    run, _, table = finished
    text = write_table(pd.read_parquet(table), tmp_path / "telemetry.csv")
    answers = []
    for data in (table, text):
        out = tmp_path / f"{data.suffix[1:]}.parquet"
        done = command(run, "--detector", "random_forest", "--data", data, "--out", out)
        assert 0 == done.exit_code, done.output
        answers.append(pd.read_parquet(out))
    pd.testing.assert_frame_equal(*answers)


def test_a_winner_that_was_copied_elsewhere_scores_alone(finished, tmp_path):
    run, _, table = finished
    shutil.copytree(run / "winners" / "pca-simulated-f0-k0", tmp_path / "mine")
    done = command(tmp_path / "mine", "--data", table, "--out", tmp_path / "scores.csv")
    assert 0 == done.exit_code, done.output
    assert (read_scored(tmp_path / "scores.csv")["reason"].isna()).any()


def test_what_it_prints_says_what_was_done_and_how_fast(fresh):
    _, said = fresh
    assert said.count("faster than the data arrives (a step every 15 s)") == len(CELLS)
    assert said.count("fitted on draw 100 of simulated telemetry") == len(CELLS)
    assert said.count("31 not scored;") == len(CELLS)
    assert said.count("channels: the largest errors that the score is made of") == 2
    assert "channels: furthest from the reference over the last 8 steps" in said
    assert "out of fold" in said


def test_without_out_the_rows_go_to_standard_output_and_the_rest_beside_them(finished):
    run, _, table = finished
    done = command(run, "--detector", "pca", "--data", table)
    assert 0 == done.exit_code
    header, *rows = done.stdout.splitlines()
    assert "timestamp,segment,score,alarm,channels,reason" == header
    assert len(pd.read_parquet(table)) == len(rows)
    assert "faster than the data arrives" in done.stderr


def test_without_data_it_lists_the_winners(finished):
    done = command(finished[0])
    lines = [line.split() for line in done.stdout.splitlines()]
    assert 0 == done.exit_code
    assert ["detector", "shots", "source", "fold", "draw", "note"] == lines[0]
    assert ["random_forest", "8", "simulated", "0", "100"] in lines
    assert {*CELLS, "detector"} == {line[0] for line in lines}


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--detector", "random_forrest"], ["no winner with --detector random_forrest; did you mean random_forest?"]),
        (["--detector", "random_forest", "--shots", "10"], ["no winner with --shots 10; did you mean 8?"]),
        (["--detector", "pca", "--fold", "2"], ["no winner with --fold 2; did you mean 0?"]),
        (["--detector", "pca", "--source", "simulate"], ["--source simulate; did you mean simulated?"]),
        (["--detector", "lstm_ae"], ["2 winners fit; choose by --shots (0, 8)"]),
        ([], ["winners fit; choose by --detector (isolation_forest, lstm_ae", "--shots (0, 8)"]),
        (["--detector", "pca", "--out", "scores.xlsx"], ["unknown kind of file '.xlsx'; write .csv or .parquet"]),
        (["--detector", "pca", "--out", "no/such/scores.csv"], ["there is no folder no/such"]),
    ],
)
def test_a_wrong_choice_is_named_with_what_there_is_and_exit_2(finished, words, messages):
    run, _, table = finished
    done = command(run, *words, "--data", table)
    assert (2, "") == (done.exit_code, done.stdout)
    for message in messages:
        assert message in done.stderr


@pytest.mark.parametrize(
    ("where", "message"), [("nowhere", "no such folder; give a run folder"), (".", "no winners in it")]
)
def test_a_folder_without_winners_is_one_message_and_exit_2(tmp_path, where, message):
    done = command(tmp_path / where)
    assert 2 == done.exit_code
    assert message in done.stderr


def renamed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={frame.columns[3]: f"{frame.columns[3]}s", frame.columns[5]: "nothing_like_it"})


def test_missing_and_renamed_columns_are_named_with_the_nearest_and_exit_2(finished, tmp_path):
    run, _, table = finished
    frame = pd.read_parquet(table)
    data = write_table(renamed(frame), tmp_path / "renamed.csv")
    done = command(run, "--detector", "pca", "--data", data, "--out", tmp_path / "scores.csv")
    assert (2, "") == (done.exit_code, done.stdout)
    assert f"{frame.columns[3]!r} (did you mean '{frame.columns[3]}s'?)" in done.stderr
    assert f"{frame.columns[5]!r}" in done.stderr
    assert "2 of the 88 columns that the winner was fitted on are missing" in done.stderr
    assert not (tmp_path / "scores.csv").exists()


def test_extra_columns_even_of_text_are_ignored_with_a_note(finished, tmp_path):
    run, _, table = finished
    frame = pd.read_parquet(table)
    answers = []
    for name, one in (("plain", frame), ("extra", frame.assign(host="a-1", label=1, build=7))):
        data = write_table(one[sorted(one.columns, reverse=True)], tmp_path / f"{name}.csv")
        done = command(run, "--detector", "pca", "--data", data, "--out", tmp_path / f"{name}-scores.csv")
        assert 0 == done.exit_code, done.output
        answers.append((tmp_path / f"{name}-scores.csv").read_bytes())
    assert "2 columns that the winner does not use: host, build." in done.stdout
    assert answers[0] == answers[1]


def test_another_sampling_step_is_refused(finished, tmp_path):
    run, _, table = finished
    data = write_table(pd.read_parquet(table).iloc[::4], tmp_path / "thin.csv")
    done = command(run, "--detector", "pca", "--data", data)
    assert 2 == done.exit_code
    assert "a row every 60 s, the winner was fitted on one every 15 s; resample the table to 15 s" in done.stderr


def test_the_help_shows_how(finished):
    done = command("--help")
    assert 0 == done.exit_code
    assert "python -m trainables.score runs/NAME --detector random_forest --shots 100" in done.stdout


@pytest.mark.parametrize("itself", [True, False])
def test_an_output_that_exists_is_not_overwritten(finished, tmp_path, itself):
    run, _, table = finished
    there = tmp_path / "mine.parquet"
    shutil.copy(table, there)
    before = there.read_bytes()
    done = command(run, "--detector", "pca", "--data", there if itself else table, "--out", there)
    assert 2 == done.exit_code
    assert f"{there}: exists and is not overwritten" in done.stderr
    assert before == there.read_bytes()
