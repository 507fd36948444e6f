"""The tracker: what it writes, and that it neither needs nor hurts anything."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from orchestrator.callbacks import wandb as tracker
from orchestrator.callbacks.base import CellSummary, Observers, SweepSummary
from orchestrator.callbacks.wandb import WandbObserver, wandb_observer
from orchestrator.errors import TrackingError
from orchestrator.spec import WandbSettings
from tests.fakes.plans import METRIC, make_cell, make_result, make_sweep_plan, report_trial, select_trial

END = SweepSummary(Path("run"), {})


@pytest.fixture
def no_key(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path


def mode_of(observer: WandbObserver | None) -> str | None:
    return None if observer is None else observer.mode


@pytest.mark.parametrize("mode", ["auto", "offline"])
def test_without_a_key_tracking_is_offline(no_key, mode):
    assert "offline" == mode_of(wandb_observer(WandbSettings(mode=mode), no_key))


def test_with_a_key_in_the_environment_auto_is_online(no_key, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert "online" == mode_of(wandb_observer(WandbSettings(), no_key))


def test_with_a_key_in_the_netrc_file_auto_is_online(no_key):
    (no_key / "netrc").write_text("machine api.wandb.ai\n  login user\n  password " + "x" * 40 + "\n")
    (no_key / "netrc").chmod(0o600)
    assert "online" == mode_of(wandb_observer(WandbSettings(), no_key))


def test_a_key_for_another_server_does_not_count(no_key, monkeypatch):
    (no_key / "netrc").write_text("machine api.wandb.ai\n  login user\n  password " + "x" * 40 + "\n")
    monkeypatch.setenv("WANDB_BASE_URL", "https://tracker.example.org")
    assert "offline" == mode_of(wandb_observer(WandbSettings(), no_key))


def test_auto_obeys_the_environment_and_refuses_nonsense_in_it(no_key, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_observer(WandbSettings(), no_key) is None
    monkeypatch.setenv("WANDB_MODE", "of")
    with pytest.raises(TrackingError, match=r"online, offline or disabled, got 'of'"):
        wandb_observer(WandbSettings(), no_key)


def test_online_without_a_key_is_refused_with_the_choices(no_key):
    with pytest.raises(TrackingError, match=r"wandb login.*WANDB_API_KEY.*offline"):
        wandb_observer(WandbSettings(mode="online"), no_key)


def test_disabled_imports_nothing(no_key):
    code = (
        "import sys; from pathlib import Path; from orchestrator.spec import WandbSettings;"
        "from orchestrator.callbacks.wandb import wandb_observer;"
        "assert wandb_observer(WandbSettings(mode='disabled'), Path('x')) is None;"
        "assert 'wandb' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)


def test_offline_writes_one_run_a_trial_under_the_run_folder_without_key_or_network(no_key, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setattr(tracker, "EXIT_SECONDS", 120.0)  # a busy machine takes longer to import wandb
    run = no_key / "sweep-1"
    run.mkdir()
    observer = wandb_observer(WandbSettings(mode="offline"), run)
    cell = make_cell(candidates=1)
    observer.on_start(make_sweep_plan(cell))
    block = select_trial(cell)
    for draw in block.draws:
        observer.on_row(block, make_result(block, draw, 0.5 + draw / 10))
    for draw in cell.report_draws:
        observer.on_row(report_trial(cell, draw), make_result(report_trial(cell, draw), draw))
    observer.on_cell_done(cell, CellSummary({"ok": 5}, METRIC))
    observer.on_finish(END)
    folders = sorted((run / "wandb").glob("offline-run-*"))
    trials = {block.id, *(report_trial(cell, draw).id for draw in cell.report_draws), "overview"}
    assert {f"sweep-1-{trial}" for trial in trials} == {folder.name.split("-", maxsplit=3)[3] for folder in folders}
    assert 4 == len(folders)
    assert all(next(folder.glob("*.wandb")).stat().st_size > 0 for folder in folders)


class Planted(WandbObserver):
    """Writes by a function of ours instead of wandb."""

    def __init__(self, write, run: Path) -> None:
        super().__init__(WandbSettings(), run, "offline")
        self.write = write

    def _write(self, writer, job) -> None:
        if not isinstance(job, str):
            self.write(job[0]["trial"], job)


def warnings_of_the_guard(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "orchestrator.callbacks.base"]


def test_a_trial_is_written_once_with_all_its_rows_even_if_its_cell_ends_early(tmp_path):
    written = []
    observer = Planted(lambda trial, rows: written.append((trial, len(rows))), tmp_path)
    cell = make_cell(candidates=2)
    whole, cut = select_trial(cell, 0), select_trial(cell, 1)
    observer.on_start(make_sweep_plan(cell))
    for draw in whole.draws:
        observer.on_row(whole, make_result(whole, draw))
    observer.on_row(cut, make_result(cut, 0))
    observer.on_cell_done(cell, CellSummary({"ok": 4}, METRIC))
    observer.on_finish(END)
    assert [(whole.id, 3), (cut.id, 1)] == written


def test_a_trial_that_goes_on_after_an_interruption_is_written_with_its_earlier_rows(tmp_path):
    written = []
    observer = Planted(lambda trial, rows: written.append([row["draw"] for row in rows]), tmp_path)
    cell = make_cell(candidates=1)
    trial = select_trial(cell)
    observer.on_start(make_sweep_plan(cell), [make_result(trial, 2), make_result(trial, 0)])
    observer.on_row(trial, make_result(trial, 1))
    observer.on_finish(END)
    assert [[0, 1, 2]] == written


def test_an_error_in_the_thread_costs_one_warning_and_the_sweep_goes_on(tmp_path, caplog):
    def fail(trial, rows):
        raise ConnectionError("planted")

    observer = Planted(fail, tmp_path)
    observers = Observers([observer])
    cell = make_cell()
    observers.on_start(make_sweep_plan(cell))
    trial = report_trial(cell)
    observers.on_row(trial, make_result(trial, 100))
    observer._thread.join(5)
    for _ in range(3):
        observers.on_row(trial, make_result(trial, 100))
    observers.on_finish(END)
    assert ["Planted is switched off: on_row failed with ConnectionError: planted"] == warnings_of_the_guard(caplog)


def test_a_slow_tracker_takes_less_than_20_ms_of_the_sweep_for_a_trial(tmp_path):
    """Writing takes 0.1 s a trial, as an offline run does; the sweep waits for none of it."""
    written, taken = [], []
    observer = Planted(lambda trial, rows: (time.sleep(0.1), written.append(trial)), tmp_path)
    cell = make_cell(candidates=15)
    observer.on_start(make_sweep_plan(cell))
    for number in range(15):
        trial = select_trial(cell, number)
        started = time.perf_counter()
        for draw in trial.draws:
            observer.on_row(trial, make_result(trial, draw))
        taken.append(time.perf_counter() - started)
    assert sum(taken) / len(taken) < 0.02
    observer.on_finish(END)
    assert 15 == len(written)


@pytest.mark.parametrize(("setting", "interrupted"), [("EXIT_SECONDS", False), ("INTERRUPTED_SECONDS", True)])
def test_a_tracker_that_hangs_is_left_behind_with_one_warning(tmp_path, caplog, monkeypatch, setting, interrupted):
    monkeypatch.setattr(tracker, setting, 0.2)
    release = threading.Event()
    observers = Observers([Planted(lambda trial, rows: release.wait(20), tmp_path)])
    cell = make_cell()
    observers.on_start(make_sweep_plan(cell))
    for draw in (100, 101):
        observers.on_row(report_trial(cell, draw), make_result(report_trial(cell, draw), draw))
    started = time.monotonic()
    observers.on_finish(SweepSummary(Path("run"), {}, interrupted=interrupted))
    release.set()
    assert time.monotonic() - started < 2
    (warning,) = warnings_of_the_guard(caplog)
    assert "TrackingError: about" in warning
    assert "runs are not in W&B after 0.2 s; rows.jsonl has them all" in warning
    assert "python -m orchestrator.sync" in warning


HANGING_SERVER = """
import sys
from pathlib import Path
from tests.fakes.plans import make_cell, make_result, make_sweep_plan, report_trial
from orchestrator.callbacks import wandb
from orchestrator.callbacks.base import Observers, SweepSummary
from orchestrator.spec import WandbSettings

wandb.EXIT_SECONDS = 2.0
observers = Observers([wandb.wandb_observer(WandbSettings(mode="online"), Path(sys.argv[1]))])
cell = make_cell()
observers.on_start(make_sweep_plan(cell))
for draw in (100, 101):
    observers.on_row(report_trial(cell, draw), make_result(report_trial(cell, draw), draw))
observers.on_finish(SweepSummary(Path("run"), {}))
"""


def test_a_server_that_never_answers_does_not_keep_the_process(no_key):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        environment = {**os.environ, "WANDB_API_KEY": "x" * 40, "WANDB_BASE_URL": address}
        done = subprocess.run(
            [sys.executable, "-c", HANGING_SERVER, str(no_key)],
            capture_output=True, text=True, check=False, env=environment, timeout=60,
        )  # fmt: skip
    assert 0 == done.returncode
    assert 1 == len(done.stderr.splitlines()), done.stderr
    assert "about 3 runs are not in W&B after 2 s" in done.stderr
