"""What a sweep says where nobody watches: few lines, one of them for each failure, and nothing of Ray's own."""

import re
from pathlib import Path

import pytest

from tests.fakes.sweep_process import finished, start
from tests.fakes.sweeps import FAKES, KILLERS

SPEC = f"""
name: fifty
data: {{source: simulated, rows: 4000, max_score_windows: {{reference: 40, validation: 40, test: 40}}}}
few_shot: {{shots: [0, 8, 12, 16, 20], report_seeds: {{first: 100, count: 5}}, selection_seeds: {{first: 0, count: 2}}}}
tracking: {{wandb: {{mode: disabled}}}}
detectors:
  levels: {{class: "tests.fakes.savable_detectors:Levels"}}
  normal: {{class: "tests.fakes.savable_detectors:PacedNormal", pace: 0.0}}
  wrong: {{class: "{FAKES}:RaisingNone"}}
"""
OF_RAY = re.compile(
    r"raylet|ray\.init|ray::|Ray dashboard|Started a local Ray|ActorDied|WorkerCrashed|tune\.|Traceback"
)


@pytest.mark.parametrize("backend", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_fifty_trials_with_five_failures_take_under_sixty_lines(tmp_path, backend):
    (tmp_path / "sweep.yaml").write_text(SPEC)
    run = tmp_path / "run"
    code, out, err = finished(start(tmp_path / "sweep.yaml", "--backend", backend, "--output", run))
    assert 1 == code, err
    assert "rows: 5 failed, 45 ok; 0 of 50 missing" in out
    said = (out + err).splitlines()
    assert len(said) < 60, "\n".join(said)
    assert not OF_RAY.search(out + err), out + err
    failures = [line for line in said if line.startswith("failed ")]
    assert 5 == len(failures)
    for line in failures:
        trace = Path(line.partition("; trace: ")[2].partition(";")[0])
        assert "ValueError: planted error" in line
        assert "Traceback (most recent call last)" in trace.read_text()
    assert 5 == len({line.partition("; trace: ")[2].partition(";")[0] for line in failures})


@pytest.mark.ray
def test_a_worker_that_dies_is_a_line_with_a_trace_too(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SPEC.replace(f"{FAKES}:RaisingNone", f"{KILLERS}:DyingNone"))
    run = tmp_path / "run"
    fewer = ["--set", "few_shot.shots=[0, 8]", "--set", "few_shot.report_seeds.count=1"]
    code, out, err = finished(start(tmp_path / "sweep.yaml", "--output", run, *fewer))
    assert 1 == code, err
    assert not OF_RAY.search(out + err), out + err
    failures = [line for line in err.splitlines() if line.startswith("failed ")]
    assert 1 == len(failures)
    assert "the worker died; trace: " in failures[0]
    assert "died" in Path(failures[0].partition("; trace: ")[2]).read_text()
