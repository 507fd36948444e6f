"""A sweep from plan to folder in this process: resume, extend, refuse, and what the summary says."""

import getpass
import json
import platform
import shutil

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from orchestrator import engine
from orchestrator.callbacks.base import Observers, SweepSummary
from orchestrator.engine import resume_lines
from orchestrator.errors import PlanError, RunFolderError
from orchestrator.options import RunOptions
from orchestrator.results import read_rows
from orchestrator.spec import load_spec
from orchestrator.storage import RunFolder
from tests.fakes.sweeps import FAKES, SEARCHED, comparable, plan_of, run_sweep

BLIND = f'\n  blind: {{class: "{FAKES}:InstantNone"}}\n'
LOSING = f"""
  losing:
    class: {FAKES}:Raising
    space: {{gain: {{uniform: [0.1, 2.0]}}}}
"""


def drop_rows(run, count):
    lines = (run / "rows.jsonl").read_text().splitlines(keepends=True)
    (run / "rows.jsonl").write_text("".join(lines[:-count]))


def change_code(run):
    """Make the folder look as if other code had written it."""
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["provenance"]["code"]["trainables"] = "another"
    manifest["fingerprint"] = "another"
    (run / "manifest.json").write_text(json.dumps(manifest))


def journal_of(run):
    return JournalStorage(JournalFileBackend(str(run / "optuna.journal")))


@pytest.fixture
def searched(tmp_path):
    """A finished sweep of one searched cell: its plan, telemetry, folder and rows."""
    plan, series = plan_of(tmp_path, SEARCHED)
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="inline")
    assert code == 0
    return plan, series, tmp_path / "run", rows


def test_a_sweep_leaves_every_planned_row_and_a_table_of_them(searched):
    plan, _, run, rows = searched
    assert plan.rows == len(rows)
    table = pd.read_parquet(run / "results.parquet")
    assert plan.rows == len(table)
    assert list(read_rows(run).columns) == list(table.columns)


def test_the_resolved_sweep_file_gives_the_same_plan(searched):
    plan, _, run, _ = searched
    assert plan.spec == load_spec(run / "spec.yaml")


def test_a_finished_run_resumes_to_itself_and_nothing_is_written(searched):
    plan, series, run, _ = searched
    before = {path.name: path.stat().st_mtime_ns for path in run.iterdir()}
    code, _ = run_sweep(plan, series, run, backend="ray", resume=True)
    assert 0 == code
    assert before == {path.name: path.stat().st_mtime_ns for path in run.iterdir()}


def test_a_folder_that_was_moved_resumes(searched, tmp_path):
    plan, series, run, rows = searched
    drop_rows(run, 3)
    moved = tmp_path / "elsewhere" / "renamed"
    moved.parent.mkdir()
    shutil.move(run, moved)
    code, again = run_sweep(plan, series, moved, backend="inline", resume=True)
    assert 0 == code
    assert comparable(rows) == comparable(again)


