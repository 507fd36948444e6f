"""`python -m orchestrator.new`: a sweep file that fits a table and runs as it is."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from orchestrator.new import app
from orchestrator.spec import load_spec
from orchestrator.sweep import app as sweep
from tests.fakes.telemetry_table import STEP_S, clean_table


@pytest.fixture
def new():
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


def dry_run(path):
    return CliRunner().invoke(sweep, [str(path), "--dry-run"])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A table with labels, and one without them beside its incidents."""
    folder = tmp_path_factory.mktemp("shop")
    frame = clean_table(rows=2400, faults=10).assign(row_number=range(2400))
    frame.to_csv(folder / "shop.csv", index=False)
    frame.drop(columns=["label", "fault_type", "fault_service"]).to_parquet(folder / "metrics.parquet")
    first = frame[(frame.label == 1) & (frame.label.shift(fill_value=0) == 0)]
    pd.DataFrame(
        {
            "start": first.timestamp.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "duration": f"{24 * STEP_S}s",
            "service": first.fault_service,
            "type": first.fault_type,
        }
    ).to_csv(folder / "incidents.csv", index=False)
    return folder


def test_it_writes_a_file_that_passes_a_dry_run_and_says_why(new, shop, tmp_path):
    target = tmp_path / "shop.yaml"
    done = new("--data", shop / "shop.csv", "--output", target)
    assert (0, "") == (done.exit_code, done.stderr)
    spec = load_spec(target)
    (source,) = spec.sources
    assert (16, 4, ("row_number",)) == (source.window, source.score_stride, source.drop)
    assert ("event", 4) == (spec.split.by, spec.split.folds)
    assert "split.folds 4: 10 faults: roles rotate, so that each comes into the test part once" in done.stdout
    assert "Catching 10 of 10 test faults only says that 69% to 100%" in done.stdout
    assert "findings: 1 severe (clock), 0 to know: python -m trainables.data inspect" in done.stdout
    assert 0 == dry_run(target).exit_code


def test_metrics_and_incidents_become_a_sweep(new, shop, tmp_path):
    target = tmp_path / "metrics.yaml"
    done = new("--data", shop / "metrics.parquet", "--incidents", shop / "incidents.csv", "--output", target)
    assert (0, "") == (done.exit_code, done.stderr)
    plan = dry_run(target)
    assert (0, "") == (plan.exit_code, plan.stderr)
    assert "10 faults of 2 types (rows: 240 faulty, 2,160 normal)" in plan.stdout


def test_what_is_odd_about_the_incidents_is_told_with_the_file_and_with_a_refusal(new, shop, tmp_path):
    listed = (shop / "incidents.csv").read_text(encoding="utf-8").splitlines()
    (tmp_path / "odd.csv").write_text("\n".join([*listed, "1999-01-01T00:00:00Z,60s,,"]), encoding="utf-8")
    (tmp_path / "open.csv").write_text("\n".join([*listed[:3], f"{listed[3].split(',')[0]},,,"]), encoding="utf-8")
    done = new("--data", shop / "metrics.parquet", "--incidents", tmp_path / "odd.csv", "--output", tmp_path / "a.yaml")
    assert (0, "") == (done.exit_code, done.stderr)
    assert "Incidents that match no row: 1, line 12 (1999-01-01T00:00:00)." in done.stdout
    done = new(
        "--data", shop / "metrics.parquet", "--incidents", tmp_path / "open.csv", "--output", tmp_path / "b.yaml"
    )
    assert 2 == done.exit_code
    assert "has 2 labelled faults; at least 3 are needed" in done.stderr
    assert "Incidents without an end: 1, line 4" in done.stderr


def test_paths_in_the_file_start_from_its_folder(new, shop, tmp_path, monkeypatch):
    monkeypatch.chdir(shop)
    (tmp_path / "specs").mkdir()
    target = tmp_path / "specs" / "shop.yaml"
    assert 0 == new("--data", "shop.csv", "--output", target).exit_code
    monkeypatch.chdir(tmp_path)
    assert shop / "shop.csv" == load_spec(target).sources[0].path
    assert str(shop) not in target.read_text(encoding="utf-8")


