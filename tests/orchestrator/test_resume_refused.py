"""--resume of what cannot be resumed: one message, exit code 2, and not a byte of the folder changed."""

import fcntl
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.plan import make_plan
from orchestrator.spec import load_spec
from orchestrator.sweep import app
from tests.fakes.sweeps import SEARCHED, run_sweep, spec_text
from tests.fakes.telemetry import write_table
from tests.fakes.telemetry_table import clean_table
from trainables.data import load_source

Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A run on a table, without its last row."""
    folder = tmp_path_factory.mktemp("finished")
    write_table(clean_table(rows=3000), folder / "telemetry.csv")
    data = "{source: table, path: telemetry.csv, max_score_windows: {reference: 40, validation: 40, test: 40}}"
    (folder / "sweep.yaml").write_text(spec_text(SEARCHED, data=data))
    spec = load_spec(folder / "sweep.yaml")
    series = {source.source_name: load_source(source) for source in spec.sources}
    code, _ = run_sweep(make_plan(spec, series), series, folder / "run", backend="inline")
    assert code == 0
    lines(folder / "run", lambda rows: rows[:-1])
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of it that the test may spoil."""
    shutil.copytree(finished, tmp_path / "copy")
    text = (tmp_path / "copy" / "run" / "spec.yaml").read_text()
    (tmp_path / "copy" / "run" / "spec.yaml").write_text(text.replace(str(finished), str(tmp_path / "copy")))
    return tmp_path / "copy" / "run"


def lines(run: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = run / "rows.jsonl"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def row(**values: object) -> Damage:
    """Put other values into the third row."""

    def change(rows: list[str]) -> list[str]:
        rows[2] = json.dumps({**json.loads(rows[2]), **values}) + "\n"
        return rows

    return lambda run: lines(run, change)


def without(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def manifest(change: Callable[[dict[str, object]], object]) -> Damage:
    path = "manifest.json"
    return lambda run: (run / path).write_text(json.dumps(change(json.loads((run / path).read_text()))))


def text(name: str, old: str, new: str) -> Damage:
    def change(run: Path) -> None:
        before = (run / name).read_text()
        assert old in before
        (run / name).write_text(before.replace(old, new, 1))

    return change


def cut_third(rows: list[str]) -> list[str]:
    return [*rows[:2], rows[2][:40] + "\n", *rows[3:]]


REFUSED: dict[str, tuple[Damage, str]] = {
    "not there": (shutil.rmtree, "no such run folder"),
    "a file": (lambda run: (shutil.rmtree(run), run.write_text("x")), "no such run folder"),
    "empty": (lambda run: (shutil.rmtree(run), run.mkdir()), "not a run folder"),
    "without spec": (without("spec.yaml"), "not a run folder: spec.yaml missing"),
    "without rows": (without("rows.jsonl"), "not a run folder: rows.jsonl missing"),
    "without manifest": (without("manifest.json"), "not a run folder: manifest.json missing"),
    "manifest cut": (lambda run: (run / "manifest.json").write_text('{"sweep": "sm'), "manifest.json:1: not JSON"),
    "manifest no text": (lambda run: (run / "manifest.json").write_bytes(b"\xff\xfe"), "not a text file in UTF-8"),
    "manifest a list": (manifest(lambda _: []), "manifest.json: not the manifest of a run"),
    "manifest of a newer schema": (manifest(lambda m: {**m, "schema_version": 99}), "of schema 99, this version reads"),
    "manifest without provenance": (manifest(lambda m: {**m, "provenance": 1}), "manifest.json has no provenance"),
    "sweep file no YAML": (lambda run: (run / "spec.yaml").write_text("name: [x"), "spec.yaml:1"),
    "sweep file misspelt": (text("spec.yaml", "candidates:", "candidatse:"), "did you mean candidates"),
    "space widened": (text("spec.yaml", "2.0]", "3.0]"), "space.gain.uniform: was [0.1, 2.0], is [0.1, 3.0]"),
    "choice added": (text("spec.yaml", "3]", "3, 4]"), "space.choice.choice: was [1, 2, 3], is [1, 2, 3, 4]"),
    "threshold changed": (text("spec.yaml", "quantile: 0.99", "quantile: 0.98"), "spec threshold.quantile: was 0.99"),
    "rows of a newer schema": (row(schema_version=99, of_tomorrow="text"), "of schema 99, this version reads up to"),
    "row cut": (lambda run: lines(run, cut_third), "rows.jsonl:3: not a row"),
    "row a list": (lambda run: lines(run, lambda rows: [*rows[:2], "[1]\n"]), "rows.jsonl:3: not a row: needs"),
    "no number of JSON": (row(average_precision=float("nan")), "rows.jsonl:3: not a row: unexpected character"),
    "draw no number": (row(draw="x"), "rows.jsonl:3: not a row: draw is 'x'"),
    "draw not whole": (row(draw=1.5), "rows.jsonl:3: not a row: draw is 1.5, must be a whole number"),
    "no trial": (row(trial=None), "rows.jsonl:3: not a row: trial is None, must be text"),
    "unknown status": (row(status="fine"), "status is 'fine', must be one of ok, failed"),
    "unknown phase": (row(phase="test"), "phase is 'test', must be one of select, report"),
    "metric of text": (row(average_precision="0,9"), "average_precision is '0,9', must be a number"),
    "a nested value": (row(reason=["x"]), "reason is ['x'], must be text or a number"),
    "candidate of text": (row(candidate="1"), "candidate is '1'"),
    "attempts of text": (row(attempts="1"), "attempts is '1'"),
    "a setting edited": (row(**{"param.gain": 1.25}), "rows.jsonl: the row of trial"),
    "a draw edited": (row(draw=1000), "rows.jsonl: the row of trial"),
    "data gone": (lambda run: (run.parent / "telemetry.csv").unlink(), "telemetry.csv: no such file"),
    "data changed": (text("../telemetry.csv", "2024-03-04", "2024-02-04"), "data telemetry: was "),
}  # fmt: skip


def everything(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of each file, and times of folders."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in [folder, *folder.rglob("*")]
    }


def refused(run: Path, *more: str) -> str:
    """Resume, assert that nothing was touched, and return the message."""
    before = everything(run.parent)
    result = CliRunner().invoke(app, ["--resume", str(run), "--backend", "inline", "--quiet", *more])
    assert 2 == result.exit_code, (result.output, result.exception)
    assert "Traceback" not in result.output
    assert "" == result.stdout
    assert before == everything(run.parent)
    return result.stderr


@pytest.mark.parametrize(("damage", "phrase"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_resumed_is_one_message_and_stays_as_it_is(run, damage, phrase):
    damage(run)
    assert phrase in refused(run)


def test_a_folder_that_another_driver_uses_is_refused(run):
    with (run / "rows.jsonl").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "in use by another sweep" in refused(run)


def test_a_locked_folder_is_refused_before_its_data_are_read(run):
    (run.parent / "telemetry.csv").unlink()
    with (run / "rows.jsonl").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "in use by another sweep" in refused(run)


def test_a_folder_that_cannot_be_written_is_refused(run):
    subprocess.run(["mount", "--bind", run, run], check=False)
    mounted = subprocess.run(["mount", "-o", "remount,ro,bind", run], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.strip()}")
    try:
        assert "cannot write there: Read-only file system" in refused(run)
    finally:
        subprocess.run(["umount", run], check=True)
