"""Offline, then online: what `orchestrator.sync` makes, uploads, leaves and says."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.callbacks import wandb_account
from orchestrator.callbacks.tracked import Ledger
from orchestrator.callbacks.trial_view import step_of, trials_of
from orchestrator.callbacks.wandb_runs import RunWriter
from orchestrator.results import read_records, row_line
from orchestrator.spec import WandbSettings
from orchestrator.sync import app
from tests.fakes.plans import METRIC, make_cell, make_result, report_trial, select_trial
from tests.fakes.wandb_server import ENTITY, WandbServer, serving

pytest.importorskip("wandb")

KEY = "k" * 40

QUICK = {
    "WANDB__GRAPHQL_RETRY_MAX": "3",
    "WANDB__FILE_STREAM_RETRY_MAX": "3",
    "WANDB__FILE_TRANSFER_RETRY_MAX": "2",
} | {
    f"WANDB__{part}_RETRY_WAIT_{end}_SECONDS": seconds
    for part in ("GRAPHQL", "FILE_STREAM", "FILE_TRANSFER")
    for end, seconds in (("MIN", "0.05"), ("MAX", "0.2"))
}


def rows_of_a_sweep() -> list[dict[str, object]]:
    cell = make_cell(candidates=2)
    trials = [select_trial(cell, 0), select_trial(cell, 1), report_trial(cell, 100), report_trial(cell, 101)]
    rows = [
        {**make_result(trial, draw, 0.5 + draw / 1000 + number / 100), "candidate": trial.candidate}
        for number, trial in enumerate(trials)
        for draw in trial.draws
    ]
    rows[1] |= {"status": "failed", "reason": "planted", METRIC: None}
    return rows


def make_run_folder(place: Path, spec: str = "tracking: {wandb: {project: fewshot}}\n") -> Path:
    """A run folder with everything that the overview run shows."""
    run = place / "sweep-1"
    for folder in ("report/tables", "winners/moment_lora-simulated-f0-k20", "winners/huge"):
        (run / folder).mkdir(parents=True)
    (run / "rows.jsonl").write_text("".join(row_line(row) + "\n" for row in rows_of_a_sweep()), encoding="utf-8")
    (run / "spec.yaml").write_text(f"name: tiny\n{spec}", encoding="utf-8")
    (run / "manifest.json").write_text("{}\n", encoding="utf-8")
    (run / "report" / "index.html").write_text("<p>the report</p>", encoding="utf-8")
    head = "source,detector,shots,estimate,low,high,metric\n"
    levels = head + f"simulated,moment_lora,20,0.6,0.5,0.7,{METRIC}\nsimulated,pca,0,0.3,,,{METRIC}\n"
    (run / "report" / "tables" / "levels.csv").write_text(levels, encoding="utf-8")
    (run / "report" / "tables" / "leaderboard.csv").write_text(
        "rank,detector,estimate\n1,moment_lora,0.6\n2,pca,\n", encoding="utf-8"
    )
    (run / "winners" / "moment_lora-simulated-f0-k20" / "adapter.safetensors").write_bytes(b"weights")
    with (run / "winners" / "huge" / "model.skops").open("wb") as file:
        file.truncate(100 * 2**20)  # sparse
    return run


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """A run folder whose runs were all written offline."""
    run = make_run_folder(tmp_path_factory.mktemp("written"))
    done = sync(run, "http://127.0.0.1:9", "--dry-run")
    assert 0 == done.returncode, done.stderr
    writer = RunWriter(WandbSettings(), run, "offline")
    for rows in trials_of(read_records(run)).values():
        assert writer.trial(rows)
    assert writer.overview(METRIC)
    writer.close()
    return run


@pytest.fixture
def run(written, tmp_path) -> Path:
    return Path(shutil.copytree(written, tmp_path / written.name, symlinks=True))


@pytest.fixture
def server():
    with serving() as made:
        yield made


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def sync(run: Path, address: str, *options: str, key: str = KEY) -> Done:
    """Run the command in this process; it starts wandb's own command line by itself."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB")]:
            patch.delenv(name)
        for name, value in {**QUICK, "WANDB_API_KEY": key, "WANDB_BASE_URL": address, "NETRC": "/none"}.items():
            patch.setenv(name, value)
        result = CliRunner().invoke(app, [str(run), *options])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def expected_history(run: Path) -> dict[str, list[dict[str, float]]]:
    return {f"sweep-1-{trial}": [step_of(row) for row in rows] for trial, rows in trials_of(read_records(run)).items()}