def test_it_does_not_overwrite(new, shop, tmp_path):
    target = tmp_path / "mine.yaml"
    target.write_text("name: mine\n", encoding="utf-8")
    done = new("--data", shop / "shop.csv", "--output", target)
    assert 2 == done.exit_code
    assert f"{target}: exists and is not overwritten" in done.stderr
    assert "name: mine\n" == target.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("faults", "said"), [(0, "has no row labelled fault, only one class"), (2, "has 2 labelled faults")]
)
def test_too_few_faults_are_refused_and_nothing_is_written(new, tmp_path, faults, said):
    clean_table(rows=600, faults=faults).to_csv(tmp_path / "few.csv", index=False)
    done = new("--data", tmp_path / "few.csv", "--output", tmp_path / "few.yaml")
    assert 2 == done.exit_code
    assert said in done.stderr
    assert not (tmp_path / "few.yaml").exists()


def test_a_missing_folder_and_a_missing_table_are_named(new, shop, tmp_path):
    assert "no folder" in new("--data", shop / "shop.csv", "--output", tmp_path / "no" / "a.yaml").stderr
    assert "no such file" in new("--data", tmp_path / "no.csv", "--output", tmp_path / "a.yaml").stderr


def test_names_that_yaml_would_misread_survive(new, tmp_path):
    frame = clean_table(rows=2400, faults=10).assign(segment="1e3: [odd], 'name'")
    frame.to_parquet(tmp_path / "no.parquet")  # `no` is a boolean in YAML
    done = new("--data", tmp_path / "no.parquet", "--output", tmp_path / "odd.yaml")
    assert (0, "") == (done.exit_code, done.stderr)
    assert 0 == dry_run(tmp_path / "odd.yaml").exit_code


def test_help_shows_examples(new):
    done = new("--help")
    assert 0 == done.exit_code
    assert "python -m orchestrator.new --data metrics.parquet --incidents incidents.csv" in done.stdout


def test_the_written_file_runs_unedited(new, shop, tmp_path):
    """As written but for the number of draws, candidates and detectors, which only cost time."""
    target = tmp_path / "shop.yaml"
    assert 0 == new("--data", shop / "shop.csv", "--output", target).exit_code
    kept = "detectors={random: {}, moving_variance: {}, logistic_regression: {}}"
    less = [
        "few_shot.report_seeds.count=1",
        "search.candidates=1",
        "split.folds=1",
        "tracking.wandb.mode=disabled",
        kept,
    ]
    options = [word for option in less for word in ("--set", option)]
    done = CliRunner().invoke(sweep, [str(target), "--backend", "inline", "--output", str(tmp_path / "run"), *options])
    assert 0 == done.exit_code, done.output
    rows = [json.loads(line) for line in (tmp_path / "run" / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {"ok"} == {row["status"] for row in rows}


REAL = [
    "trainticket_traces_4s/trainticket_traces_4s.parquet",
    "trainticket_metrics_1min/2023-01-30.parquet",
    "onlineboutique_metrics_1min/2022-08-22.parquet",
    "sockshop_rcd_1s/sockshop_rcd.parquet",
    "sockshop_mesh_latency_1s/sockshop_mesh_latency.parquet",
    "smd_1min/machine-1-6.parquet",
    "smd_1min/machine-2-1.parquet",
    "smd_1min/machine-3-10.parquet",
    "smd_1min/machine-3-4.parquet",
    "asd_5min/asd.parquet",
    "trainticket_requests/trainticket_requests.parquet",
    "fixtures/trainticket_small.csv",
    "fixtures/trainticket_tiny_12f.csv",
]


@pytest.mark.slow
@pytest.mark.parametrize("table", REAL, ids=lambda table: Path(table).stem)
def test_a_dry_run_passes_on_every_real_table(new, shared_data, tmp_path, table):
    target = tmp_path / "real.yaml"
    done = new("--data", shared_data / table, "--output", target)
    assert (0, "") == (done.exit_code, done.stderr)
    plan = dry_run(target)
    assert (0, "") == (plan.exit_code, plan.stderr)
