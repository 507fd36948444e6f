"""Which cells exist, what identifies a trial, and what the plan counts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import PlanError
from orchestrator.plan import TrialPlan, cell_exists, make_plan, series_digest
from orchestrator.plan_view import plan_lines
from orchestrator.resources import Machine, plan_slots
from orchestrator.spec import SweepSpec, load_spec
from trainables.data import LabelledSeries, load_source

FAKES = "tests.fakes.detectors"
DETECTORS = f"""
  blind: {{class: "{FAKES}:InstantNone"}}
  normal: {{class: "{FAKES}:InstantNormal", space: {{gain: {{uniform: [1, 2]}}}}}}
  labelled: {{class: "{FAKES}:Instant", space: {{choice: {{choice: [1, 2]}}}}}}
"""
FEW = "few_shot: {shots: [20, 0, 40], selection_seeds: {first: 0, count: 2}, report_seeds: {first: 9, count: 3}}"


@pytest.fixture(scope="module")
def series() -> dict[str, LabelledSeries]:
    """Return a simulated source of 10,000 rows."""
    from trainables.settings import DataSettings

    return {"simulated": load_source(DataSettings())}


@pytest.fixture
def spec(tmp_path: Path):
    """Return a function that makes a spec of the three fakes."""

    def _spec(*overrides: str, few_shot: str = FEW) -> SweepSpec:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"name: plan\n{few_shot}\nsearch: {{candidates: 4}}\ndetectors:{DETECTORS}")
        return load_spec(path, overrides=overrides)

    return _spec


@pytest.mark.parametrize(
    ("labels", "shots", "exists"),
    [
        ("none", 0, True),
        ("none", 1, False),
        ("normal", 0, True),
        ("normal", 1, True),
        ("all", 0, False),
        ("all", 1, True),
    ],
)
def test_labels_decide_at_how_many_shots_a_detector_runs(labels: str, shots: int, exists: bool):
    assert exists == cell_exists(labels, shots)


def test_only_cells_that_exist_are_planned_and_only_above_0_shots_searched(spec, series):
    plan = make_plan(spec(), series)
    assert [
        ("blind", 0, 0),
        ("normal", 0, 0),
        ("normal", 20, 4),
        ("labelled", 20, 4),
        ("normal", 40, 4),
        ("labelled", 40, 4),
    ] == [(cell.detector, cell.shots, cell.candidates) for cell in plan.cells]
    assert all(bool(cell.space) == bool(cell.candidates) for cell in plan.cells)


def test_rows_and_trials_are_counted_as_they_will_be(spec, series):
    plan = make_plan(spec(), series)
    assert (6 * 3 + 4 * 4 * 2, 6 * 3 + 4 * 4) == (plan.rows, plan.trials)
    assert 6 * 3 + 4 * 4 == make_plan(spec("few_shot.seeds=searched"), series).rows


def test_each_fold_has_its_cells(spec, series):
    assert 12 == len(make_plan(spec("split.folds=2"), series).cells)


def identities(plan) -> set[str]:
    return {TrialPlan(cell, "report", None, {}, (9,)).id for cell in plan.cells}


@pytest.mark.parametrize(
    "override",
    ["search.candidates=9", "few_shot.shots=[0, 20, 40, 60]", "few_shot.report_seeds.count=9",
     "resources.gpu_memory_gb=4", "tracking.wandb.mode=disabled", "name=other", "resources.draw_timeout_s=7"],
)  # fmt: skip
def test_what_changes_no_number_changes_no_identity(spec, series, override: str):
    assert identities(make_plan(spec(), series)) <= identities(make_plan(spec(override), series))


@pytest.mark.parametrize(
    "override",
    ["data.window=40", "data.normalise=robust", "split.parts={support: 0.6, validation: 0.2, test: 0.2}",
     "few_shot.balance=natural", "threshold.quantile=0.9", "search.select_on=support_cv", "objective.metric=f1"],
)  # fmt: skip
def test_what_changes_a_number_changes_every_identity(spec, series, override: str):
    changed = spec(override) if "support_cv" not in override else spec(override, "detectors.normal.space={}")
    assert not identities(make_plan(spec(), series)) & identities(make_plan(changed, series))


def test_one_changed_value_changes_the_digest_of_a_series(series):
    original = series["simulated"]
    values = original.values.copy()
    values[17, 3] += 1
    assert series_digest(original) == series_digest(replace(original, name="renamed", notes=("read again",)))
    assert series_digest(original) != series_digest(replace(original, values=values))
    assert series_digest(original) != series_digest(replace(original, labels=np.zeros_like(original.labels)))


def test_too_few_windows_are_told_before_the_start_all_at_once(spec, series):
    with pytest.raises(PlanError) as caught:
        make_plan(spec("few_shot.shots=[0, 400000, 500000]"), series)
    assert "400,000" in str(caught.value) or "400000" in str(caught.value)
    assert "500,000" in str(caught.value) or "500000" in str(caught.value)


def view(plan, series) -> str:
    machine = Machine(2)
    return "\n".join(plan_lines(plan, series, machine, plan_slots(machine, plan.spec.resources)))


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ([], "racing: off, 2 selection draws; a signed-rank test needs 6"),
        (["few_shot.selection_seeds.count=6"], "racing: on"),
        (["search.racing=false"], "racing: off, search.racing is false"),
        (["few_shot.seeds=searched"], "racing: off, few_shot.seeds: searched has no draws in common"),
        (["search.candidates=2"], "search: mostly random: 2 candidates a searched cell, the first 2 a random start-up"),
        (["search.candidates=40"], "search: 40 candidates a searched cell, the first 8 a random start-up"),
        (["search.sampler=random"], "search: random, 4 candidates a searched cell"),
        ([], "simulated telemetry, 10,000 rows x 88 features"),
        ([], "rows: 50 from 34 trials in 6 cells"),
        ([], "2 trials at once (2 CPUs, 1 a trial); no GPU"),
        ([], "note: no reference row to beat"),
        ([], "time: roughly"),
        ([], "basis: constants: bundled backbone at 28 ms"),
    ],
)
def test_the_plan_says(spec, series, overrides: list[str], line: str):
    assert line in view(make_plan(spec(*overrides), series), series)


def test_the_plan_shows_what_reading_changed(spec, series):
    noted = {"simulated": replace(series["simulated"], notes=("3 infinite values were set to missing.",))}
    assert "  3 infinite values were set to missing." in view(make_plan(spec(), noted), noted)


def test_a_detector_runs_on_the_sources_that_it_names(tmp_path: Path, series):
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "name: two\nfew_shot: {shots: [0]}\ndata: [{name: a}, {name: b}]\ndetectors:\n"
        f'  everywhere: {{class: "{FAKES}:InstantNone"}}\n  once: {{class: "{FAKES}:InstantNone", sources: [b]}}\n'
    )
    plan = make_plan(load_spec(path), {"a": series["simulated"], "b": series["simulated"]})
    assert [("a", "everywhere"), ("b", "everywhere"), ("b", "once")] == [(c.source, c.detector) for c in plan.cells]
    assert plan.spec == load_spec(_written(tmp_path / "again.yaml", plan.spec.to_yaml()))


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_variant_of_a_built_in_class_is_of_its_kind(spec, series):
    cell = make_plan(spec(), series).cells[0]
    assert "tests.fakes.detectors" == cell.kind
    assert "moment_lora" == replace(cell, class_path="trainables.moment_lora:MomentLora").kind
    assert "pca" == replace(cell, detector="pca", class_path=None).kind


def test_a_fold_says_whether_it_saw_the_kind_that_it_holds_out(spec, series):
    plan = make_plan(spec("split.hold_out=fault_type", "split.kinds=[cpu_contention, memory_leak]"), series)
    assert {0: "unseen", 1: "seen", 2: "unseen", 3: "seen"} == {cell.fold: cell.exposure for cell in plan.cells}
    assert {None} == {cell.exposure for cell in make_plan(spec(), series).cells}