def history_of(server: WandbServer, run_id: str) -> list[dict[str, float]]:
    return [
        {name: value for name, value in line.items() if not name.startswith("_")}
        for line in server.runs[run_id].history
    ]


def assert_everything_arrived(run: Path, server: WandbServer) -> None:
    expected = expected_history(run)
    assert {*expected, "sweep-1-overview"} == set(server.runs)
    assert expected == {run_id: history_of(server, run_id) for run_id in expected}
    assert {"sweep-1"} == {recorded.group for recorded in server.runs.values()}


def test_offline_runs_hold_exactly_the_rows_as_wandbs_own_reader_sees_them(written):
    import wandb

    core = Path(wandb.__file__).parent / "bin" / "wandb-core"
    for run_id, expected in expected_history(written).items():
        (file,) = (written / "wandb").glob(f"offline-run-*-{run_id}/*.wandb")
        done = subprocess.run(
            [core, "leet", "inspect", "-no-observability", "-json", "-run-file", file],
            capture_output=True, text=True, check=True, cwd=written,
        )  # fmt: skip
        records = [json.loads(line) for line in done.stdout.splitlines()]
        seen = [record["history"]["item"] for record in records if record["type"] == "history"]
        assert expected == [{k: v for k, v in item.items() if not k.startswith("_")} for item in seen]
        (head,) = [record["run"] for record in records if record["type"] == "run"]
        assert ("sweep-1", run_id) == (head["run_group"], head["run_id"])


def test_everything_arrives_with_names_groups_types_tags_and_summaries(run, server):
    done = sync(run, server.address)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert "5 uploaded, 0 left" in done.stdout
    assert_everything_arrived(run, server)
    rows = rows_of_a_sweep()
    recorded = server.runs[f"sweep-1-{rows[0]['trial']}"]
    assert ("select", ["moment_lora", "simulated", "20 shots"]) == (recorded.job_type, recorded.tags)
    assert "moment_lora-simulated-f0-k20 select candidate 0" == recorded.name
    assert 2 == recorded.config["param"]["value"]["rank"]
    assert (2, 1, "failed") == tuple(recorded.summary[name] for name in ("draws_ok", "draws_not_ok", "status"))


def test_the_overview_holds_curves_leaderboard_report_record_and_the_small_winners(run, server):
    assert 0 == sync(run, server.address).returncode
    overview = server.runs["sweep-1-overview"]
    curve = "curve/simulated/moment_lora"
    points = [line for line in history_of(server, "sweep-1-overview") if "labelled_windows" in line]
    assert {"labelled_windows": 0, "curve/simulated/pca": 0.3} == points[0]
    assert {"labelled_windows": 20, curve: 0.6, f"{curve}/low": 0.5, f"{curve}/high": 0.7} == points[1]
    (report,) = [content for name, content in overview.files.items() if name.endswith(".html")]
    assert b"<p>the report</p>" in report
    (table,) = [json.loads(content) for name, content in overview.files.items() if name.endswith(".table.json")]
    assert [[1.0, "moment_lora", 0.6], [2.0, "pca", None]] == table["data"]
    assert ("huge", 1) == (overview.summary["winners_left_out"], overview.summary["winners"])
    committed = {a.name: set(a.files) for a in server.artifacts.values() if a.state == "COMMITTED"}
    assert {"spec.yaml", "manifest.json", "report/index.html"} == committed["sweep-1-record"]
    winner = "moment_lora-simulated-f0-k20"
    assert {f"winners/{winner}/adapter.safetensors"} == committed[f"sweep-1-winner-{winner}"]


def test_a_second_sync_uploads_nothing(run, server):
    sync(run, server.address)
    before = len(server.requests)
    done = sync(run, server.address)
    assert (0, "") == (done.returncode, done.stderr)
    assert ["Viewer"] == server.operations()[before:]


@pytest.mark.parametrize("mode", ["auto", "disabled"])
def test_runs_that_the_tracker_left_out_or_never_saw_are_made_from_the_rows(tmp_path, server, mode):
    run = make_run_folder(tmp_path, f"tracking: {{wandb: {{mode: {mode}, project: fewshot}}}}\n")
    done = sync(run, server.address)
    assert 0 == done.returncode, done.stderr
    assert "5 made from the rows now" in done.stdout
    assert_everything_arrived(run, server)


def test_a_dry_run_touches_neither_disk_nor_network(tmp_path):
    run = make_run_folder(tmp_path)
    done = sync(run, "http://127.0.0.1:9", "--dry-run")
    assert 0 == done.returncode, done.stderr
    assert "4 more would be made from rows" in done.stdout
    assert not (run / "wandb").exists()


