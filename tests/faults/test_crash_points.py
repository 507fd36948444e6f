"""The driver dies at its n-th touch of the run folder, of all that it makes, half a write included."""

import json
import random
import subprocess
import sys

import pytest

from tests.fakes.sweep_process import ROOT

SAMPLED, ALL = 80, 110
"""The sweep touches its folder more often than the first, and less often than the second; then it simply ends."""


def answers(folder, points):
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crash_points", str(folder), *map(str, points)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    "points",
    [pytest.param(sorted(random.Random(5).sample(range(1, SAMPLED + 1), 8)), id="some"),
     pytest.param(range(1, ALL), id="all", marks=pytest.mark.nightly)],
)  # fmt: skip
def test_wherever_the_driver_dies_the_resume_gives_the_uninterrupted_rows(tmp_path, points):
    tried = answers(tmp_path, points)
    assert [] == [answer for answer in tried if answer["wrong"]]
    assert "the end" not in {answer["at"] for answer in tried if answer["point"] <= SAMPLED}
    assert "the end" == tried[-1]["at"] or tried[-1]["point"] <= SAMPLED
