"""A disk that fills up or turns read-only in mid-sweep: one message, whole rows, and a resume that completes them."""

import subprocess
from pathlib import Path

import pytest

from tests.fakes.sweep_process import finished, rows_written, start, wait_for_rows

ROOM = 100
"""MB: enough for everything."""


def mount(*arguments: object) -> None:
    done = subprocess.run(["mount", *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


@pytest.fixture
def disk(tmp_path: Path):
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={ROOM}m", "tmpfs", place)
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def message(err: str) -> str:
    """The one line of the sweep, beside the one about its log."""
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if "sweep.log: cannot write" not in line]
    assert 1 == len(lines), err
    return lines[0]


SIZES = [pytest.param(size, id=f"{size} kB", marks=pytest.mark.nightly) for size in (4, 8, 12, 16, 20, 28, 36, 60, 90)]


@pytest.mark.parametrize("kilobytes", [pytest.param(24, id="24 kB"), *SIZES])
def test_a_full_disk_is_one_message_and_the_resume_completes_the_rows(small, disk, kilobytes):
    mount("-o", f"remount,size={kilobytes}k", disk)
    run = disk / "run"
    code, _, err = finished(start(small.file, "--backend", "inline", "--quiet", "--output", run))
    assert 2 == code
    assert "cannot write: No space left on device; what is written is kept" in message(err)
    assert rows_written(run) < small.plan.rows
    mount("-o", f"remount,size={ROOM}m", disk)
    small.resume(run)
    small.assert_as_if_nothing_happened(run)


def test_a_disk_too_full_for_the_report_says_that_the_rows_are_complete(small, disk):
    run = small.copy_of_whole(disk / "run")
    mount("-o", "remount,size=400k", disk)
    code, out, err = finished(start("--resume", run, "--backend", "inline", "--quiet"))
    assert 1 == code
    assert "the rows are complete, but there is no report: " in message(err)
    assert f"rows: {small.plan.rows} ok; 0 of {small.plan.rows} missing" in out
    mount("-o", f"remount,size={ROOM}m", disk)
    small.resume(run)
    small.assert_as_if_nothing_happened(run)


def test_a_run_folder_that_turns_read_only_is_one_message_and_the_resume_completes_the_rows(small_slow, disk):
    run = disk / "run"
    process = start(small_slow.file, "--backend", "inline", "--quiet", "--output", run)
    assert wait_for_rows(run, 4, process)
    mount("--bind", run, run)  # a disk with open files cannot be remounted: what is opened from now on is refused
    mount("-o", "remount,ro,bind", run)
    code, _, err = finished(process)
    assert 2 == code
    assert "cannot write: Read-only file system; what is written is kept" in message(err)
    assert 4 <= rows_written(run) < small_slow.plan.rows
    subprocess.run(["umount", run], check=True)
    small_slow.resume(run)
    small_slow.assert_as_if_nothing_happened(run)
