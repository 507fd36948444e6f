"""A disk that fills up or turns read-only in mid-sweep: one message, whole rows, and a resume that completes them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.sweep_process import ROOT, finished, rows_written, start, wait_for_rows
from trainables.data.canonical import write_canonical
from trainables.data.readers import READERS
from trainables.settings import DataSettings

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


MAPPED = "from trainables.data import big_tables\nbig_tables.LARGE = 1024\nfrom orchestrator.sweep import app\napp()"
"""A sweep that maps every table above a kilobyte."""


def mapped(disk, *arguments) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", MAPPED, *arguments, "--backend", "inline", "--quiet"], cwd=ROOT,
        env={**os.environ, "FEWSHOT_SCRATCH": str(disk)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert [] == list(disk.glob("*.table"))
    return done.returncode, done.stdout, done.stderr


def no_room(disk) -> str:
    return rf"{disk}: a table of .* needs a file of \S+ MB there: No space left on device; .* in FEWSHOT_SCRATCH"


def test_a_disk_too_full_for_a_mapped_table_is_one_message(small, disk, tmp_path):
    table = tmp_path / "table.parquet"
    write_canonical(READERS["simulated"], DataSettings(rows=2500), table)
    mount("-o", "remount,size=24k", disk)
    code, _, err = mapped(disk, small.file, "--data", table, "--output", tmp_path / "run")
    assert 2 == code
    assert re.fullmatch(no_room(disk), message(err))
    assert not (tmp_path / "run").exists()


def test_a_disk_too_full_for_the_scaled_table_is_the_reason_of_every_draw(small, disk, tmp_path):
    mount("-o", "remount,size=24k", disk)
    code, _, err = mapped(disk, small.file, "--output", tmp_path / "run")  # what is simulated lies in memory
    assert 1 == code
    assert "" == err
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "run" / "rows.jsonl").read_text().splitlines()]
    assert reasons
    assert all(re.search(no_room(disk), reason) for reason in reasons)
