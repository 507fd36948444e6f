"""Every detector of the registry through every check that applies to it."""

from collections.abc import Mapping

import numpy as np
import pytest

from trainables._contract_checks import CHECKS
from trainables._toy import STEP_S, make_toy
from trainables.contract import checks_for, run_checks, subject_of
from trainables.data.external_scores import ExternalScores
from trainables.protocol import Scalar, TrialResources
from trainables.registry import detector_entry, detector_names

FAST: Mapping[str, Mapping[str, Scalar]] = {
    "moment_lora": {"max_window_passes": 64},
    "random_forest": {"n_estimators": 30},
    "isolation_forest": {"n_estimators": 50},
    "external": {"path": "alerts.csv@1", "tolerance_s": 0},
}
"""Settings that keep the slow ones quick, and the file of the one that reads one."""

BROKEN = "tests.fakes.broken_detectors"


def alerts() -> ExternalScores:
    """Alarms during every second fault of the toys, whose faults lie at the same times."""
    query = make_toy("shift").query
    ends = query.times[query.ends[query.y == 1]][::2]
    lasting = np.timedelta64(int(STEP_S), "s")
    score, lines = np.ones(len(ends)), [f"line {row + 2}" for row in range(len(ends))]
    return ExternalScores("alerts.csv", ends - lasting, ends, score, alarms=True, place=lines, digest="1")


def subject(name):
    return subject_of(name, FAST.get(name), TrialResources(seed=7, external={"alerts.csv@1": alerts()}))


def expected_checks(cls) -> int:
    """Checks that a class must go through, counted by hand from what it declares."""
    by_labels = {"none": 2, "normal": 4, "all": 2}[cls.labels]  # 0 shots and labels honoured; 1 shot and 1 class
    direction = 0 if getattr(cls, "uninformed", False) else 2
    naming = 2 if hasattr(cls, "classify") else 0
    unsaved = getattr(cls, "unsaved", False)
    return 15 + direction + by_labels + naming + hasattr(cls, "channel_errors") - unsaved


@pytest.mark.parametrize("name", detector_names())
def test_a_built_in_detector_passes_every_check(name):
    results = list(run_checks(subject(name)))
    assert [] == [f"{result.name}: {result.problem}" for result in results if not result.passed]
    assert expected_checks(subject(name).cls) == len(results)
    assert checks_for(subject(name)) == tuple(result.name for result in results)


@pytest.mark.parametrize("name", detector_names())
def test_the_registry_says_of_a_detector_what_its_class_says(name):
    assert detector_entry(name).labels == subject(name).cls.labels


def test_only_the_two_blind_references_are_excused_from_direction():
    excused = [name for name in detector_names() if "direction_shift" not in checks_for(subject(name))]
    assert ["random", "always_alarm"] == excused


@pytest.mark.parametrize("sound", ["Sound", "Quiet", "QuietNormal"])
def test_a_sound_detector_of_ones_own_passes_every_check(sound):
    results = list(run_checks(subject_of(f"{BROKEN}:{sound}")))
    assert [] == [f"{result.name}: {result.problem}" for result in results if not result.passed]


BREAKS = {
    "declarations": ["WithThawedConfig"],
    "unknown_parameter": ["AcceptingAnything"],
    "fit_returns_self": ["NotReturningSelf"],
    "shape": ["TwoScoresAWindow"],
    "dtype": ["SinglePrecision"],
    "finite": ["Overflowing"],
    "direction_shift": ["Falling", "ScoringShiftsDown"],
    "direction_spike": ["Falling"],
    "same_seed": ["Unseeded"],
    "score_twice": ["Restless"],
    "state_kept": ["Counting"],
    "inputs_untouched": ["WritingIntoInputs"],
    "neighbours": ["ScalingByTheBatch"],
    "one_shot": ["NeedingTwoShots"],
    "one_class": ["NeedingBothClasses"],
    "constant_channel": ["DividingBySpread"],
    "no_shots": ["NeedingShots"],
    "pickling": ["HoldingAFunction"],
    "saving": ["ForgettingItsState", "SavingAPickle", "HoldingTelemetry"],
    "labels_honoured": ["PeekingAtFaults", "PeekingAtTypes"],
    "facts": ["FactsAsADict"],
    "channel_errors": ["BlamingOneChannel", "ErrorsWithASign"],
    "classify_rows": ["UnevenRows"],
    "classify_names": ["WrongNames"],
}
"""Check -> detectors that break this rule."""


def test_every_check_is_shown_to_fail():
    assert [check.name for check in CHECKS] == list(BREAKS)


@pytest.mark.parametrize(("check", "broken"), [(check, name) for check, names in BREAKS.items() for name in names])
def test_a_detector_that_breaks_one_rule_fails_the_check_of_that_rule(check, broken):
    results = {result.name: result for result in run_checks(subject_of(f"{BROKEN}:{broken}"))}
    assert not results[check].passed
    assert results[check].problem


ALONE = [
    "unknown_parameter", "finite", "state_kept", "inputs_untouched", "neighbours", "one_shot", "one_class",
    "constant_channel", "no_shots", "saving", "labels_honoured", "facts", "channel_errors", "classify_rows",
    "classify_names",
]  # fmt: skip
"""Rules whose breach leaves the rest of the contract whole."""


@pytest.mark.parametrize("check", ALONE)
def test_a_broken_rule_is_not_blamed_on_others(check):
    for broken in BREAKS[check]:
        results = run_checks(subject_of(f"{BROKEN}:{broken}"))
        assert [check] == [result.name for result in results if not result.passed]
