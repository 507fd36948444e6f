"""What a fingerprint covers: code, data, sweep file, versions; not what changes no number."""

from dataclasses import asdict, replace

import pytest

from orchestrator.provenance import package_digest, provenance
from tests.fakes.sweeps import SEARCHED, plan_of


def fingerprint(folder, *overrides):
    return provenance(plan_of(folder, SEARCHED, overrides)[0], {}).fingerprint


@pytest.mark.parametrize(
    "override",
    ["search.candidates=9", "name=other", "resources.draw_timeout_s=5", "tracking.wandb.project=other"],
)
def test_what_changes_no_number_keeps_the_fingerprint(tmp_path, override):
    assert fingerprint(tmp_path) == fingerprint(tmp_path, override)


@pytest.mark.parametrize(
    "override",
    ["search.seed=8", "threshold.quantile=0.9", "data.window=40", "data.seed=1", "split.parts.test=0.3",
     "resources.threads=2", "objective.metric=f1"],
)  # fmt: skip
def test_what_changes_numbers_changes_the_fingerprint(tmp_path, override):
    more = ["split.parts.support=0.45"] if override.startswith("split") else []
    assert fingerprint(tmp_path) != fingerprint(tmp_path, override, *more)


def test_a_package_is_hashed_by_content_and_name_of_its_files(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    before = package_digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-311.pyc").write_bytes(b"cache")
    assert before == package_digest(tmp_path)
    (tmp_path / "a.py").write_text("x = 2")
    assert before != package_digest(tmp_path)


def test_changes_are_named_with_both_values(tmp_path):
    now = provenance(plan_of(tmp_path, SEARCHED)[0], {})
    before = {"provenance": {
        "code": dict(now.code) | {"analysis": "old"}, "data": {}, "spec": dict(now.spec),
        "versions": dict(now.versions) | {"gone": "1.0"}, "weights": {},
    }}  # fmt: skip
    assert [
        f"code analysis: was old, is {now.code['analysis']}",
        f"data simulated: was absent, is {now.data['simulated']}",
        "versions gone: was 1.0, is absent",
    ] == now.changes(before)


def test_other_weights_are_named_once_they_are_resolved(tmp_path):
    now = provenance(plan_of(tmp_path, SEARCHED)[0], {})
    before = {"provenance": asdict(replace(now, weights={"bundled": "old"}))}
    assert ["weights bundled: was old, is new"] == replace(now, weights={"bundled": "new"}).changes(before)
    assert [] == now.changes(before)  # a dry run resolves none


def test_a_changed_key_of_the_sweep_file_is_named_with_both_values(tmp_path):
    was = provenance(plan_of(tmp_path, SEARCHED)[0], {})
    now = provenance(plan_of(tmp_path, SEARCHED, ["few_shot.balance=natural", "few_shot.shots=[0, 8, 9]"])[0], {})
    expected = ['spec few_shot.balance: was "balanced", is "natural"', "spec few_shot.shots: was [0, 8], is [0, 8, 9]"]
    assert expected == now.changes({"provenance": asdict(was)})


def test_the_users_own_detector_is_part_of_the_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    own = tmp_path / "own_detectors.py"
    own.write_text("from tests.fakes.detectors import Instant as Mine\n")
    detectors = "\n  mine: {class: 'own_detectors:Mine'}"

    def code():
        return provenance(plan_of(tmp_path, detectors)[0], {}).code

    before = code()
    assert {"orchestrator", "trainables", "analysis", "own_detectors"} == set(before)
    own.write_text(own.read_text() + "GAIN = 2\n")
    assert {"own_detectors"} == {name for name, digest in code().items() if digest != before[name]}
