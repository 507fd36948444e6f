"""The driver dies at its n-th touch of the run folder, of all that it makes, half a write included."""

import json
import random
import subprocess
import sys

import pytest

from tests.fakes.sweep_process import ROOT

TOUCHES = {"new": (80, 110), "resumed": (60, 90), "extended": (16, 40)}
"""Each scene touches the folder more often than the first, and less often than the second; then it simply ends."""


def answers(folder, scene, points):
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.crash_points", str(folder), scene, *map(str, points)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(("scene", "count"), [("new", 5), ("resumed", 3), ("extended", 2)])
def test_wherever_the_driver_dies_the_resume_gives_the_uninterrupted_rows(tmp_path, scene, count):
    points = sorted(random.Random(5).sample(range(1, TOUCHES[scene][0] + 1), count))
    tried = answers(tmp_path, scene, points)
    assert points == [answer["point"] for answer in tried]
    assert "the end" not in {answer["at"] for answer in tried}
    assert [] == [answer for answer in tried if answer["wrong"]]


@pytest.mark.nightly
@pytest.mark.parametrize("scene", TOUCHES)
def test_at_no_touch_at_all_anything_is_lost(tmp_path, scene):
    fewest, most = TOUCHES[scene]
    tried = answers(tmp_path, scene, range(1, most + 1))
    assert "the end" not in {answer["at"] for answer in tried[:fewest]}
    assert "the end" == tried[-1]["at"]
    assert [] == [answer for answer in tried if answer["wrong"]]
