"""Dashboards as code: the same panels for every sweep, JSON offline, saved once and then updated."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.fakes.wandb_server import ENTITY, RecordedRun, serving

pytest.importorskip("wandb_workspaces")

from orchestrator.dashboard import app, searched_settings

SPEC = """
name: tiny
objective: {metric: vus_pr}
tracking: {wandb: {project: p}}
detectors:
  pca: {}
  moment_lora: {space: {rank: {choice: [2, 4]}, learning_rate: {log_uniform: [1.0e-4, 1.0e-2]}}}
"""


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "sweep-1"
    folder.mkdir()
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    return folder


@pytest.fixture
def server(monkeypatch):
    with serving() as made:
        monkeypatch.setenv("WANDB_BASE_URL", made.address)
        monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
        yield made


def build(run: Path, *options: str):
    return CliRunner().invoke(app, [str(run), *options], catch_exceptions=False)


def specification(run: Path) -> dict[str, dict[str, object]]:
    return json.loads((run / "wandb" / "dashboard.json").read_text(encoding="utf-8"))


def panels_of(section: dict) -> list[tuple[str, dict]]:
    return [(panel["viewType"], panel["config"]) for panel in section["panels"]]


def test_the_workspace_has_curves_leaderboard_search_cost_and_failures_of_this_sweep_alone(run):
    done = build(run, "--dry-run")
    assert 0 == done.exit_code, done.output
    section = specification(run)["workspace"]["spec"]["section"]
    sections = {entry["name"]: panels_of(entry) for entry in section["panelBankConfig"]["sections"]}
    assert ["Learning curves", "Leaderboard", "Search (never for claims)", "Cost", "Failures"] == list(sections)
    kind, curve = sections["Learning curves"][0]
    assert "Run History Line Plot" == kind
    expected = {"xAxis": "shots", "metrics": ["vus_pr"], "groupBy": "detector.value", "groupArea": "stderr"}
    assert expected == {name: curve[name] for name in expected}
    (_, lines), (_, importance) = sections["Search (never for claims)"]
    assert ["config:shots.value", "config:param.value.rank", "config:param.value.learning_rate", "summary:vus_pr"] == [
        column["accessor"] for column in lines["columns"]
    ]
    assert "vus_pr" == importance["targetKey"]
    costs = [config["metrics"] for _, config in sections["Cost"]]
    assert [["fit_seconds"], ["score_seconds"], ["peak_host_mb"], ["peak_device_mb"]] == costs
    assert ["draws_not_ok"] == sections["Failures"][0][1]["metrics"]
    (group,) = section["runSets"][0]["filters"]["filters"]
    assert ("group", "sweep-1") == (group["key"]["name"], group["value"])


def test_the_report_shows_each_panel_on_the_runs_that_it_may_speak_of(run):
    build(run, "--dry-run")
    blocks = specification(run)["report"]["spec"]["blocks"]
    grids = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    jobs = [[runset["name"] for runset in grid["runSets"]] for grid in grids]
    assert [["report"], ["overview"], ["select"], ["report"], ["report", "select"]] == jobs
    assert "sweep-1" in json.dumps(grids[0]["runSets"][0]["filters"])


def test_building_twice_gives_the_same_text(run):
    build(run, "--dry-run")
    first = specification(run)
    build(run, "--dry-run")
    assert first == specification(run)


def test_without_a_key_the_specification_is_written_and_nothing_is_sent(run, server, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(run / "none"))
    done = build(run)
    assert 0 == done.exit_code, done.output
    assert "nothing sent (no key" in done.output
    assert [] == server.requests
    assert {"workspace", "report"} == set(specification(run))


def test_saving_twice_creates_once_and_updates_then(run, server):
    server.runs["sweep-1-overview"] = RecordedRun("p")
    first, second = build(run), build(run)
    assert (0, 0) == (first.exit_code, second.exit_code), first.output + second.output
    assert (2, 0) == (first.output.count("created"), second.output.count("created"))
    assert 2 == second.output.count("updated")
    assert {"project-view", "runs"} == {kind for kind, _ in server.views}
    for view in server.views.values():
        assert (ENTITY, "p") == (view["entity"], view["project"])
        assert "sweep-1" in view["spec"]
    assert 6 == server.views["runs", specification(run)["report"]["name"]]["spec"].count('"id": "UHJvamVjdA=="')


def test_a_project_that_does_not_exist_yet_is_said(run, server):
    done = build(run)
    assert 2 == done.exit_code
    assert done.stderr.startswith(f"no project {ENTITY}/p on the server yet; python -m orchestrator.sync")
    assert not (run / "wandb").exists()


def test_a_refused_key_is_said(run, server):
    server.refuse_key = True
    done = build(run)
    assert 2 == done.exit_code
    assert f"{server.address} refuses the W&B key (401)" in done.stderr


def test_what_is_no_run_folder_is_said(tmp_path):
    done = build(tmp_path, "--dry-run")
    assert 2 == done.exit_code
    assert "this is not a run folder" in done.stderr


def test_searched_settings_know_their_scale(run):
    assert {"rank": False, "learning_rate": True} == searched_settings(run)
