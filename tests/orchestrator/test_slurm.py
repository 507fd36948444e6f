"""Batch scripts for Slurm: what is asked for, and a job whose time limit strikes in mid-sweep."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cluster_commands import app
from orchestrator.slurm import Job, batch_script, time_problem
from tests.fakes import slurm
from tests.fakes.sweeps import comparable, plan_of, rows_of, run_sweep

ROOT = Path(__file__).parents[2]
PACED = '\n  paced: {class: "tests.fakes.savable_detectors:Paced", pace: 0.2}\n'


def test_the_script_asks_for_what_was_said_and_bash_reads_it(tmp_path):
    job = Job("mine", nodes=3, cpus=4, gpus=2, time="1-00:00:00", more=("partition=long",))
    text = batch_script(job, sys.executable, ["/a folder/sweep.yaml", "--set", "few_shot.shots=[0, 8]"])
    for option in ("nodes=3", "cpus-per-task=4", "gpus-per-task=2", "time=1-00:00:00", "partition=long", "requeue"):
        assert f"\n#SBATCH --{option}\n" in text
    assert "sweep=('/a folder/sweep.yaml' --set 'few_shot.shots=[0, 8]' --output \"$run\")" in text
    (tmp_path / "script").write_text(text)
    assert 0 == subprocess.run(["bash", "-n", str(tmp_path / "script")], check=False).returncode


def test_a_job_without_gpus_asks_slurm_for_none_and_tells_ray_so():
    text = batch_script(Job("mine", 1, 4, 0, "60"), sys.executable, ["sweep.yaml"])
    assert "gpus-per-task" not in text
    assert "--num-gpus=0" in text


@pytest.mark.parametrize("text", ["60", "04:00:00", "1-12:00:00", "90:00", "2-0"])
def test_times_are_taken_as_slurm_takes_them(text):
    assert time_problem(text) is None


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["slurm", "none.yaml"], "none.yaml: no such file"),
        (["slurm", "smoke.yaml", "--time", "4h"], "--time 4h: not a time limit; write minutes, HH:MM:SS"),
        (["slurm", "smoke.yaml", "--set", "search.candidates=0"], "must be at least 1"),
        (["slurm", "smoke.yaml", "--output", "there.sbatch"], "there.sbatch: exists and is not overwritten"),
    ],
)
def test_a_wrong_call_is_one_message_and_nothing_is_written(tmp_path, monkeypatch, arguments, phrase):
    shutil.copy(ROOT / "search_spaces" / "smoke.yaml", tmp_path)
    (tmp_path / "there.sbatch").write_text("kept")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert (2, "") == (result.exit_code, result.stdout)
    assert phrase in result.stderr
    assert {"smoke.yaml", "there.sbatch"} == {path.name for path in tmp_path.iterdir()}
    assert "kept" == (tmp_path / "there.sbatch").read_text()


@pytest.mark.ray
def test_a_job_whose_time_limit_strikes_goes_on_in_its_next_turn_to_the_same_rows(tmp_path):
    """Ray's symmetric-run refuses where it sees another Ray: the job gets process numbers and a /tmp/ray of its own."""
    plan, series = plan_of(tmp_path, PACED, ["few_shot.report_seeds.count=20", "few_shot.shots=[8]"])
    (tmp_path / "mine.yaml").write_text(plan.spec.to_yaml())
    written = CliRunner().invoke(
        app, ["slurm", str(tmp_path / "mine.yaml"), "--output", str(tmp_path / "job"), "--gpus", "0"]
    )
    assert f"{tmp_path / 'job'}: submit it with sbatch {tmp_path / 'job'}\n" == written.stdout
    slurm.install(tmp_path / "bin")
    run = tmp_path / "run"
    inner = f"mount -t tmpfs tmpfs /tmp/ray && exec {tmp_path}/bin/sbatch {tmp_path}/job 4 {run}/rows.jsonl"
    Path("/tmp/ray").mkdir(exist_ok=True)
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", inner],
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "RUN": str(run), "PYTHONPATH": str(ROOT),
             "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    if "unshare failed" in done.stderr or "permission denied" in done.stderr:
        pytest.skip(f"needs root: {done.stderr.splitlines()[0]}")
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "fake slurm: requeued after turn 1" in done.stderr
    assert "fake slurm: 2 turns, exit code 0" in done.stderr
    _, whole = run_sweep(plan, series, tmp_path / "whole", backend="inline")
    assert comparable(whole) == comparable(rows_of(run))
    assert 20 == len((run / "rows.jsonl").read_text().splitlines())
    assert 0o600 == (tmp_path / "token").stat().st_mode & 0o777
