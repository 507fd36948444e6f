"""Tracking never changes a row: real sweeps with the tracker on, off, broken and hanging."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from orchestrator.callbacks import wandb as tracker
from orchestrator.callbacks.tracked import Ledger
from orchestrator.callbacks.trial_view import trials_of
from orchestrator.callbacks.wandb import wandb_observer
from orchestrator.callbacks.wandb_runs import load_wandb
from orchestrator.engine import run
from orchestrator.options import RunOptions
from orchestrator.results import read_records, read_scores
from orchestrator.spec import WandbSettings
from tests.fakes.sweeps import SEARCHED, comparable, plan_of, rows_of
from tests.fakes.wandb_server import serving

pytest.importorskip("wandb")

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _own_tracker_process():
    """A test that breaks off inside a run leaves it open in wandb's process."""
    yield
    load_wandb().teardown()


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch):
    """What is tested here is what the tracker writes; on a busy machine its seconds at the end are too few for it."""
    monkeypatch.setattr(tracker, "EXIT_SECONDS", 120.0)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The sweep without a tracker: plan, telemetry and run folder."""
    place = tmp_path_factory.mktemp("plain")
    plan, series = plan_of(place, SEARCHED)
    start(plan, series, place / "run", [])
    return plan, series, place / "run"


def start(plan, series, folder, observers, **options) -> int:
    return run(plan, series, folder, RunOptions(backend="inline", quiet=True, **options), observers, with_report=False)


def assert_same_results(plain: Path, tracked: Path) -> None:
    assert comparable(rows_of(plain)) == comparable(rows_of(tracked))
    assert list(rows_of(plain)) == list(rows_of(tracked))
    names = sorted(path.name for path in (plain / "scores").iterdir())
    assert names == sorted(path.name for path in (tracked / "scores").iterdir())
    for row in read_records(plain):
        if row["phase"] == "report":
            one, other = (read_scores(folder, str(row["trial"]), int(row["draw"])) for folder in (plain, tracked))
            assert one.score.tobytes() == other.score.tobytes()


class Counting:
    """Counts the tracker's own processes at every row."""

    def __init__(self) -> None:
        self.most = 0

    def on_row(self, *arguments: object) -> None:
        children = [child.name() for child in psutil.Process().children(recursive=True)]
        self.most = max(self.most, sum(name.startswith("wandb") for name in children))

    def __getattr__(self, name: str):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *arguments: None


def test_with_tracking_on_rows_are_the_same_and_one_process_logs_each_draw_once(plain, tmp_path, monkeypatch):
    plan, series, expected = plain
    module, logged = load_wandb(), []
    log = module.Run.log
    monkeypatch.setattr(module.Run, "log", lambda self, data, **more: (logged.append(data), log(self, data, **more)))
    counting = Counting()
    observer = wandb_observer(WandbSettings(mode="offline"), tmp_path / "run")
    assert 0 == start(plan, series, tmp_path / "run", [counting, observer])
    assert_same_results(expected, tmp_path / "run")
    rows = read_records(tmp_path / "run")
    assert counting.most <= 1
    assert len(rows) == sum("draw" in data for data in logged)
    ledger = Ledger(tmp_path / "run")
    assert {*trials_of(rows), "overview"} == {entry.run_id.removeprefix("run-") for entry in ledger.waiting()}


def raising(*arguments: object, **more: object) -> None:
    raise OSError("planted")


@pytest.mark.parametrize("where", ["init", "Run.log", "Run.finish"])
def test_a_broken_tracker_costs_one_warning_and_no_row(plain, tmp_path, monkeypatch, caplog, where):
    plan, series, expected = plain
    module = load_wandb()
    owner = module.Run if "." in where else module
    monkeypatch.setattr(owner, where.rpartition(".")[2], raising)
    assert 0 == start(plan, series, tmp_path / "run", [wandb_observer(WandbSettings(mode="offline"), tmp_path / "run")])
    assert_same_results(expected, tmp_path / "run")
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "orchestrator.callbacks.base"]
    assert warning.endswith("failed with OSError: planted")


def test_a_hanging_tracker_costs_one_warning_and_no_row(plain, tmp_path, monkeypatch, caplog):
    plan, series, expected = plain
    release = threading.Event()
    monkeypatch.setattr(load_wandb(), "init", lambda **settings: release.wait(60))
    monkeypatch.setattr(tracker, "EXIT_SECONDS", 0.3)
    assert 0 == start(plan, series, tmp_path / "run", [wandb_observer(WandbSettings(mode="offline"), tmp_path / "run")])
    release.set()
    assert_same_results(expected, tmp_path / "run")
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "orchestrator.callbacks.base"]
    assert "runs are not in W&B after 0.3 s; rows.jsonl has them all" in warning


def test_tracking_that_is_switched_on_for_a_resumed_run_takes_in_its_earlier_trials(plain, tmp_path):
    plan, series, _ = plain
    shorter, _ = plan_of(tmp_path, SEARCHED, ["search.candidates=2"])
    start(shorter, series, tmp_path / "run", [])
    early = set(trials_of(read_records(tmp_path / "run")))
    observer = wandb_observer(WandbSettings(mode="offline"), tmp_path / "run")
    assert 0 == start(plan, series, tmp_path / "run", [observer], resume=True)
    written = {entry.run_id.removeprefix("run-") for entry in Ledger(tmp_path / "run").waiting()}
    assert early < written
    assert {*trials_of(read_records(tmp_path / "run")), "overview"} == written


ONLINE = """
import sys
from pathlib import Path
from tests.fakes.plans import make_cell, make_result, make_sweep_plan, select_trial
from orchestrator.callbacks.base import Observers, SweepSummary
from orchestrator.callbacks import wandb
from orchestrator.callbacks.wandb import wandb_observer
from orchestrator.spec import WandbSettings

wandb.EXIT_SECONDS = 120.0
run, earlier, new = Path(sys.argv[1]), eval(sys.argv[2]), eval(sys.argv[3])
observers = Observers([wandb_observer(WandbSettings(mode="online"), run)])
trial = select_trial(make_cell(candidates=1))
observers.on_start(make_sweep_plan(trial.cell), [make_result(trial, draw) for draw in earlier])
for draw in new:
    observers.on_row(trial, make_result(trial, draw))
observers.on_finish(SweepSummary(run, {}))
print(trial.id)
"""


def online(run: Path, address: str, earlier: list[int], new: list[int]) -> subprocess.CompletedProcess[str]:
    keep = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    return subprocess.run(
        [sys.executable, "-c", ONLINE, str(run), json.dumps(earlier), json.dumps(new)],
        env={**keep, "WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": address}, cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_online_a_resumed_trial_goes_on_in_the_same_run_and_nothing_is_doubled(tmp_path):
    run = tmp_path / "sweep-1"
    run.mkdir()
    with serving() as server:
        first = online(run, server.address, [], [0, 1])
        second = online(run, server.address, [0, 1], [2])
    assert ("", "") == (first.stderr, second.stderr)
    recorded = server.runs[f"sweep-1-{first.stdout.strip()}"]
    assert [0, 1, 2] == [line["draw"] for line in recorded.history]
    assert (3, 0) == (recorded.summary["draws_ok"], recorded.exit_code)
    assert [] == Ledger(run).waiting()


def test_online_without_write_access_costs_one_warning_that_says_so(tmp_path):
    with serving() as server:
        server.refuse_project = True
        done = online(tmp_path, server.address, [], [0, 1, 2])
    assert 0 == done.returncode
    (warning,) = done.stderr.splitlines()
    assert "permission denied" in warning
