"""A draw that runs too long is ended: in Python code by an exception, in C code with its process."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trainables.errors import DrawTimeoutError
from trainables.watchdog import time_limit

ROOT = Path(__file__).parents[2]


def limited(seconds, work):
    with time_limit(seconds, hard=False):
        work()


def test_a_python_loop_is_ended():
    def endless():
        while True:
            time.sleep(0.01)

    started = time.monotonic()
    with pytest.raises(DrawTimeoutError, match=r"longer than 0\.1 s"):
        limited(0.1, endless)
    assert time.monotonic() - started < 1


def test_a_library_that_catches_everything_does_not_swallow_the_limit():
    def stubborn():
        while True:
            try:
                time.sleep(0.01)
            except Exception:
                continue

    with pytest.raises(DrawTimeoutError):
        limited(0.1, stubborn)


def test_a_blow_that_falls_where_it_is_swallowed_is_followed_by_another():
    swallowed = []

    def swallowing():
        while True:
            try:
                time.sleep(10)
            except DrawTimeoutError:
                swallowed.append(1)
                if len(swallowed) == 2:
                    raise

    with pytest.raises(DrawTimeoutError):
        limited(0.05, swallowing)
    assert 2 == len(swallowed)


def test_a_quick_block_is_left_alone_and_so_is_what_follows():
    with time_limit(0.1, hard=True):
        result = 1 + 1
    time.sleep(0.2)
    assert 2 == result


def test_only_the_main_thread_can_be_limited():
    errors: list[BaseException] = []

    def in_thread() -> None:
        try:
            limited(1, lambda: None)
        except RuntimeError as err:
            errors.append(err)

    thread = threading.Thread(target=in_thread)
    thread.start()
    thread.join()
    assert ["time_limit works in the main thread only: signals arrive there"] == [str(err) for err in errors]


def test_code_that_cannot_be_interrupted_ends_with_its_process():
    code = """
import re
from trainables import watchdog
watchdog.GRACE_S = 0.3
with watchdog.time_limit(0.2, hard=True):
    re.match(r"(a+)+$", "a" * 64 + "b")
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert 1 == ended.returncode
    assert "Timeout" in ended.stderr
