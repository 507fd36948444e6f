"""SIGKILL of workers at random moments: their draws run again under the same identity, and no row changes."""

import random
import time
from pathlib import Path

import pytest

from orchestrator.results import read_records
from tests.fakes.sweep_process import finished, ray_workers, rows_written, start, wait_for
from tests.faults.small_sweep import SmallSweep

pytestmark = pytest.mark.ray


def kill_workers(small: SmallSweep, run: Path, kills: int, seed: int) -> int:
    """Run on Ray while workers are killed, not twice within the same draws; return how many were hit."""
    chance, hit = random.Random(seed), 0
    process = start(small.file, "--output", run, "--quiet")
    for number in range(kills):
        reached = (number + 1) * small.plan.rows // (kills + 2)
        if not wait_for(lambda reached=reached: rows_written(run) >= reached and ray_workers(process), process):
            break
        time.sleep(chance.uniform(0, 0.2))
        victims = ray_workers(process)
        if victims:
            chance.choice(victims).kill()
            hit += 1
    code, out, err = finished(process, within=180)
    assert "Traceback" not in err
    assert 0 == code, out + err
    return hit


NIGHTLY = [pytest.param(seed, 3, marks=pytest.mark.nightly) for seed in range(400, 408)]


@pytest.mark.parametrize(("seed", "kills"), [(4, 3), *NIGHTLY])
def test_no_row_is_lost_doubled_or_changed(small_slow, tmp_path, seed, kills):
    run = tmp_path / "run"
    assert kills == kill_workers(small_slow, run, kills, seed)
    small_slow.assert_as_if_nothing_happened(run)
    assert max(int(row["attempts"]) for row in read_records(run)) <= 2
