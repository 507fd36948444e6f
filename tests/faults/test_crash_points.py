"""The driver dies at its n-th touch of the run folder, of all that it makes, half a write included."""

import json
import random
import subprocess
import sys

import pytest

from tests.fakes.sweep_process import ROOT

POINTS = 100
"""A few more than the sweep has; beyond the last one it simply ends."""


def answers(folder, points):
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crash_points", str(folder), *map(str, points)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    "points",
    [pytest.param(sorted(random.Random(5).sample(range(1, POINTS - 15), 8)), id="some"),
     pytest.param(range(1, POINTS), id="all", marks=pytest.mark.nightly)],
)  # fmt: skip
def test_wherever_the_driver_dies_the_resume_gives_the_uninterrupted_rows(tmp_path, points):
    tried = answers(tmp_path, points)
    assert "the end" not in {answer["at"] for answer in tried[:8]}
    assert [] == [answer for answer in tried if answer["wrong"]]


def test_no_point_is_beyond_those_that_are_tried(tmp_path):
    assert ["the end"] == [answer["at"] for answer in answers(tmp_path, [POINTS])]
