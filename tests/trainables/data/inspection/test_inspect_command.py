"""`python -m trainables.data inspect` from file to console, JSON and page."""

import json
import re

import pytest
from typer.testing import CliRunner

from tests.fakes.telemetry_table import clean_table
from trainables.data.__main__ import app


@pytest.fixture
def run():
    return lambda *arguments: CliRunner().invoke(app, ["inspect", *map(str, arguments)])


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("tables") / "shop.csv"
    clean_table(rows=3000, faults=10).assign(uptime_s=range(3000)).to_csv(path, index=False)
    return path


def test_it_prints_and_writes_what_it_found(run, table, tmp_path):
    done = run(table, "--output", tmp_path / "audit")
    assert (0, "") == (done.exit_code, done.stderr)
    assert "shop: telemetry, 3,000 rows x 17 columns every 30 s" in done.stdout
    assert "data: {drop: ['uptime_s']}" in done.stdout
    told = json.loads((tmp_path / "audit" / "shop.inspection.json").read_text(encoding="utf-8"))
    assert 10 == told["facts"]["faults"]
    assert ["clock"] == [finding["kind"] for finding in told["findings"] if finding["severity"] == "severe"]
    assert ["uptime_s"] == told["suggestion"]["data"]["drop"]


def test_the_page_stands_alone(run, table, tmp_path):
    run(table, "--output", tmp_path)
    page = (tmp_path / "shop.inspection.html").read_text(encoding="utf-8")
    assert [] == re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']*""", page)
    assert "<script" not in page
    assert 3 == page.count("<figure>")  # nothing is missing, so there is no map of it
    assert "Clopper-Pearson" in page


def test_a_column_cannot_smuggle_markup_into_the_page(run, tmp_path):
    frame = clean_table(rows=1500, faults=5).assign(**{"<script>alert(1)</script>": range(1500)})
    frame.to_csv(tmp_path / "odd.csv", index=False)
    done = run(tmp_path / "odd.csv", "--output", tmp_path)
    assert 0 == done.exit_code
    assert "<script" not in (tmp_path / "odd.inspection.html").read_text(encoding="utf-8")


def test_a_table_without_labels_is_inspected_all_the_same(run, tmp_path):
    clean_table(rows=600, faults=2).drop(columns=["label", "fault_type", "fault_service"]).to_csv(
        tmp_path / "bare.csv", index=False
    )
    done = run(tmp_path / "bare.csv", "--output", tmp_path)
    assert 0 == done.exit_code
    assert "No sweep can be made of this table" in done.stdout
    assert "incidents" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("absent.csv",), "absent.csv: no such file"),
        (("a", "--source", "rcaevl"), "--source rcaevl: no such reader; did you mean rcaeval?"),
        (("simulated", "--incidents", "i.csv"), "simulated telemetry has its labels"),
        (("a.csv", "b.csv", "--incidents", "i.csv"), "--incidents goes with one table"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, arguments, said):
    done = run(*arguments)
    assert 2 == done.exit_code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_written_is_named(run, table, tmp_path):
    (tmp_path / "file").write_text("")
    done = run(table, "--output", tmp_path / "file")
    assert 2 == done.exit_code
    assert "choose another folder with --output" in done.stderr
