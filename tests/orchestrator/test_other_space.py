"""The space of a search is edited between two starts and the resume is forced: what no longer belongs runs again."""

import shutil

import pytest

from tests.fakes.sweeps import SEARCHED, plan_of, run_sweep

GAIN, CHOICE = "gain: {uniform: [0.1, 2.0]}", "choice: {choice: [1, 2, 3]}"
EDITS = {
    "wider range": (GAIN, "gain: {uniform: [0.01, 3.0]}"),
    "narrower range": (GAIN, "gain: {uniform: [0.1, 0.9]}"),
    "other scale": (GAIN, "gain: {log_uniform: [0.1, 2.0]}"),
    "longer list": (CHOICE, "choice: {choice: [1, 2, 3, 4]}"),
    "shorter list": (CHOICE, "choice: {choice: [2, 3]}"),
    "one setting less": (f"{GAIN}, ", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """The folder of a complete sweep, and its plan and telemetry."""
    folder = tmp_path_factory.mktemp("first")
    plan, series = plan_of(folder, SEARCHED)
    assert 0 == run_sweep(plan, series, folder / "run", backend="inline")[0]
    return folder / "run", plan, series


@pytest.mark.parametrize("missing", [0, 5])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_forced_resume_is_complete_in_the_new_space_and_stays_so(first, tmp_path, capsys, edit, missing):
    whole, plan, series = first
    run = shutil.copytree(whole, tmp_path / "run")
    lines = (run / "rows.jsonl").read_text().splitlines(keepends=True)
    (run / "rows.jsonl").write_text("".join(lines[: len(lines) - missing]))
    other, _ = plan_of(tmp_path, SEARCHED.replace(*edit))
    assert plan != other
    code, rows = run_sweep(other, series, run, backend="inline", resume=True, force=True)
    standing = [row for row in rows.values() if row["status"] == "ok"]
    assert (0, plan.rows) == (code, len(standing))
    space = other.cells[0].space
    assert all(space[name].holds(row[f"param.{name}"]) for row in standing for name in space)
    numbers = sorted(row["candidate"] for row in standing if row["phase"] == "select")
    assert [0, 0, 1, 1, 2, 2, 3, 3] == numbers
    before = (run / "rows.jsonl").read_bytes()
    capsys.readouterr()
    assert (0, rows) == run_sweep(other, series, run, backend="inline", resume=True)
    assert before == (run / "rows.jsonl").read_bytes()
    assert "rows: 10 ok; 0 of 10 missing" in capsys.readouterr().out
