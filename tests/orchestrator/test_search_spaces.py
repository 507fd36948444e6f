"""The sweep files that we ship: complete, within their schema, and as the documentation says."""

import json
from pathlib import Path

import jsonschema
import pytest

from orchestrator.errors import SpecError
from orchestrator.schema import SCHEMA_FILE, schema_text
from orchestrator.spec import SweepSpec, load_spec
from orchestrator.yaml_source import Value, load
from trainables.registry import detector_names
from trainables.settings import MissingByColumn

FOLDER = Path(__file__).resolve().parents[2] / "search_spaces"
FILES = sorted(FOLDER.glob("*.yaml"))


@pytest.fixture
def spec(tmp_path: Path):
    """Return a function that loads a shipped file; data that is not shipped is replaced by an empty table."""

    def _spec(name: str) -> SweepSpec:
        table = tmp_path / "trainticket.csv"
        table.touch()
        needs_data = name == "trainticket.yaml"
        return load_spec(FOLDER / name, data=table if needs_data else None)

    return _spec


def test_there_is_something_to_check():
    assert {"smoke.yaml", "fewshot.yaml", "trainticket.yaml", "trainticket_8gb.yaml", "ablations.yaml"} <= {
        path.name for path in FILES
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_shipped_file_is_right(spec, path: Path):
    assert path.stem == spec(path.name).name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_shipped_file_fits_the_schema_that_it_names(path: Path):
    assert "$schema=schema.json" in path.read_text().splitlines()[0]
    jsonschema.validate(load(path)[0], json.loads(SCHEMA_FILE.read_text()))


def test_the_schema_is_up_to_date():
    assert schema_text() == SCHEMA_FILE.read_text(), "run: python -m orchestrator.schema"


def test_the_schema_refuses_what_the_loader_refuses():
    schema = json.loads(SCHEMA_FILE.read_text())
    right = load(FOLDER / "smoke.yaml")[0]
    for key, value in (
        ("serach", {}),
        ("data", {"window": 33}),
        ("detectors", {"random_forrest": {}}),
        ("detectors", {}),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**right, key: value}, schema)


def keys(value: Value, prefix: str = "") -> set[str]:
    """Return the dotted keys of nested mappings."""
    if not isinstance(value, dict):
        return set()
    return {f"{prefix}{key}" for key in value}.union(*(keys(inner, f"{prefix}{key}.") for key, inner in value.items()))


def test_fewshot_spells_out_every_key(spec):
    written = keys({key: value for key, value in load(FOLDER / "fewshot.yaml")[0].items() if key != "detectors"})
    resolved = keys({key: value for key, value in spec("fewshot.yaml").dump().items() if key != "detectors"})
    assert set() == resolved - written
    assert not isinstance(spec("fewshot.yaml").sources[0].missing, MissingByColumn)


@pytest.mark.parametrize("name", ["fewshot.yaml", "trainticket.yaml", "trainticket_8gb.yaml"])
def test_the_main_jobs_run_a_dozen_detectors(spec, name: str):
    """A newcomer's detector may join them, or wait in a sweep file of its own."""
    assert set(spec(name).detectors) <= set(detector_names())
    assert 12 <= len(spec(name).detectors)


def test_trainticket_reads_its_table_beside_the_repository():
    with pytest.raises(SpecError) as caught:
        load_spec(FOLDER / "trainticket.yaml")
    assert 1 == len(caught.value.problems), caught.value.problems
    assert str(FOLDER.parent / "data" / "raw" / "trainticket.csv") in caught.value.problems[0]


def test_trainticket_deals_17_faults_as_7_4_and_6(spec):
    parts = spec("trainticket.yaml").split.parts
    assert [7, 4, 6] == [round(17 * share) for share in (parts.support, parts.validation, parts.test)]
