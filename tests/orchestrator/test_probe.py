"""Costs measured before the start: how the parts of a draw add up, and that the sum is near the truth."""

import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import psutil
import pytest

from orchestrator.estimate import SPENT, estimate
from orchestrator.plan import TrialPlan
from orchestrator.probe import _Fits, _request, probe
from orchestrator.resources import Slots
from tests.fakes.sweep_process import finished, processes_below, start, wait_for
from tests.fakes.sweeps import FAKES, SEARCHED, plan_of, spec_text
from trainables.data import big_tables
from trainables.evaluate import run_trial
from trainables.probe import Measured, measure
from trainables.protocol import TrialResources

SLOTS = Slots(concurrent=2, gpu=0, trials_per_gpu=0, gpu_fraction=0.0, threads=1)


def test_training_is_stopped_early_and_the_rest_grows_with_the_shots():
    few = Measured(shots=20, fit=1.0, step=0.1, steps=20, look=0.5, looks=10)
    more = replace(few, shots=128, fit=1.0 + 108 * 0.01, steps=64)
    fits = _Fits([20, 500], [few, more])
    assert SPENT * (20 * 0.1 + 10 * 0.5) + 1.0 == pytest.approx(fits.seconds(20))
    assert SPENT * (64 * 0.1 + 10 * 0.5) + 1.0 + 480 * 0.01 == pytest.approx(fits.seconds(500))


def test_nothing_stops_training_where_nothing_is_held_out():
    assert 3.0 == pytest.approx(_Fits([20], [Measured(shots=20, fit=1.0, step=0.1, steps=20)]).seconds(20))


def test_a_probe_says_that_it_measured_and_how_much(tmp_path):
    plan, series = plan_of(tmp_path, SEARCHED)
    costs = probe(plan, series, SLOTS)
    assert "" == costs.unknown
    assert costs.basis.startswith("measured here: processor seconds of 1 cells, ")
    assert {cell.name for cell in plan.cells} == set(costs.cells)
    assert costs.basis == estimate(plan, series, SLOTS, costs).basis


def test_a_detector_that_fails_leaves_no_forecast_but_its_reason(tmp_path):
    plan, series = plan_of(tmp_path, f'\n  raising: {{class: "{FAKES}:Raising"}}\n')
    cost = estimate(plan, series, SLOTS, probe(plan, series, SLOTS))
    assert cost.seconds is None
    assert "the probe failed on raising-simulated-f0-k8: ValueError: planted error" in cost.basis


HANGING = f'\n  hanging: {{class: "{FAKES}:Hanging"}}\n'


def test_a_detector_that_hangs_in_its_first_fit_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.probe.WARM_UP_S", 0.3)
    plan, series = plan_of(tmp_path, HANGING)
    cell = plan.cells[0]
    (one,) = measure([_request(cell)], plan.settings[cell.source], series[cell.source], TrialResources())
    assert one.problem.startswith("DrawTimeoutError: ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_probe_that_is_ended_leaves_no_process_and_no_folder(tmp_path, number, code):
    (tmp_path / "sweep.yaml").write_text(spec_text(HANGING.replace("Hanging", "HangingInSight")), encoding="utf-8")
    process = start(tmp_path / "sweep.yaml", "--dry-run", "--probe", TMPDIR=str(tmp_path))
    assert wait_for((tmp_path / "fit").exists, process)
    below = processes_below(process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    ended, _, err = finished(process, within=20)
    assert (code, False) == (ended, "Traceback" in err), err
    gone, alive = psutil.wait_procs(below, timeout=10)
    assert ([], len(below)) == (alive, len(gone))
    assert below
    assert number == signal.SIGKILL or [] == list(tmp_path.glob("sweep-probe-*"))


def test_a_mapped_table_is_opened_by_the_processes_of_a_probe_not_copied(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWSHOT_SCRATCH", str(tmp_path))
    monkeypatch.setattr(big_tables, "LARGE", 0)
    plan, series = plan_of(tmp_path, SEARCHED)
    ((name, one),) = series.items()
    table = big_tables.empty(*one.values.shape)
    table[:] = one.values
    handed = []

    class Noted(ProcessPoolExecutor):
        def __init__(self, *arguments, initargs, **options):
            handed.append(initargs[1][name])
            super().__init__(*arguments, initargs=initargs, **options)

    monkeypatch.setattr("orchestrator.probe.ProcessPoolExecutor", Noted)
    assert "" == probe(plan, {name: replace(one, values=table)}, SLOTS).unknown
    assert [big_tables.StoredSeries] == [type(it) for it in handed]


@pytest.mark.slow
def test_a_forecast_is_within_30_percent_of_the_draws_that_follow(tmp_path):
    """Processor seconds of report and selection draws of every cell: other programs do not count."""
    detectors = """
  isolation_forest: {}
  random_forest: {space: {max_features: {choice: [sqrt, 0.2]}}}
  moment_lora: {max_window_passes: 32, held_out: 0}
"""
    overrides = ["data.rows=4000", "few_shot.shots=[0, 16]", "few_shot.report_seeds.count=1"]
    plan, series = plan_of(tmp_path, detectors, overrides)
    costs = probe(plan, series, SLOTS)
    forecast = truth = 0.0
    for cell in plan.cells:
        warm = run_of(cell, "report", 200, plan, series)
        assert "ok" == warm[0], warm
        for draw in cell.report_draws:
            truth += run_of(cell, "report", draw, plan, series)[1]
            forecast += costs.cells[cell.name].report
            if cell.candidates:
                truth += run_of(cell, "select", draw - 100, plan, series)[1]
                forecast += costs.cells[cell.name].select
    assert 0.7 < forecast / truth < 1.3


def run_of(cell, phase, draw, plan, series) -> tuple[str, float]:
    """Status and processor seconds of one draw."""
    ends = [0, -1] if phase == "report" else [draw % 2 - 1]
    settings = {name: dimension.values[ends[draw % len(ends)]] for name, dimension in cell.space.items()}
    trial = TrialPlan(cell, phase, 0 if phase == "select" else None, settings, (draw,))
    started = time.process_time()
    outcome = run_trial(trial.request(draw), plan.settings[cell.source], series[cell.source], TrialResources())
    return outcome.status, time.process_time() - started
