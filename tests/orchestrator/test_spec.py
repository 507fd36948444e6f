"""Right sweep files: defaults, overrides, paths, round trip."""

import json
import pickle
from pathlib import Path

import pytest

from orchestrator.errors import SpecError
from orchestrator.space import Dimension
from orchestrator.spec import SweepSpec, load_spec
from trainables.settings import DataSettings

FAKE = "tests.fakes.detectors:Instant"


@pytest.fixture
def write(tmp_path: Path):
    """Return a function that writes a sweep file and returns its path."""

    def _write(text: str = "", *, detectors: str = f'{{mine: {{class: "{FAKE}"}}}}') -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"name: right\n{text}\ndetectors: {detectors}\n")
        return path

    return _write


def test_a_short_file_gets_every_default(write):
    spec = load_spec(write())
    assert ("average_precision", "tpe", 8.0, 900.0) == (
        spec.objective.metric,
        spec.search.sampler,
        spec.resources.gpu_memory_gb,
        spec.resources.draw_timeout_s,
    )
    assert (DataSettings(),) == spec.sources


def test_detectors_keep_their_order_settings_and_space(write):
    text = f'{{b: {{class: "{FAKE}", gain: 2, space: {{choice: {{int_uniform: [1, 4]}}}}}}, a: {{class: "{FAKE}"}}}}'
    spec = load_spec(write(detectors=text))
    assert ["b", "a"] == list(spec.detectors)
    assert {"gain": 2} == spec.detectors["b"].settings
    assert {"choice": Dimension("int_uniform", (1, 4))} == spec.detectors["b"].space
    assert "all" == spec.detectors["a"].labels


def test_the_resolved_file_reads_back_to_an_equal_spec(write, tmp_path: Path):
    text = f'{{b: {{class: "{FAKE}", gain: 1e-4, space: {{choice: {{choice: [1, 4]}}}}}}}}'
    spec = load_spec(write('data: [{name: "1e-4"}, {name: "on", segments: [2023-01-30]}]', detectors=text))
    again = tmp_path / "again.yaml"
    again.write_text(spec.to_yaml())
    assert spec == load_spec(again)


def test_a_spec_survives_pickling(write):
    spec = load_spec(write())
    assert spec == pickle.loads(pickle.dumps(spec))


def test_a_spec_cannot_be_changed(write):
    with pytest.raises(ValueError, match="frozen"):
        load_spec(write()).name = "other"


def test_evaluation_settings_belong_to_the_named_source(write):
    spec = load_spec(write("data: [{name: a, window: 8}, {name: b, window: 16}]"))
    assert 16 == spec.evaluation("b").data.window
    assert spec.evaluation(spec.sources[1]) == spec.evaluation("b")
    assert spec.search.select_on == spec.evaluation("a").select_on