def test_rows_that_come_later_are_added_to_the_history_and_nothing_is_doubled(run, server):
    assert 0 == sync(run, server.address).returncode
    trial = select_trial(make_cell(candidates=2), 0)
    again = {**make_result(trial, 1, 0.9), "candidate": 0, "attempts": 2}
    with (run / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write(row_line(again) + "\n")
    done = sync(run, server.address)
    assert 0 == done.returncode, done.stderr
    draws = [line["draw"] for line in history_of(server, f"sweep-1-{trial.id}")]
    assert [0, 1, 2, 1] == draws
    assert 3 == server.runs[f"sweep-1-{trial.id}"].summary["draws_ok"]
    others = {run_id: len(server.runs[run_id].history) for run_id in expected_history(run) if trial.id not in run_id}
    assert {run_id: len(expected_history(run)[run_id]) for run_id in others} == others


def test_a_moved_run_folder_keeps_its_group_and_its_files(run, server):
    moved = run.rename(run.parent / "elsewhere")
    assert 0 == sync(moved, server.address).returncode
    assert_everything_arrived(moved, server)
    assert all(artifact.state == "COMMITTED" for artifact in server.artifacts.values())


def test_a_busy_server_and_dropped_connections_lose_nothing(run, server):
    server.too_many, server.drop = 3, 2
    done = sync(run, server.address)
    assert 0 == done.returncode, done.stderr
    assert {"429": 3, "dropped": 2} == dict(server.faults)
    assert_everything_arrived(run, server)


@pytest.mark.parametrize("fault", ["drop", "lose_files"])
def test_what_did_not_arrive_is_left_and_arrives_the_next_time(run, server, fault):
    setattr(server, fault, 10_000)
    done = sync(run, server.address)
    assert 1 == done.returncode, done.stdout
    assert f"run it again: python -m orchestrator.sync {run}" in done.stderr
    left = [entry.run_id for entry in Ledger(run).waiting()]
    assert left == (["sweep-1-overview"] if fault == "lose_files" else left)
    assert f"{5 - len(left)} uploaded, {len(left)} left" in done.stdout
    setattr(server, fault, 0)
    done = sync(run, server.address)
    assert 0 == done.returncode, done.stderr
    assert f"{len(left)} uploaded, 0 left" in done.stdout
    for run_id, expected in expected_history(run).items():
        assert expected == history_of(server, run_id)
    assert all(artifact.state == "COMMITTED" for artifact in server.artifacts.values())


def test_no_write_access_is_said_and_nothing_is_lost(run, server):
    server.refuse_project = True
    done = sync(run, server.address)
    assert 1 == done.returncode
    assert "permission denied" in done.stderr
    assert 5 == len(Ledger(run).waiting())


def test_a_refused_key_is_said_before_anything_is_tried(run, server):
    server.refuse_key = True
    done = sync(run, server.address)
    assert 2 == done.returncode
    assert f"{server.address} refuses the W&B key (401); run `wandb login`, or set WANDB_API_KEY\n" == done.stderr
    assert ["Viewer"] == server.operations()


def test_a_dead_server_is_said_before_anything_is_tried(run, server):
    server.stop()
    done = sync(run, server.address)
    assert 2 == done.returncode
    assert done.stderr.startswith(f"no W&B server answers at {server.address}: ")
    assert 1 == len(done.stderr.splitlines())


def test_no_key_is_said(run, server):
    done = sync(run, server.address, key="")
    assert 2 == done.returncode
    assert f"no key for {server.address}: run `wandb login`, or set WANDB_API_KEY\n" == done.stderr


def test_an_entity_that_the_key_may_not_write_to_is_refused_with_those_it_may(tmp_path, server):
    run = make_run_folder(tmp_path, "tracking: {wandb: {entity: strangers}}\n")
    done = sync(run, server.address)
    assert 2 == done.returncode
    assert f"may not write to 'strangers'; it may to: {ENTITY}" in done.stderr


def test_no_run_folder_is_said(tmp_path):
    done = sync(tmp_path / "nowhere", "http://127.0.0.1:9")
    assert (2, f"{tmp_path / 'nowhere'}: no such run folder\n") == (done.returncode, done.stderr)


def test_an_answer_that_stays_busy_is_said_with_its_code(server, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    monkeypatch.setattr(wandb_account, "LONGEST_PAUSE", 0.01)
    server.too_many = 100
    with pytest.raises(wandb_account.TrackingError, match=r"answers 429 .*try again later"):
        wandb_account.account(KEY)
    assert wandb_account.MOST_ATTEMPTS == server.faults["429"]
