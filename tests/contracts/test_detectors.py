"""Every detector of the registry through every check that applies to it."""

from collections.abc import Mapping

import pytest
from typer.testing import CliRunner

from trainables.contract import app, checks_for, run_checks, subject_of
from trainables.protocol import Scalar
from trainables.registry import detector_entry, detector_names

FAST: Mapping[str, Mapping[str, Scalar]] = {
    "moment_lora": {"max_window_passes": 64},
    "random_forest": {"n_estimators": 30},
}
"""Settings that keep the slow ones quick."""

ALWAYS = 17
"""Checks that apply to every informed detector; labels, shots and naming the fault add others."""


@pytest.mark.parametrize("name", detector_names())
def test_a_built_in_detector_passes_every_check(name):
    subject = subject_of(name, FAST.get(name))
    results = list(run_checks(subject))
    assert [] == [f"{result.name}: {result.problem}" for result in results if not result.passed]
    assert len(checks_for(subject)) == len(results)
    uninformed = getattr(subject.cls, "uninformed", False)
    assert len(results) >= (ALWAYS - 2 if uninformed else ALWAYS)


@pytest.mark.parametrize("name", detector_names())
def test_the_registry_says_of_a_detector_what_its_class_says(name):
    assert detector_entry(name).labels == subject_of(name).cls.labels


@pytest.mark.parametrize(
    ("fake", "check"),
    [("ReturningNan", "finite"), ("ReturningWrongShape", "shape"), ("Raising", "shape")],
)
def test_a_broken_detector_fails_the_check_that_names_its_fault(fake, check):
    results = {result.name: result for result in run_checks(subject_of(f"tests.fakes.detectors:{fake}"))}
    assert not results[check].passed
    assert results[check].problem


def test_the_command_exits_with_1_where_a_check_fails():
    done = CliRunner().invoke(app, ["tests.fakes.detectors:ReturningNan"])
    assert 1 == done.exit_code
    assert "FAILED  finite" in done.output


@pytest.mark.parametrize("what", ["no_such_detector", "tests.fakes.detectors:Missing", "no.such.module:Class"])
def test_the_command_exits_with_2_and_one_message_where_there_is_no_detector(what):
    done = CliRunner().invoke(app, [what])
    assert 2 == done.exit_code
    assert "Traceback" not in done.output
