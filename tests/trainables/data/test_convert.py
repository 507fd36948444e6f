"""The command that writes canonical tables: what it says, what it refuses, what it keeps."""

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.fakes.layouts import LAYOUTS, START, put
from trainables.data import load_source
from trainables.data.__main__ import app
from trainables.settings import DataSettings


def run(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


def test_an_export_and_its_incidents_become_a_labelled_table(tmp_path):
    source = LAYOUTS["long_csv"].write(tmp_path)
    incidents = put(tmp_path / "incidents.csv", f"start,duration,type\n{START + 60},60,cpu\n{START + 9999},60,late\n")
    done = run("long_csv", source, "--incidents", incidents, "--to", tmp_path / "table.parquet")
    assert (0, "") == (done.exit_code, done.stderr)
    assert "telemetry, 20 rows x 2 features" in done.stdout
    assert "segments: 1; faults: 1 (cpu 1)" in done.stdout
    assert "rows: 16 normal, 4 fault" in done.stdout
    assert "note: Incidents that match no row: 1, line 3" in done.stdout
    assert ["incidents.csv", "samples.csv", "table.parquet"] == sorted(path.name for path in tmp_path.iterdir())


def test_simulated_telemetry_still_says_so_after_conversion(tmp_path):
    done = run("simulated", "--rows", 1000, "--seed", 3, "--to", tmp_path / "table.parquet")
    assert "simulated telemetry, 1,000 rows x 88 features" in done.stdout
    series = load_source(DataSettings(source="table", path=tmp_path / "table.parquet"))
    assert series.simulated
    assert "Simulated telemetry (seed 3), not measured on a real system." in series.notes


def test_a_declared_zone_does_not_shift_times_that_are_in_utc(tmp_path):
    table = tmp_path / "table.parquet"
    run("long_csv", LAYOUTS["long_csv"].write(tmp_path), "--to", table)
    here, there = (load_source(DataSettings(source="table", path=table, timezone=z)) for z in (None, "Asia/Tokyo"))
    assert here.timestamps.tolist() == there.timestamps.tolist()


def test_a_long_recording_has_several_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.data.canonical.ROW_GROUP", 400)
    run("simulated", "--rows", 1000, "--to", tmp_path / "table.parquet")
    assert [400, 400, 200] == [
        pq.ParquetFile(tmp_path / "table.parquet").metadata.row_group(n).num_rows for n in range(3)
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["prometeus", "x"], "unknown source 'prometeus'; did you mean prometheus?"),
        (["prometheus"], "source prometheus needs a path"),
        (["simulated", "x.csv"], "source simulated takes neither path nor incidents"),
        (["simulated", "--rows", "3"], "--rows: Input should be greater than or equal to 1000"),
        (["table", "x.csv", "--rows", "2000"], "--rows and --seed are for simulated, not for table"),
        (["table", "absent.csv"], "absent.csv: no such file"),
    ],
)
def test_what_cannot_be_converted_is_one_message_and_exit_code_2(tmp_path, arguments, says):
    done = run(*arguments, "--to", tmp_path / "table.parquet")
    assert (2, "") == (done.exit_code, done.stdout)
    assert says in done.stderr
    assert 1 == done.stderr.count("\n")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("to", "says"),
    [
        ("table.csv", "name it .parquet"),
        ("there.parquet", "exists; choose another name or add --force"),
        ("no/folder/table.parquet", "there is no folder"),
    ],
)
def test_a_target_that_cannot_be_written_is_refused_before_anything_is_read(tmp_path, to, says):
    put(tmp_path / "there.parquet", "mine")
    done = run("table", "absent.csv", "--to", tmp_path / to)
    assert 2 == done.exit_code
    assert says in done.stderr
    assert "mine" == (tmp_path / "there.parquet").read_text()


def test_force_replaces_the_table(tmp_path):
    target = put(tmp_path / "table.parquet", "old")
    done = run("simulated", "--rows", 1000, "--to", target, "--force")
    assert 0 == done.exit_code
    assert 1000 == pq.ParquetFile(target).metadata.num_rows
