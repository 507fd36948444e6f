"""What every backend must do: the same rows, a status for each way to fail, a resume of exactly what is missing."""

from collections import Counter

import pytest

from tests.fakes.sweeps import FAKES, KILLERS, SEARCHED, comparable, plan_of, rows_of, run_sweep

BACKENDS = ["inline", pytest.param("ray", marks=pytest.mark.ray)]

EVERYTHING = (
    SEARCHED
    + f"""
  good: {{class: "{FAKES}:InstantNormal"}}
  raising: {{class: "{FAKES}:Raising"}}
  hanging: {{class: "{FAKES}:Hanging"}}
  nan: {{class: "{FAKES}:ReturningNan"}}
  shape: {{class: "{FAKES}:ReturningWrongShape"}}
  hungry: {{class: "{FAKES}:MemoryHungry"}}
  unpicklable: {{class: "{KILLERS}:RaisingUnpicklable"}}
"""
)

EXPECTED = {
    "searched": ("ok", ""),
    "good": ("ok", ""),
    "raising": ("failed", "ValueError: planted error"),
    "hanging": ("timeout", "DrawTimeoutError: the draw ran longer than 1 s (resources.draw_timeout_s)"),
    "nan": ("failed", "NonFiniteError: "),
    "shape": ("failed", "DetectorError: score returned shape"),
    "hungry": ("oom", "MemoryError: planted: 1 TB asked for"),
    "unpicklable": ("failed", "UnpicklableError: planted"),
}
QUICK = ["resources.draw_timeout_s=1"]


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """Return a function that runs the sweep with every way to fail, once a backend."""
    done = {}

    def _run(backend):
        if backend not in done:
            folder = tmp_path_factory.mktemp(backend)
            plan, series = plan_of(folder, EVERYTHING, QUICK)
            done[backend] = (plan, folder / "run", *run_sweep(plan, series, folder / "run", backend=backend))
        return done[backend]

    return _run


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_way_to_fail_becomes_a_row_with_its_status(everything, backend):
    plan, _, code, rows = everything(backend)
    assert 1 == code
    assert plan.rows == len(rows)
    for name, (status, reason) in EXPECTED.items():
        mine = [row for row in rows.values() if row["detector"] == name]
        assert {status} == {row["status"] for row in mine}, name
        assert all(row["reason"].startswith(reason) for row in mine), mine[0]["reason"]
        assert all((row["average_precision"] is None) == (status != "ok") for row in mine if "average_precision" in row)


@pytest.mark.parametrize("backend", BACKENDS)
def test_draws_that_succeed_have_score_files_and_no_others_do(everything, backend):
    _, run, _, rows = everything(backend)
    expected = {f"{trial}-{draw}.parquet" for (trial, draw), row in rows.items() if row["status"] == "ok"}
    assert expected == {path.name for path in (run / "scores").iterdir()}


@pytest.mark.ray
def test_rows_are_equal_across_backends(everything):
    inline, on_ray = everything("inline")[3], everything("ray")[3]
    assert comparable(inline) == comparable(on_ray)


@pytest.mark.parametrize("backend", BACKENDS)
def test_resume_runs_exactly_what_is_missing(everything, backend, tmp_path):
    plan, series = plan_of(tmp_path, SEARCHED)
    run = tmp_path / "run"
    code, whole = run_sweep(plan, series, run, backend="inline")
    lines = (run / "rows.jsonl").read_text().splitlines(keepends=True)
    (run / "rows.jsonl").write_text("".join(lines[:5]) + lines[5][:20])
    code, rows = run_sweep(plan, series, run, backend=backend, resume=True)
    assert 0 == code
    assert comparable(whole) == comparable(rows)
    assert len(lines) == len((run / "rows.jsonl").read_text().splitlines())
    assert lines[:5] == (run / "rows.jsonl").read_text().splitlines(keepends=True)[:5]


@pytest.mark.ray
def test_a_draw_whose_worker_dies_runs_once_more_and_then_fails(tmp_path):
    marker = tmp_path / "died"
    detectors = f"""
  once: {{class: "{KILLERS}:DyingOnce", marker: {marker}}}
  dying: {{class: "{KILLERS}:Dying"}}
  good: {{class: "{FAKES}:InstantNormal"}}
"""
    plan, series = plan_of(tmp_path, detectors)
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="ray")
    seen = Counter((row["detector"], row["status"], row["attempts"]) for row in rows.values())
    expected = {("dying", "failed", 2): 2, ("good", "ok", 1): 4}
    assert 1 == code
    assert expected.items() <= seen.items()
    assert {"ok"} == {row["status"] for row in rows.values() if row["detector"] == "once"}
    assert 2 == max(row["attempts"] for row in rows.values() if row["detector"] == "once")
    assert {"the worker died"} == {row["reason"] for row in rows.values() if row["detector"] == "dying"}


@pytest.mark.ray
def test_a_draw_that_hangs_in_c_code_ends_with_its_worker(tmp_path):
    detectors = f"""
  stuck: {{class: "{KILLERS}:HangingInC"}}
  good: {{class: "{FAKES}:InstantNormal"}}
"""
    plan, series = plan_of(tmp_path, detectors, QUICK)
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="ray")
    seen = Counter((row["detector"], row["status"], row["attempts"]) for row in rows.values())
    assert 1 == code
    assert {("stuck", "timeout", 1): 2, ("good", "ok", 1): 4} == seen


@pytest.mark.ray
def test_a_cluster_of_two_nodes_gives_the_same_rows(tmp_path):
    from ray.cluster_utils import Cluster

    plan, series = plan_of(tmp_path, SEARCHED)
    _, inline = run_sweep(plan, series, tmp_path / "inline", backend="inline")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        code, rows = run_sweep(plan, series, tmp_path / "run", backend="ray", address=cluster.address)
    finally:
        cluster.shutdown()
    assert 0 == code
    assert comparable(inline) == comparable(rows)


@pytest.mark.ray
def test_a_run_folder_holds_its_layout_and_nothing_of_tune(everything):
    _, run, _, _ = everything("ray")
    files = {"manifest.json", "optuna.journal", "results.parquet", "rows.jsonl", "spec.yaml", "sweep.log"}
    assert files | {"scores", "traces", "winners"} == {path.name for path in run.iterdir()} - {"report"}


def test_failed_draws_run_again_only_when_asked(tmp_path):
    detectors = f'\n  raising: {{class: "{FAKES}:Raising"}}\n'
    plan, series = plan_of(tmp_path, detectors)
    run = tmp_path / "run"
    run_sweep(plan, series, run, backend="inline")
    run_sweep(plan, series, run, backend="inline", resume=True)
    assert {1} == {row["attempts"] for row in rows_of(run).values()}
    code, rows = run_sweep(plan, series, run, backend="inline", resume=True, retry_failed=True)
    assert {2} == {row["attempts"] for row in rows.values()}
    assert 1 == code
