"""What --retry-failed and --extend do, what they leave alone, and that doing it again changes nothing."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from orchestrator.errors import RunFolderError
from orchestrator.results import read_scores, score_file
from orchestrator.sweep import app
from tests.fakes.sweeps import SEARCHED, comparable, plan_of, rows_of, run_sweep

PLAIN = '\n  plain: {class: "tests.fakes.detectors:InstantNormal"}\n'


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A finished sweep of one searched cell and two that are not; plan, telemetry and folder."""
    folder = tmp_path_factory.mktemp("first")
    plan, series = plan_of(folder, SEARCHED + PLAIN)
    assert 0 == run_sweep(plan, series, folder / "run", backend="inline")[0]
    return plan, series, folder / "run"


@pytest.fixture
def finished(first, tmp_path):
    """The same with a copy of the folder that the test may spoil."""
    plan, series, run = first
    return plan, series, shutil.copytree(run, tmp_path / "run")


def end_differently(run: Path, statuses: list[str]) -> list[tuple[str, int]]:
    """Make the first report draws look as if they had ended like this; their keys."""
    lines = [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]
    chosen = [row for row in lines if row["detector"] == "plain"][: len(statuses)]
    for row, status in zip(chosen, statuses, strict=True):
        row |= {"status": status, "reason": "planted", "average_precision": None}
    (run / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    return [(row["trial"], row["draw"]) for row in chosen]


def everything(run: Path) -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_only_draws_that_failed_timed_out_or_were_interrupted_run_again(finished):
    plan, series, run = finished
    whole = comparable(rows_of(run))
    again = end_differently(run, ["failed", "timeout", "oom", "interrupted"])
    code, rows = run_sweep(plan, series, run, backend="inline", resume=True, retry_failed=True)
    assert 0 == code
    assert whole == comparable(rows)
    assert set(again) == {key for key, row in rows.items() if row["attempts"] == 2}


def test_without_being_asked_nothing_runs_again(finished):
    plan, series, run = finished
    end_differently(run, ["failed", "timeout"])
    before = (run / "rows.jsonl").read_bytes()
    assert 1 == run_sweep(plan, series, run, backend="inline", resume=True)[0]
    assert before == (run / "rows.jsonl").read_bytes()


def test_retrying_where_nothing_failed_writes_nothing(finished):
    plan, series, run = finished
    before = everything(run)
    assert 0 == run_sweep(plan, series, run, backend="inline", resume=True, retry_failed=True)[0]
    assert before == everything(run)


def test_a_longer_search_that_was_interrupted_ends_as_one_that_was_not(finished, tmp_path):
    _, series, run = finished
    longer, _ = plan_of(tmp_path, SEARCHED + PLAIN, ["search.candidates=7"])
    code, whole = run_sweep(longer, series, run, backend="inline", resume=True)
    assert 0 == code
    written = (run / "rows.jsonl").read_bytes()
    lines = written.splitlines(keepends=True)
    for kept in range(14, len(lines)):
        (run / "rows.jsonl").write_bytes(b"".join(lines[:kept]))
        code, rows = run_sweep(longer, series, run, backend="inline", resume=True)
        assert (0, comparable(whole)) == (code, comparable(rows)), kept
    assert len(lines) == len((run / "rows.jsonl").read_bytes().splitlines())


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize(("phase", "harm"), [("report", Path.unlink), ("report", cut), ("select", Path.unlink)])
def test_a_draw_that_lost_its_scores_runs_again_when_asked(finished, phase, harm):
    plan, series, run = finished
    whole = comparable(rows_of(run))
    trial, draw = next(key for key, row in rows_of(run).items() if row["phase"] == phase)
    scores = read_scores(run, trial, draw).score
    harm(score_file(run, trial, draw))
    with pytest.raises(RunFolderError, match="--retry-failed runs its draw again"):
        read_scores(run, trial, draw)
    code, rows = run_sweep(plan, series, run, backend="inline", resume=True, retry_failed=True)
    assert (0, whole) == (code, comparable(rows))
    assert {(trial, draw)} == {key for key, row in rows.items() if row["attempts"] == 2}
    assert scores.tobytes() == read_scores(run, trial, draw).score.tobytes()


def test_results_that_a_killed_driver_did_not_write_are_made_up_for(finished):
    plan, series, run = finished
    expected = pd.read_parquet(run / "results.parquet")
    (run / "results.parquet").unlink()
    (run / "results.part").touch()
    before = everything(run)
    assert 0 == run_sweep(plan, series, run, backend="ray", resume=True)[0]  # nothing to run: Ray is not started
    pd.testing.assert_frame_equal(expected, pd.read_parquet(run / "results.parquet"))
    kept = {name for name in before if name not in {"results.part", "sweep.log", "optuna.journal"}}
    assert {name: before[name] for name in kept} == {name: everything(run)[name] for name in kept}
    assert not (run / "results.part").exists()


def test_extending_adds_to_what_the_run_began_with_however_often_it_is_said(finished):
    _, _, run = finished

    def extended(more: str) -> tuple[int, int]:
        result = CliRunner().invoke(app, ["--resume", str(run), "--backend", "inline", "--quiet", "--extend", more])
        assert 0 == result.exit_code, result.output
        rows = pd.DataFrame(rows_of(run).values())
        return len(rows), rows.loc[rows["detector"] == "searched", "candidate"].nunique()

    first = extended("2")
    after = everything(run)
    assert first == extended("2")
    assert after == everything(run)
    longer = extended("3")
    assert longer[1] == first[1] + 1
    assert longer == extended("1")  # fewer than there are: nothing to do
