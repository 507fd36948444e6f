"""A run folder: refused, locked, appended to, cut, and never left with half a row."""

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import RunFolderError
from orchestrator.results import read_records, read_scores, trace_file
from orchestrator.storage import RunFolder, is_free
from trainables.trial import WindowScores

ROOT = Path(__file__).parents[2]


def row(draw=100, **values):
    identity = {"detector": "d", "source": "s", "fold": 0, "shots": 20, "phase": "report", "trial": "abc", "draw": draw}
    return {**identity, "status": "ok", "schema_version": 1, **values}


@pytest.fixture
def made(tmp_path):
    """A folder with two rows, closed."""
    path = tmp_path / "run"
    with RunFolder(path, resume=False) as folder:
        folder.write_text("spec.yaml", "name: x\n")
        folder.write_manifest({"fingerprint": "f"})
        folder.append(row(100))
        folder.append(row(101))
    return path


def test_rows_and_scores_come_back_as_written(tmp_path):
    scores = WindowScores(
        window_end=np.array(["2026-01-01"], dtype="datetime64[ns]"), segment=np.array(["a"]),
        event=np.array([-1], dtype=np.int32), fault_type=np.array(["normal"]), label=np.array([0], dtype=np.int8),
        score=np.array([0.5], dtype=np.float32),
    )  # fmt: skip
    with RunFolder(tmp_path / "run", resume=False) as folder:
        folder.append(row(7, value=0.1 + 0.2), scores)
    assert [row(7, value=0.1 + 0.2)] == read_records(tmp_path / "run")
    assert [0.5] == read_scores(tmp_path / "run", "abc", 7).score.tolist()


def test_the_last_line_of_a_draw_counts(made):
    with RunFolder(made, resume=True) as folder:
        folder.append(row(100, status="failed"))
    assert ["failed", "ok"] == [record["status"] for record in read_records(made)]


def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(RunFolderError, match="not empty"):
        RunFolder(tmp_path, resume=False)
    assert ["mine.txt"] == [path.name for path in tmp_path.iterdir()]


@pytest.mark.parametrize("left", [["rows.jsonl"], ["rows.jsonl", "spec.yaml.part"], ["rows.jsonl", "spec.yaml"]])
def test_a_folder_where_a_start_ended_before_its_first_row_is_free(tmp_path, left):
    for name in left:
        (tmp_path / name).touch()
    assert is_free(tmp_path)
    RunFolder(tmp_path, resume=False).close()


@pytest.mark.parametrize("mine", ["spec.yaml", "notes.txt"])
def test_a_folder_with_files_of_somebody_is_not_free(tmp_path, mine):
    (tmp_path / mine).write_text("keep")
    assert not is_free(tmp_path)


def test_a_start_that_ended_before_its_manifest_can_be_resumed(tmp_path):
    (tmp_path / "rows.jsonl").touch()
    (tmp_path / "spec.yaml").touch()
    with RunFolder(tmp_path, resume=True) as folder:
        assert ([], False) == (folder.records, folder.has_manifest)


@pytest.mark.parametrize("missing", ["rows.jsonl", "spec.yaml", "manifest.json"])
def test_resuming_what_is_no_run_folder_names_what_is_missing(made, missing):
    (made / missing).unlink()
    with pytest.raises(RunFolderError, match=missing):
        RunFolder(made, resume=True)


def test_a_folder_in_use_is_refused(made):
    with RunFolder(made, resume=True), pytest.raises(RunFolderError, match="in use"):
        RunFolder(made, resume=True)


def test_the_lock_goes_with_its_process(made):
    code = f"""
import os, sys
from pathlib import Path
from orchestrator.storage import RunFolder
folder = RunFolder(Path({str(made)!r}), resume=True)
print("locked", flush=True)
sys.stdin.read()
"""
    other = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert "locked\n" == other.stdout.readline()
    with pytest.raises(RunFolderError, match="in use"):
        RunFolder(made, resume=True)
    other.kill()
    other.wait()
    other.stdout.close()
    RunFolder(made, resume=True).close()


def test_a_cut_last_line_is_ignored_and_replaced_by_the_next_row(made):
    with (made / "rows.jsonl").open("a") as file:
        file.write('{"detector": "d", "sou')
    with RunFolder(made, resume=True) as folder:
        assert [100, 101] == [record["draw"] for record in folder.records]
        assert (made / "rows.jsonl").read_text().endswith('"sou')  # nothing changes until a row is written
        folder.append(row(102))
    assert [100, 101, 102] == [record["draw"] for record in read_records(made)]


@pytest.mark.parametrize(("line", "message"), [("not json\n", ":2: not a row"), ('{"a": 1}\n', ":2: not a row: needs")])
def test_a_hand_edited_line_is_refused_with_its_number(made, line, message):
    lines = (made / "rows.jsonl").read_text().splitlines(keepends=True)
    (made / "rows.jsonl").write_text(lines[0] + line + lines[1])
    with pytest.raises(RunFolderError, match=message):
        RunFolder(made, resume=True)


def test_rows_of_a_newer_schema_are_refused(made):
    with (made / "rows.jsonl").open("a") as file:
        file.write(json.dumps(row(102, schema_version=99)) + "\n")
    with pytest.raises(RunFolderError, match="schema 99"):
        RunFolder(made, resume=True)


def test_a_full_disk_leaves_no_half_row(made):
    before = (made / "rows.jsonl").read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with RunFolder(made, resume=True) as folder:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, limit[1]))
        try:
            with pytest.raises(RunFolderError, match="cannot write"):
                folder.append(row(102))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, handler)
    assert before == (made / "rows.jsonl").read_bytes()


def test_the_trace_of_a_failed_draw_lies_beside_its_row(made):
    with RunFolder(made, resume=True) as folder:
        folder.write_trace("abc", 7, "Traceback ...\nValueError: planted\n")
    assert "Traceback ...\nValueError: planted\n" == trace_file(made, "abc", 7).read_text()


def test_a_number_that_json_cannot_hold_is_refused(made):
    with RunFolder(made, resume=True) as folder, pytest.raises(ValueError, match="JSON"):
        folder.append(row(102, value=float("nan")))
    assert [100, 101] == [record["draw"] for record in read_records(made)]


def test_a_last_line_cut_within_a_character_is_ignored_too(made):
    with (made / "rows.jsonl").open("ab") as file:
        file.write('{"detector": "Größe'.encode()[:-5])
    assert [100, 101] == [record["draw"] for record in read_records(made)]


@pytest.mark.parametrize("separator", ["\u0085", "\u2028", "\u2029", "\x1c", "\r"])
def test_text_in_a_row_may_hold_what_other_programs_take_for_the_end_of_a_line(made, separator):
    with RunFolder(made, resume=True) as folder:
        folder.append(row(102, kept_channels=f"a{separator}b"))
    assert f"a{separator}b" == read_records(made)[-1]["kept_channels"]


def test_a_table_of_results_that_cannot_be_written_is_one_message(made):
    (made / "results.part").mkdir()
    with RunFolder(made, resume=True) as folder, pytest.raises(RunFolderError, match=r"cannot write: .*Is a directory"):
        folder.write_results()
