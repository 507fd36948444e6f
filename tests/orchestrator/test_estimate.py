"""Rough cost of a plan."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.estimate import FITS, REPORT_BYTES, REPORT_S, SPENT, START_S, estimate
from orchestrator.plan import Cell, SweepPlan
from orchestrator.resources import Slots
from orchestrator.spec import load_spec
from trainables.data import LabelledSeries, load_source
from trainables.settings import DataSettings

SLOTS = Slots(concurrent=2, gpu=0, trials_per_gpu=0, gpu_fraction=0.0, threads=1)
LORA = Cell(
    detector="moment_lora",
    class_path=None,
    labels="all",
    gpu=True,
    source="simulated",
    fold=0,
    shots=20,
    settings={"backbone": "bundled", "max_window_passes": 512},
    space={},
    candidates=0,
    selection_draws=(),
    report_draws=(1, 2),
    context="",
)


@pytest.fixture(scope="module")
def series() -> dict[str, LabelledSeries]:
    """Return a simulated source of 88 channels."""
    return {"simulated": load_source(DataSettings(rows=4000))}


@pytest.fixture
def plan(tmp_path: Path):
    """Return a function that makes a plan of the given cells with 100 scored and 100 reference windows."""
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "name: x\nfew_shot: {shots: [0, 20]}\ndata: {rows: 4000, max_score_windows: {reference: 100, test: 100}}\n"
        "detectors: {blind: {class: 'tests.fakes.detectors:InstantNone'}}\n"
    )
    spec = load_spec(path)

    def _plan(*cells: Cell) -> SweepPlan:
        return SweepPlan(spec, cells, {"simulated": spec.evaluation("simulated")}, {})

    return _plan


def test_lora_costs_its_passes_in_every_fit_and_its_scored_windows_shared_by_the_slots(plan, series):
    draw = FITS * SPENT * 200 * 0.028 + 200 * 0.010
    assert START_S + REPORT_S + 2 * draw / 2 == pytest.approx(estimate(plan(LORA), series, SLOTS).seconds)


def test_passes_are_capped(plan, series):
    few, many = (estimate(plan(replace(LORA, shots=shots)), series, SLOTS).seconds for shots in (100, 5000))
    assert few == many


def test_half_of_the_channels_cost_half(plan, series):
    half = {"simulated": replace(series["simulated"], values=np.ascontiguousarray(series["simulated"].values[:, :44]))}
    whole_s, half_s = (estimate(plan(LORA), one, SLOTS).seconds - START_S - REPORT_S for one in (series, half))
    assert whole_s == pytest.approx(2 * half_s)


def test_an_unmeasured_backbone_has_no_estimate_and_says_so(plan, series):
    cost = estimate(plan(replace(LORA, settings={"backbone": "AutonLab/MOMENT-1-large"})), series, SLOTS)
    assert cost.seconds is None
    assert "AutonLab/MOMENT-1-large" in cost.basis


def test_a_gpu_was_not_measured(plan, series):
    cost = estimate(plan(LORA), series, replace(SLOTS, gpu=1, trials_per_gpu=1, gpu_fraction=1.0))
    assert cost.seconds is None


def test_rows_and_score_files_take_space(plan, series):
    one, two = (estimate(plan(*[LORA] * number), series, SLOTS).disk_bytes for number in (1, 2))
    assert one - REPORT_BYTES == two - one > 0


def test_windows_that_frozen_weights_have_seen_are_not_computed_again(plan, series):
    probe = replace(LORA, detector="moment_linear_probe")
    two, four = (
        estimate(plan(replace(probe, report_draws=draws)), series, SLOTS).seconds for draws in ((1, 2), (1, 2, 3, 4))
    )
    assert 0 < four - two < 2 * 200 * 0.010
