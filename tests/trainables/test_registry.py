"""Names of detectors, one's own classes, and settings that are refused."""

import pytest

from tests.fakes.detectors import InstantNormal
from trainables.errors import DetectorError
from trainables.protocol import TrialResources
from trainables.registry import build_detector, config_class, detector_entry, detector_names, load_class


def test_reference_detectors_come_first():
    assert ("random", "always_alarm", "moving_variance", "pca") == detector_names()[:4]


@pytest.mark.parametrize("name", detector_names())
def test_the_table_tells_labels_of_a_class_without_importing_it(name):
    assert load_class(detector_entry(name).path).labels == detector_entry(name).labels


def test_an_unknown_name_is_refused_with_the_nearest_known_one():
    with pytest.raises(DetectorError, match="did you mean random_forest\\? known: random, always_alarm"):
        detector_entry("random_forrest")


def test_a_name_like_no_other_is_refused_without_a_guess():
    with pytest.raises(DetectorError, match="unknown detector 'xyz'; known: random"):
        detector_entry("xyz")


def test_a_class_of_ones_own_tells_its_labels_itself():
    entry = detector_entry("mine", "tests.fakes.detectors:InstantNormal")
    assert (InstantNormal.labels, False) == (entry.labels, entry.gpu)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("module", "must look like module:Class"),
        (":Class", "must look like module:Class"),
        ("no_such_module:Class", "cannot import 'no_such_module'"),
        ("tests.fakes.detectors:None", "has no class 'None'"),
        ("tests.fakes.detectors:InstantConfig", "is not a detector: it lacks labels"),
    ],
)
def test_a_path_that_leads_to_no_detector_is_refused_in_words(path, message):
    with pytest.raises(DetectorError, match=message):
        load_class(path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("raise ValueError('no such plan')", "ValueError: no such plan (own.py:2)"),
        ("print(undefined)", "NameError: name 'undefined' is not defined (own.py:2)"),
        ("import math; math.nothing", "AttributeError: module 'math' has no attribute 'nothing' (own.py:2)"),
        ("import json; json.loads('{')", "(own.py:2)"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module' (own.py:2)"),
        ("raise RuntimeError('one\\ntwo')", "RuntimeError: one two (own.py:2)"),
        ("assert 1 > 2", "AssertionError (own.py:2)"),
        ("raise SystemExit(3)", "SystemExit: 3 (own.py:2)"),
        ("  x = 1", "IndentationError: unexpected indent (own.py, line 2)"),
    ],
)
def test_whatever_a_module_raises_at_import_is_one_line_with_its_place(tmp_path, monkeypatch, line, message):
    (tmp_path / "own.py").write_text(f"VALUE = 1\n{line}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DetectorError) as caught:
        load_class("own:Mine")
    told = str(caught.value)
    assert told.startswith("cannot import 'own' of class 'own:Mine': ")
    assert told.endswith(message)
    assert 1 == len(told.splitlines())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("UnknownLabels", "labels is 'some', must be one of none, normal, all"),
        ("ListedLabels", r"labels is \['none'\], must be one of"),
        ("ConfigAsADict", "Config is not a subclass of trainables.protocol.DetectorConfig"),
        ("ScoreAsANumber", "score is not a method"),
        ("BareConstructor", r"it cannot be constructed as Class\(config, resources\): too many positional"),
        ("SomeInstance", "it is an object, not a class"),
    ],
)
def test_a_class_that_no_sweep_could_plan_or_build_is_refused(name, message):
    with pytest.raises(DetectorError, match=f"{name} is not a detector: {message}"):
        load_class(f"tests.fakes.broken_detectors:{name}")


def test_all_wrong_settings_are_named_at_once():
    settings = {"n_estimator": 5, "max_depth": 0}
    with pytest.raises(DetectorError) as caught:
        build_detector("random_forest", settings, TrialResources())
    assert "n_estimator: unknown parameter; did you mean n_estimators? known: n_estimators, max_depth" in str(
        caught.value
    )
    assert "max_depth: Input should be greater than or equal to 1 (got 0)" in str(caught.value)


def test_a_detector_without_settings_says_that_none_are_known():
    with pytest.raises(DetectorError, match="seed: unknown parameter; known: none"):
        build_detector("random", {"seed": 1}, TrialResources())


def test_fields_of_the_config_are_what_a_search_may_use():
    assert ["steps", "top_channels"] == list(config_class("moving_variance").model_fields)
