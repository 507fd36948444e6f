"""Ctrl-C in the middle of a sweep: exit code, what is kept, the printed command, and the rows after it."""

import os
import shlex
import signal
import socket
import time

import pytest

from tests.fakes.sweep_process import finished, start, wait_for, wait_for_rows
from tests.fakes.sweeps import FAKES, comparable, plan_of, rows_of, run_sweep, spec_text

SLOW = f"""
  slow:
    class: {FAKES}:Slow
    space: {{gain: {{uniform: [0.1, 2.0]}}}}
"""
BACKENDS = ["inline", pytest.param("ray", marks=pytest.mark.ray)]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep file, the rows of the sweep when nothing interrupts it, and a function that completes a run of it."""
    folder = tmp_path_factory.mktemp("sweep")
    plan, series = plan_of(folder, SLOW)

    def complete(run):
        code, rows = run_sweep(plan, series, run, backend="inline", resume=True)
        assert 0 == code
        return comparable(rows)

    return folder / "sweep.yaml", comparable(run_sweep(plan, series, folder / "whole", backend="inline")[1]), complete


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_sweep_and_a_resume_completes_it(sweep, tmp_path, backend, number, code):
    spec, whole, complete = sweep
    run = tmp_path / "run"
    process = start(spec, "--backend", backend, "--output", run, "--quiet")
    assert wait_for_rows(run, 3, process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: Ray's processes get it, too
    else:
        process.send_signal(number)
    asked = time.monotonic()
    ended, out, err = finished(process)
    assert time.monotonic() - asked < 10
    assert code == ended, err
    assert "Traceback" not in err
    left = rows_of(run)
    assert 3 <= len(left) < 10
    assert {"ok"} == {row["status"] for row in left.values()}
    assert f"python -m orchestrator.sweep --resume {run}" == printed_command(out)
    assert whole == complete(run)


def printed_command(out: str) -> str:
    return next(line for line in out.splitlines() if line.startswith("interrupted")).split(": ", 1)[1]


def test_the_printed_command_completes_an_interrupted_sweep(sweep, tmp_path):
    spec, whole, _ = sweep
    process = start(spec, "--backend", "inline", "--output", tmp_path / "run", "--quiet")
    assert wait_for_rows(tmp_path / "run", 3, process)
    process.send_signal(signal.SIGINT)
    _, out, _ = finished(process)
    assert len(rows_of(tmp_path / "run")) < 10
    ended, _, err = finished(start(*shlex.split(printed_command(out))[3:], "--backend", "inline", "--quiet"))
    assert 0 == ended, err
    assert whole == comparable(rows_of(tmp_path / "run"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_signal_leaves_at_once_and_loses_nothing(sweep, tmp_path, backend):
    spec, whole, complete = sweep
    run = tmp_path / "run"
    process = start(spec, "--backend", backend, "--output", run, "--quiet")
    assert wait_for_rows(run, 2, process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    assert 130 == finished(process, within=15)[0]
    assert 2 <= len(rows_of(run)) < 10
    assert whole == complete(run)


@pytest.fixture
def deaf_tracker():
    """Environment of a W&B server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield {"WANDB_API_KEY": "x" * 40, "WANDB_BASE_URL": address}


@pytest.fixture
def tracked(tmp_path):
    """The sweep file with the tracker online."""
    spec = tmp_path / "tracked.yaml"
    spec.write_text(spec_text(SLOW, tracking="{wandb: {mode: online}}"))
    return spec


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_within_10_s_while_the_tracker_hangs(tracked, deaf_tracker, tmp_path, number, code):
    run = tmp_path / "run"
    process = start(tracked, "--backend", "inline", "--output", run, "--quiet", **deaf_tracker)
    assert wait_for_rows(run, 4, process)
    process.send_signal(number)
    asked = time.monotonic()
    ended, out, err = finished(process)
    assert time.monotonic() - asked < 10
    assert code == ended, err
    assert "Traceback" not in err
    assert f"interrupted; go on with: python -m orchestrator.sweep --resume {run}" in out


def test_a_signal_ends_the_last_wait_for_a_tracker_that_hangs(tracked, deaf_tracker, tmp_path):
    run = tmp_path / "run"
    process = start(tracked, "--backend", "inline", "--output", run, "--quiet", **deaf_tracker)
    assert wait_for_rows(run, 10, process)
    report = run / "report" / "index.html"
    assert wait_for(report.exists, process)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    asked = time.monotonic()
    ended, out, err = finished(process)
    assert time.monotonic() - asked < 5
    assert 130 == ended, err
    assert "Traceback" not in err
    assert "rows: 10 ok; 0 of 10 missing" in out


@pytest.mark.parametrize("after", [0.3, 1.0, 1.6])
def test_a_signal_before_the_first_row_leaves_quietly(sweep, tmp_path, after):
    process = start(sweep[0], "--backend", "inline", "--output", tmp_path / "run", "--quiet")
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    ended, _, err = finished(process, within=15)
    assert 130 == ended
    assert "Traceback" not in err