def test_paths_start_from_the_folder_of_the_file(write, tmp_path: Path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.csv").touch()
    (tmp_path / "sub").mkdir()
    path = write("data: {source: table, path: data/t.csv}")
    monkeypatch.chdir(tmp_path / "sub")
    assert tmp_path / "data" / "t.csv" == load_spec(path).sources[0].path


def test_paths_of_options_start_from_the_current_folder(write, tmp_path: Path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "t.csv").touch()
    monkeypatch.chdir(tmp_path / "sub")
    spec = load_spec(write(), data=Path("t.csv"))
    assert ("table", tmp_path / "sub" / "t.csv") == (spec.sources[0].source, spec.sources[0].path)
    spec = load_spec(write(), overrides=["data.source=table", "data.path=t.csv"])
    assert tmp_path / "sub" / "t.csv" == spec.sources[0].path


def test_a_source_other_than_a_table_may_be_a_folder_and_keeps_its_reader(write, tmp_path: Path, monkeypatch):
    (tmp_path / "RE1-TT").mkdir()
    (tmp_path / "RE2-TT").mkdir()
    path = write("data: {source: rcaeval, path: RE1-TT}")
    assert tmp_path / "RE1-TT" == load_spec(path).sources[0].path
    monkeypatch.chdir(tmp_path)
    replaced = load_spec(path, data=Path("RE2-TT")).sources[0]
    assert ("rcaeval", tmp_path / "RE2-TT") == (replaced.source, replaced.path)
    with pytest.raises(SpecError, match="RE1-TT: is a folder, not a file"):
        load_spec(write("data: {source: table, path: RE1-TT}"))


def test_a_missing_data_option_is_told_with_the_option(write):
    with pytest.raises(SpecError, match=r"--data none.csv  data.path: .*none.csv: no such file"):
        load_spec(write(), data=Path("none.csv"))


def test_the_data_option_replaces_every_view_of_one_table(write, tmp_path: Path, monkeypatch):
    (tmp_path / "t.csv").touch()
    monkeypatch.chdir(tmp_path)
    spec = load_spec(write("data: [{name: a, window: 32}, {name: b, window: 64}]"), data=Path("t.csv"))
    assert [("a", 32, tmp_path / "t.csv"), ("b", 64, tmp_path / "t.csv")] == [
        (source.name, source.window, source.path) for source in spec.sources
    ]


def test_the_data_option_does_not_replace_two_tables_by_one(write):
    with pytest.raises(SpecError, match="its 2 sources read unlike telemetry"):
        load_spec(write("data: [{name: a, seed: 1}, {name: b, seed: 2}]"), data=Path("t.csv"))


def test_options_change_single_keys_and_the_last_counts(write):
    overrides = ["search.candidates=9", "few_shot.shots=[0, 7]", "split.parts.test=0.3", "split.parts.validation=0.2"]
    spec = load_spec(write(), overrides=[*overrides, "search.candidates=3"])
    assert (3, (0, 7), 0.3) == (spec.search.candidates, spec.few_shot.shots, spec.split.parts.test)


def test_options_reach_into_lists_and_detectors(write):
    spec = load_spec(
        write("data: [{name: a}, {name: b}]"),
        overrides=["data.1.window=64", "detectors.mine.space.choice.choice=[1, 2]"],
    )
    assert [32, 64] == [source.window for source in spec.sources]
    assert {"choice": Dimension("choice", (1, 2))} == spec.detectors["mine"].space


@pytest.mark.parametrize(
    ("option", "phrase"),
    [
        ("search.candidates", "--set search.candidates: must look like key.path=value"),
        ("=3", "--set =3: must look like key.path=value"),
        ("name.x=3", "--set name.x=3: name is no mapping and has no x"),
        ("search.seed=[1", "--set search.seed=[1: '[1' is not a YAML value"),
        ("search.racing=yes", "--set search.racing=yes: yes is read differently by YAML versions; write true"),
        ("search.candidates=0", "--set search.candidates=0  search.candidates: found 0; must be at least 1"),
        ("serach.seed=0", "--set serach.seed=0  serach: unknown key; did you mean search?"),
        ("search.sed=0", "--set search.sed=0  search.sed: unknown key; did you mean seed?"),
        ("detectors.mine.gian=0", "--set detectors.mine.gian=0  detectors.mine.gian: unknown parameter"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(write, option: str, phrase: str):
    with pytest.raises(SpecError) as caught:
        load_spec(write(), overrides=[option])
    assert any(problem.startswith(phrase) for problem in caught.value.problems), caught.value.problems


def test_a_class_outside_the_repository_is_found_and_its_paths_become_absolute(write, tmp_path: Path, monkeypatch):
    (tmp_path / "mine_with_folder.py").write_text(
        "from tests.fakes.detectors import Instant\n"
        "from trainables.protocol import DetectorConfig\n"
        "class Config(DetectorConfig):\n    folder: str\n"
        "class Mine(Instant):\n    Config = Config\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = load_spec(write(detectors='{own: {class: "mine_with_folder:Mine", folder: ./weights}}'))
    assert str(tmp_path / "weights") == spec.detectors["own"].settings["folder"]


def test_a_setting_without_default_that_is_not_given_is_missed(write, tmp_path: Path, monkeypatch):
    (tmp_path / "mine_with_need.py").write_text(
        "from tests.fakes.detectors import Instant\n"
        "from trainables.protocol import DetectorConfig\n"
        "class Config(DetectorConfig):\n    folder: str\n"
        "class Mine(Instant):\n    Config = Config\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SpecError, match=r"detectors.own.folder: is missing and has no default"):
        load_spec(write(detectors='{own: {class: "mine_with_need:Mine"}}'))


def test_a_class_that_is_no_python_is_one_message(write, tmp_path: Path, monkeypatch):
    (tmp_path / "mine_broken.py").write_text("class Mine(\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SpecError, match=r"detectors.own.class: .*mine_broken"):
        load_spec(write(detectors='{own: {class: "mine_broken:Mine"}}'))


def test_the_keys_of_the_spec_are_those_of_the_schema():
    from orchestrator.schema import sweep_schema

    assert set(SweepSpec.model_fields) == set(sweep_schema()["properties"])


def test_schema_is_plain_json():
    from orchestrator.schema import schema_text

    assert json.loads(schema_text())["title"] == "Sweep"


def test_a_setting_that_reads_a_mapping_as_one_value_may_be_written_so(write):
    spec = load_spec(write(detectors="{moment_lora: {channels: {keep: 16}}}"))
    assert 16 == spec.detectors["moment_lora"].settings["channels"]


def test_a_path_below_a_home_that_is_not_there_is_an_ordinary_path(write):
    with pytest.raises(SpecError, match=r"data\.path: .*~nobody-here/x\.csv"):
        load_spec(write("data: {source: table, path: ~nobody-here/x.csv}"))