def test_a_change_of_code_is_refused_by_name_and_the_folder_is_untouched(searched):
    plan, series, run, _ = searched
    drop_rows(run, 1)
    change_code(run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    with pytest.raises(RunFolderError, match="code trainables: was another, is "):
        run_sweep(plan, series, run, backend="inline", resume=True)
    assert before == {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}


def test_a_forced_resume_tags_its_rows(searched):
    plan, series, run, _ = searched
    drop_rows(run, 1)
    change_code(run)
    code, rows = run_sweep(plan, series, run, backend="inline", resume=True, force=True)
    manifest = json.loads((run / "manifest.json").read_text())
    assert 0 == code
    assert "another" in manifest["earlier_fingerprints"]
    assert manifest["fingerprint"] == list(rows.values())[-1]["fingerprint"]


def test_a_longer_search_keeps_its_rows_and_reports_one_winner(searched, tmp_path):
    _, series, run, rows = searched
    longer, _ = plan_of(tmp_path, SEARCHED, ["search.candidates=9"])
    code, more = run_sweep(longer, series, run, backend="inline", resume=True)
    assert 0 == code
    assert {key for key, row in rows.items() if row["phase"] == "select"} <= set(more)
    report = [row for row in more.values() if row["phase"] == "report" and row["status"] == "ok"]
    assert [100, 101] == sorted(row["draw"] for row in report)
    assert 1 == len({row["param.gain"] for row in report})
    best = max(
        (row for row in more.values() if row["phase"] == "select"),
        key=lambda row: (_mean(more, row["trial"]), -row["candidate"]),
    )
    assert best["param.gain"] == report[0]["param.gain"]
    assert 9 == len(optuna.load_study(study_name="searched-simulated-f0-k8", storage=journal_of(run)).trials)


def _mean(rows, trial):
    values = [row["average_precision"] for row in rows.values() if row["trial"] == trial]
    return sum(values) / len(values)


def test_report_rows_of_a_beaten_winner_are_set_aside(searched, tmp_path):
    """Plant better scores for another configuration, as a longer search might find them."""
    _, series, run, rows = searched
    winner = next(row["param.gain"] for row in rows.values() if row["phase"] == "report")
    other = next(row["trial"] for row in rows.values() if row["phase"] == "select" and row["param.gain"] != winner)
    lines = [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]
    for row in lines:
        if row["trial"] == other:
            row["average_precision"] = 1.0
    (run / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    longer, _ = plan_of(tmp_path, SEARCHED, ["search.candidates=5"])
    _, more = run_sweep(longer, series, run, backend="inline", resume=True)
    report = pd.DataFrame([row for row in more.values() if row["phase"] == "report"])
    assert {"ok": 2, "pruned": 2} == report["status"].value_counts().to_dict()
    assert report.loc[report["status"] == "pruned", "average_precision"].isna().all()


def test_no_report_draws_run_where_every_configuration_failed(tmp_path, capsys):
    plan, series = plan_of(tmp_path, LOSING)
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="inline")
    assert 1 == code
    assert {"select"} == {row["phase"] for row in rows.values()}
    said = capsys.readouterr().out
    assert "rows: 8 failed; 2 of 10 missing" in said
    assert "no report draws of losing-simulated-f0-k8: all 4 configurations failed: draw 0: failed: ValueError" in said


def test_the_journal_opens_with_the_reasons_of_failures(tmp_path):
    plan, series = plan_of(tmp_path, LOSING)
    run_sweep(plan, series, tmp_path / "run", backend="inline")
    study = optuna.load_study(study_name="losing-simulated-f0-k8", storage=journal_of(tmp_path / "run"))
    assert [TrialState.FAIL] * 4 == [trial.state for trial in study.trials]
    assert all("planted error" in trial.user_attrs["reason"] for trial in study.trials)


def test_a_resumed_sweep_does_not_repeat_itself_in_the_journal(searched):
    plan, series, run, _ = searched
    drop_rows(run, 5)
    run_sweep(plan, series, run, backend="inline", resume=True)
    study = optuna.load_study(study_name="searched-simulated-f0-k8", storage=journal_of(run))
    assert [0, 1, 2, 3] == [trial.number for trial in study.trials]


def test_searched_seeds_are_one_draw_a_configuration_and_marked(tmp_path):
    plan, series = plan_of(tmp_path, SEARCHED, ["few_shot.seeds=searched", "few_shot.selection_seeds.count=5"])
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="inline")
    assert 0 == code
    assert 4 + 2 == len(rows) == plan.rows
    assert {"searched"} == {row["seeds"] for row in rows.values()}


def test_a_row_can_be_run_again_alone(searched):
    """Rerun one row by removing it: its numbers depend on nothing but what it is."""
    plan, series, run, rows = searched
    lines = (run / "rows.jsonl").read_text().splitlines(keepends=True)
    (run / "rows.jsonl").write_text("".join(lines[:2] + lines[3:]))
    code, again = run_sweep(plan, series, run, backend="inline", resume=True)
    assert 0 == code
    assert comparable(rows) == comparable(again)


def test_the_manifest_names_cells_and_hardware_but_neither_host_nor_user(searched):
    plan, _, run, _ = searched
    text = (run / "manifest.json").read_text()
    manifest = json.loads(text)
    assert [cell.detector for cell in plan.cells] == [cell["detector"] for cell in manifest["cells"]]
    assert {"cpus", "memory_gb", "gpus", "system"} == set(manifest["hardware"])
    for private in (platform.node(), f"/home/{getpass.getuser()}", str(run.parent)):
        assert private not in text


