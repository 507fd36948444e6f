"""The command line of a sweep as a process of its own: started, watched by its rows, and made to end."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """Start `python -m orchestrator.sweep` in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "orchestrator.sweep", *map(str, arguments)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def finished(process: subprocess.Popen[str], *, within: float = 120) -> tuple[int, str, str]:
    """Wait for the end; exit code, standard output and standard error."""
    try:
        out, err = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, out, err


def rows_written(run: Path) -> int:
    path = run / "rows.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(what: Callable[[], bool], process: subprocess.Popen[str], *, within: float = 90) -> bool:
    """Wait until something is true; False if the process ended before."""
    deadline = time.monotonic() + within
    while not what():
        if process.poll() is not None:
            return False
        if time.monotonic() > deadline:
            process.kill()
            raise TimeoutError(f"not within {within:g} s: {process.communicate()}")
        time.sleep(0.01)
    return True


def wait_for_rows(run: Path, count: int, process: subprocess.Popen[str]) -> bool:
    """Wait for so many lines of rows; False if the process ended before."""
    return wait_for(lambda: rows_written(run) >= count, process)


def processes_below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """What a sweep has started; without Ray's agents, which take a minute to see that they are alone."""
    below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    return [child for child in below if "agent" not in _title(child).lower()]


def ray_workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The Ray workers below a sweep that run trials."""
    return [child for child in psutil.Process(process.pid).children(recursive=True) if "Trainable" in _title(child)]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
