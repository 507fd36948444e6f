"""SIGINT and SIGTERM: noted at once, striking only where nothing is being written."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.interrupts import Interrupts, SweepInterrupt

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_noted_and_strikes_only_where_it_may(number, code, capsys):
    interrupts = Interrupts()
    with interrupts.caught():
        os.kill(os.getpid(), number)
        assert code == interrupts.exit_code
        with pytest.raises(SweepInterrupt), interrupts.may_strike():
            pytest.fail("the block must not begin")
    assert "rows are kept" in capsys.readouterr().err


def test_a_signal_strikes_within_the_block(capsys):
    interrupts = Interrupts()

    def interrupted():
        with interrupts.may_strike():
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it should have struck")

    with interrupts.caught(), pytest.raises(SweepInterrupt):
        interrupted()
    capsys.readouterr()


def test_the_handlers_of_before_are_put_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupts().caught():
        assert before != signal.getsignal(signal.SIGINT)
    assert before == signal.getsignal(signal.SIGINT)


def test_the_second_signal_leaves_at_once():
    code = """
import os, signal
from orchestrator.interrupts import Interrupts
with Interrupts().caught():
    os.kill(os.getpid(), signal.SIGINT)
    print("first", flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    print("second", flush=True)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (130, "first\n") == (ended.returncode, ended.stdout)


def test_a_sweep_that_hangs_after_a_signal_is_ended():
    code = """
import os, signal, time
from orchestrator import interrupts
interrupts.LEAVE_S = 0.3
with interrupts.Interrupts().caught():
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(30)
    print("still there", flush=True)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (143, "") == (ended.returncode, ended.stdout)
    assert "something did not end within 0.3 s and is left; rows are kept: go on with --resume" in ended.stderr


def test_a_sweep_that_ends_in_time_is_not_ended_once_more():
    code = """
import os, signal, time
from orchestrator import interrupts
interrupts.LEAVE_S = 0.3
with interrupts.Interrupts().caught():
    os.kill(os.getpid(), signal.SIGINT)
time.sleep(0.6)
print("the end", flush=True)
"""
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (0, "the end\n") == (ended.returncode, ended.stdout)