def test_the_log_has_one_line_a_draw(tmp_path):
    plan, series = plan_of(tmp_path, BLIND)
    run_sweep(plan, series, tmp_path / "run", backend="inline")
    lines = (tmp_path / "run" / "sweep.log").read_text().splitlines()
    assert 2 == sum("detector blind, source simulated, 0 shots, draw 10" in line for line in lines)


def test_a_dry_resume_says_what_is_there_and_what_is_left_and_writes_nothing(searched):
    plan, series, run, _rows = searched
    drop_rows(run, 1)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    lines = resume_lines(plan, series, run, RunOptions(resume=True))
    assert [f"resume {run}: 9 ok; 1 of 10 rows left", "  searched-simulated-f0-k8: 1 rows left"] == lines
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_dry_resume_refuses_what_a_resume_would_refuse(searched):
    plan, series, run, _rows = searched
    drop_rows(run, 1)
    change_code(run)
    with pytest.raises(RunFolderError, match="code trainables: was another"):
        resume_lines(plan, series, run, RunOptions(resume=True))


class Refusing:
    """A backend that finds nobody who could run a trial."""

    def run(self, driver, workplace, interrupts):
        raise PlanError("no cluster")


def test_a_backend_that_refuses_leaves_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("orchestrator.engine.make_backend", lambda *_, **__: Refusing())
    plan, series = plan_of(tmp_path, BLIND)
    with pytest.raises(PlanError):
        run_sweep(plan, series, tmp_path / "run")
    assert [] == list((tmp_path / "run").iterdir())


def test_a_backend_that_refuses_to_resume_leaves_what_was_there(searched, monkeypatch):
    plan, series, run, rows = searched
    drop_rows(run, 1)
    monkeypatch.setattr("orchestrator.engine.make_backend", lambda *_, **__: Refusing())
    with pytest.raises(PlanError):
        run_sweep(plan, series, run, resume=True)
    assert len(rows) - 1 == len(read_rows(run))


def test_a_forced_resume_on_other_data_is_complete_and_sets_the_old_rows_aside(searched, tmp_path):
    plan, _, run, rows = searched
    other, changed = plan_of(tmp_path, SEARCHED, ["data.seed=99"])
    drop_rows(run, 1)
    code, more = run_sweep(other, changed, run, backend="inline", resume=True, force=True)
    assert 0 == code
    standing = {key: row for key, row in more.items() if row["status"] == "ok"}
    assert plan.rows == len(standing)
    assert not set(standing) & set(rows)
    told = {str(row["reason"]) for key, row in more.items() if key in rows}
    assert {"set aside: data or settings changed since", "set aside: another configuration won since"} == told
    fresh_code, fresh = run_sweep(other, changed, tmp_path / "fresh", backend="inline")
    assert (0, comparable(fresh)) == (fresh_code, comparable(standing))


class Watching(Observers):
    """Notes that it was told the end."""

    finished: SweepSummary | None = None

    def on_finish(self, summary: SweepSummary) -> None:
        self.finished = summary


def test_observers_are_told_the_end_of_a_sweep_that_breaks(searched, monkeypatch):
    plan, series, run, _ = searched
    drop_rows(run, 2)

    def full(*_):
        raise RunFolderError("planted: no space left")

    monkeypatch.setattr(RunFolder, "append", full)
    watching = Watching()
    with pytest.raises(RunFolderError, match="planted"):
        engine.run(plan, series, run, RunOptions(backend="inline", resume=True, quiet=True), observers=[watching])
    assert watching.finished is not None
    assert (True, 2) == (watching.finished.interrupted, watching.finished.missing)


def test_a_report_that_breaks_is_one_line_and_its_trace_is_in_the_log(tmp_path, capsys, monkeypatch):
    def broken(_runs):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("analysis.report.build_report", broken)
    plan, series = plan_of(tmp_path, BLIND)
    run = tmp_path / "run"
    assert 1 == engine.run(plan, series, run, RunOptions(backend="inline", quiet=True), observers=[])
    said = capsys.readouterr().err
    assert "the rows are complete, but there is no report: ZeroDivisionError: planted; full trace: " in said
    assert "Traceback" not in said
    assert "ZeroDivisionError: planted" in (run / "sweep.log").read_text()
