"""The command `python -m trainables.contract`, on a detector outside the repository and on what is none."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trainables.contract import app, run_checks, subject_of
from trainables.errors import DetectorError, MissingPackageError

ROOT = Path(__file__).parents[2]

OUTSIDE = '''"""A detector in thirty lines: how far the last value is from the reference, in the worst channel."""

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from trainables.protocol import DetectorConfig, FitFacts


class Settings(DetectorConfig):
    clip: Annotated[float, Field(gt=0)] = 50.0


class LastValue:
    labels: ClassVar = "none"
    Config: ClassVar = Settings

    def __init__(self, config, resources):
        self.config = config

    def fit(self, support, reference):
        last = reference.table[reference.ends].astype(np.float64)  # [R, C]
        self.centre = np.median(last, axis=0)
        return self

    def score(self, windows):
        last = windows.table[windows.ends].astype(np.float64)  # [N, C]
        return np.minimum(np.abs(last - self.centre), self.config.clip).max(axis=1)

    facts = FitFacts()
'''


def command(folder, *words):
    return subprocess.run(
        [sys.executable, "-m", "trainables.contract", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_thirty_line_detector_outside_the_repository_passes(tmp_path):
    assert len(OUTSIDE.splitlines()) <= 33
    (tmp_path / "outside.py").write_text(OUTSIDE, encoding="utf-8")
    done = command(tmp_path, "outside:LastValue")
    assert (0, "") == (done.returncode, done.stderr)
    lines = done.stdout.splitlines()
    assert "outside:LastValue: 19 checks, 0 failed" == lines[-1]
    assert 19 == sum(line.startswith("ok      ") for line in lines)


def test_a_file_with_a_syntax_error_is_one_message_and_exit_2(tmp_path):
    (tmp_path / "outside.py").write_text("class Broken(\n", encoding="utf-8")
    done = command(tmp_path, "outside:Broken")
    assert (2, "") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines())
    assert "cannot import 'outside'" in done.stderr


def run(*words):
    return CliRunner().invoke(app, list(words))


def test_the_command_exits_with_1_and_says_why_where_a_check_fails():
    done = run("tests.fakes.detectors:ReturningNan")
    assert 1 == done.exit_code
    assert "FAILED  finite: shift: 60 of 60 scores are NaN or infinite" in done.output


def test_an_error_inside_the_detector_is_a_failed_check_and_not_the_end():
    results = list(run_checks(subject_of("tests.fakes.detectors:Raising")))
    assert "ValueError: planted error" in {result.problem for result in results}
    assert "unknown_parameter" in {result.name for result in results if result.passed}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("moving_varianze", "did you mean moving_variance?"),
        ("tests.fakes.detectors:Missing", "has no class 'Missing'"),
        ("no.such.module:Class", "cannot import 'no.such.module'"),
        ("tests.fakes.broken_detectors:SoundConfig", "is not a detector: it lacks labels, Config, fit, score, facts"),
        ("trainables.data.windows:", "must look like module:Class"),
    ],
)
def test_what_is_no_detector_is_one_message_and_exit_2(what, message):
    done = run(what)
    assert 2 == done.exit_code
    assert message in done.output
    assert 1 == len(done.output.splitlines())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("steps=0", "steps: Input should be greater than or equal to 1"),
        ("stepz=3", "stepz: unknown parameter; did you mean steps?"),
        ("steps", "--settings takes name=value"),
        ("steps=[1, 2]", "--settings takes name=value with a plain value"),
        ("steps='1", "--settings takes name=value"),
    ],
)
def test_a_wrong_setting_is_one_message_and_exit_2(setting, message):
    done = run("moving_variance", "--settings", setting)
    assert 2 == done.exit_code
    assert message in done.output


def test_settings_reach_the_detector():
    done = run("moving_variance", "--settings", "steps=4", "--settings", "top_channels=1")
    assert 0 == done.exit_code
    assert "moving_variance: 20 checks, 0 failed" in done.output
    assert {"steps": 4} == dict(subject_of("moving_variance", {"steps": 4}).settings)


def test_a_class_with_another_constructor_is_refused():
    with pytest.raises(DetectorError, match=r"cannot be constructed as Class\(config, resources\)"):
        subject_of("tests.fakes.broken_detectors:BareConstructor")


def test_a_constructor_that_raises_is_one_message_and_exit_2():
    done = run("tests.fakes.broken_detectors:RefusingConstruction")
    assert 2 == done.exit_code
    assert "RefusingConstruction cannot be constructed: ValueError: needs a licence\n" in done.output
    assert 1 == len(done.output.splitlines())


def test_a_module_that_raises_at_import_is_one_message_and_exit_2(tmp_path):
    (tmp_path / "outside.py").write_text("print(undefined)\n", encoding="utf-8")
    done = command(tmp_path, "outside:Broken")
    assert (2, "") == (done.returncode, done.stdout)
    assert 1 == len(done.stderr.splitlines())
    assert "NameError: name 'undefined' is not defined (outside.py:1)" in done.stderr


def test_a_detector_whose_package_is_missing_is_not_a_failed_check():
    with pytest.raises(MissingPackageError, match="pip install"):
        list(run_checks(subject_of("tests.fakes.broken_detectors:LackingAPackage")))


def test_a_detector_that_imports_what_is_not_there_is_one_message_and_exit_2():
    done = run("tests.fakes.broken_detectors:ImportingWhatIsNotThere")
    assert 2 == done.exit_code
    assert "ImportingWhatIsNotThere needs the package no_such_package, which is not installed\n" in done.output
    assert 1 == len(done.output.splitlines())
