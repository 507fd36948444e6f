"""Ctrl-C in the middle of a sweep: exit code, what is kept, the printed command, and the rows after it."""

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fakes.sweeps import FAKES, comparable, plan_of, rows_of, run_sweep, spec_text

ROOT = Path(__file__).parents[2]
SLOW = f"""
  slow:
    class: {FAKES}:Slow
    space: {{gain: {{uniform: [0.1, 2.0]}}}}
"""
BACKENDS = ["inline", pytest.param("ray", marks=pytest.mark.ray)]


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator.sweep", *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for_rows(run, count, process):
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        if (run / "rows.jsonl").exists() and (run / "rows.jsonl").read_bytes().count(b"\n") >= count:
            return
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"no {count} rows: {process.communicate()}")


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(spec_text(SLOW))
    return path


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_sweep_and_the_printed_command_completes_it(spec, tmp_path, backend, number, code):
    run = tmp_path / "run"
    process = start(spec, "--backend", backend, "--output", run, "--quiet")
    wait_for_rows(run, 3, process)
    process.send_signal(number)
    asked = time.monotonic()
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - asked < 10
    assert code == process.returncode, err
    assert "Traceback" not in err
    left = rows_of(run)
    assert 3 <= len(left) < 10
    assert {"ok"} == {row["status"] for row in left.values()}
    command = next(line for line in out.splitlines() if line.startswith("interrupted")).split(": ", 1)[1]
    assert f"python -m orchestrator.sweep --resume {run}" == command
    resumed = start(*shlex.split(command)[3:], "--backend", "inline", "--quiet")
    out, err = resumed.communicate(timeout=120)
    assert 0 == resumed.returncode, err
    plan, series = plan_of(tmp_path, SLOW)
    _, whole = run_sweep(plan, series, tmp_path / "whole", backend="inline")
    assert comparable(whole) == comparable(rows_of(run))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_signal_leaves_at_once_with_whole_rows(spec, tmp_path, backend):
    run = tmp_path / "run"
    process = start(spec, "--backend", backend, "--output", run, "--quiet")
    wait_for_rows(run, 2, process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=15)
    assert 130 == process.returncode
    assert len(rows_of(run)) >= 2
