"""SIGKILL of the driver at random moments, and a last line that was cut: --resume gives the uninterrupted rows."""

import random
import time
from pathlib import Path

import psutil
import pytest

from tests.fakes.sweep_process import finished, processes_below, rows_written, start, wait_for_rows
from tests.faults.small_sweep import SmallSweep


def run_with_kills(small: SmallSweep, run: Path, kills: int, seed: int, backend: str) -> list[int]:
    """Start, kill, go on, kill ...; how many rows were there at each kill."""
    chance, killed = random.Random(seed), []
    for _ in range(kills):
        began = (run / "spec.yaml").exists()
        arguments = ["--resume", run] if began else [small.file, "--output", run]
        process = start(*arguments, "--backend", backend, "--quiet")
        there = rows_written(run)
        wait_for_rows(run, there + chance.randint(0, (small.plan.rows - there) // 2), process)
        time.sleep(chance.uniform(0, 0.1))
        below = processes_below(process)
        process.kill()
        finished(process)
        assert [] == psutil.wait_procs(below, timeout=60)[1]  # a Ray that nobody needs ends by itself
        killed.append(rows_written(run))
    return killed


NIGHTLY = [pytest.param(seed, 4, "inline", marks=pytest.mark.nightly) for seed in range(100, 106)]
NIGHTLY += [pytest.param(seed, 3, "ray", marks=[pytest.mark.nightly, pytest.mark.ray]) for seed in range(200, 203)]


@pytest.mark.parametrize(("seed", "kills", "backend"), [(1, 3, "inline"), *NIGHTLY])
def test_rows_are_those_of_a_run_that_nothing_happened_to(small, tmp_path, seed, kills, backend):
    killed = run_with_kills(small, tmp_path / "run", kills, seed, backend)
    small.resume(tmp_path / "run", backend=backend)
    small.assert_as_if_nothing_happened(tmp_path / "run")
    print(f"killed {backend} with {killed} of {small.plan.rows} rows")


@pytest.mark.parametrize("seed", [3, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(300, 310))])
def test_a_cut_last_line_is_run_again(small, tmp_path, seed):
    run, chance = small.copy_of_whole(tmp_path / "run"), random.Random(seed)
    lines = (run / "rows.jsonl").read_bytes().splitlines(keepends=True)
    kept = chance.randrange(len(lines))
    cut = lines[kept][: chance.randint(1, len(lines[kept]) - 1)]
    (run / "rows.jsonl").write_bytes(b"".join(lines[:kept]) + cut)
    small.resume(run)
    small.assert_as_if_nothing_happened(run)
