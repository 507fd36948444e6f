"""One factor at a time: what counts as a variant, and what is said of it."""

import json
from collections.abc import Mapping

import pandas as pd
import pytest
import yaml

from analysis.ablations import Factor, ablations, detector_factors, source_factors
from analysis.findings import find
from analysis.load import load_sweep
from analysis.report import build_report
from tests.fakes.run_folder import FakeSweep, make_run

LORA = "trainables.moment_lora:MomentLora"
PLANTED = {"moment_lora": {100: 1.2}, "moment_lora_2": {100: 1.2}, "moment_lora_bad": {100: 0.2}, "pca": {0: 1.0}}
DETECTORS = {
    "moment_lora": {"rank": 8, "context": "level_scale"},
    "moment_lora_2": {"class": LORA, "rank": 2, "context": "level_scale"},
    "moment_lora_bad": {"class": LORA, "rank": 8, "context": "none"},
    "pca": {},
}


def run_of(folder, detectors: Mapping[str, object], data: object = None, **changes: object):
    """A run whose sweep file has these detectors and sources."""
    run = make_run(folder, FakeSweep(**{"skill": PLANTED, "searched": (), **changes}))
    spec = yaml.safe_load((run / "spec.yaml").read_text())
    spec |= {"detectors": detectors} | ({"data": data} if data else {})
    (run / "spec.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    return run


def found_in(run) -> pd.DataFrame:
    sweep = load_sweep([run])
    return ablations(sweep, sweep.report, "average_precision", sweep.plan).set_index("detector")


def test_variants_of_a_class_are_compared_with_the_built_in_one():
    assert [
        Factor("moment_lora", "moment_lora_2", "rank", "8", "2"),
        Factor("moment_lora", "moment_lora_bad", "context", "level_scale", "none"),
    ] == detector_factors({"detectors": DETECTORS})


def test_without_a_built_in_one_the_first_is_the_base():
    mine = {"a": {"class": "my:Own", "x": 1}, "b": {"class": "my:Own", "x": 2}, "c": {"class": "other:Own", "x": 2}}
    assert [Factor("a", "b", "x", "1", "2")] == detector_factors({"detectors": mine})


def test_two_classes_of_one_module_have_nothing_in_common():
    mine = {"a": {"class": "my:One", "x": 1}, "b": {"class": "my:Two", "x": 2}}
    assert [] == detector_factors({"detectors": mine})


def test_a_setting_that_is_not_given_is_the_default():
    mine = {"moment_lora": {}, "variant": {"class": LORA, "rank": 2}}
    assert [Factor("moment_lora", "variant", "rank", "default", "2")] == detector_factors({"detectors": mine})


def test_two_unlike_settings_are_no_single_factor():
    mine = {"moment_lora": {"rank": 8}, "variant": {"class": LORA, "rank": 2, "epochs": 3}}
    assert [] == detector_factors({"detectors": mine})


def test_sources_are_compared_with_the_first():
    data = [{"name": "a", "source": "simulated", "window": 32}, {"name": "b", "source": "simulated", "window": 64}]
    assert [Factor("a", "b", "window", "32", "64")] == source_factors({"data": data})
    assert [] == source_factors({"data": data[0]})
    assert [] == source_factors({})


def test_a_planted_loss_is_found_and_a_setting_that_does_nothing_is_not(tmp_path):
    found = found_in(run_of(tmp_path / "run", DETECTORS))
    assert {"moment_lora_2": "not separated", "moment_lora_bad": "worse"} == found["verdict"].to_dict()
    bad = found.loc["moment_lora_bad"]
    assert bad["high"] < 0
    assert bad["mean"] == pytest.approx(bad["level_after"] - bad["level_before"])
    assert ("draw by draw", 10) == (bad["how"], bad["n"])


def test_sources_have_draws_of_their_own(tmp_path):
    data = [{"name": "a", "window": 32}, {"name": "b", "window": 64}]
    run = run_of(tmp_path / "run", {"pca": {}, "moment_lora": {}}, data, sources=("a", "b"),
                 skill={"moment_lora": {100: 1.2}, "pca": {0: 1.0}})  # fmt: skip
    found = found_in(run)
    assert {"independent draws"} == set(found["how"])
    assert {"b"} == set(found["source"])
    assert found.loc["moment_lora", "low"] < found.loc["moment_lora", "mean"] < found.loc["moment_lora", "high"]


@pytest.mark.parametrize(("change", "verdict", "notes"), [
    ({"test_events": 3, "test_windows": 60, "prevalence": 0.25}, "no claim",
     ("other faults are tested: ", " before, 3 after", "after, 25.0% of 60 test windows are faulty")),
    ({"test_windows": 60, "prevalence": 0.25}, "worse", ("after, 25.0% of 60 test windows are faulty",)),
    ({}, "worse", ()),
    ({"status": "failed", "reason": "planted", "average_precision": None}, "no claim",
     ("moment_lora at 100 shots has no value on any draw",)),
])  # fmt: skip
def test_sources_that_test_other_faults_or_none_get_no_claim_and_windows_are_said(tmp_path, change, verdict, notes):
    data = [{"name": "a", "window": 32}, {"name": "b", "window": 64}]
    run = run_of(tmp_path / "run", {"moment_lora": {}}, data, sources=("a", "b"), skill={"moment_lora": {100: 1.2}})
    path = run / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        if row["source"] == "b":
            row |= {"average_precision": row["average_precision"] / 2, **change}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = found_in(run).loc["moment_lora"]
    assert verdict == found["verdict"]
    assert all(note in found["note"] for note in notes)
    assert bool(notes) == bool(found["note"])


def test_a_variant_that_lacks_draws_gets_no_claim(tmp_path):
    bad = {("moment_lora_bad", 100, 103): ("failed", "planted")}
    row = found_in(run_of(tmp_path / "run", DETECTORS, bad=bad)).loc["moment_lora_bad"]
    assert "no claim" == row["verdict"]
    assert "9 of 10 draws of moment_lora_bad have a value" in row["note"]


def test_a_variant_that_failed_keeps_its_place_among_the_tests(tmp_path):
    bad = {("moment_lora_2", 100, draw): ("failed", "planted") for draw in range(100, 110)}
    whole, part = (found_in(run_of(tmp_path / name, DETECTORS, bad=those)) for name, those in (("a", {}), ("b", bad)))
    assert part.loc["moment_lora_bad", "p_holm"] == pytest.approx(2 * part.loc["moment_lora_bad", "p"])
    assert part.loc["moment_lora_bad", "p_holm"] == pytest.approx(whole.loc["moment_lora_bad", "p_holm"])


def test_draws_that_take_most_of_the_pool_give_no_interval(tmp_path):
    row = found_in(run_of(tmp_path / "run", DETECTORS, pool=150)).loc["moment_lora_bad"]
    assert "no claim" == row["verdict"]
    assert pd.isna(row["low"])
    assert "more than half of the pool" in row["note"]


def test_five_draws_are_shown_and_nothing_is_claimed(tmp_path):
    row = found_in(run_of(tmp_path / "run", DETECTORS, draws=5)).loc["moment_lora_bad"]
    assert "no claim" == row["verdict"]
    assert row["high"] < 0


def test_the_page_has_the_section_only_where_there_are_variants(tmp_path):
    with_variants, without = run_of(tmp_path / "a", DETECTORS), run_of(tmp_path / "b", {"pca": {}})
    page = build_report([with_variants]).read_text()
    assert "What does a single setting change?" in page
    assert (with_variants / "report" / "figures" / "one_factor-k100.svg").exists()
    assert (with_variants / "report" / "tables" / "ablations.csv").exists()
    assert find(load_sweep([without])).ablations.empty
    assert "What does a single setting change?" not in build_report([without]).read_text()


def test_nothing_is_claimed_from_training_seeds_nor_of_floors(tmp_path):
    zero = "trainables.moment_zero_shot:MomentZeroShot"
    detectors = {"moment_zero_shot": {"init": "pretrained"}, "moment_zero_2": {"class": zero, "init": "random"}}
    skill = {"moment_zero_shot": {0: 1.2}, "moment_zero_2": {0: 0.2}, "random": {0: 0.0}}
    data = [{"name": "a", "window": 32}, {"name": "b", "window": 64}]
    run = run_of(tmp_path / "run", detectors | {"random": {}}, data, skill=skill, sources=("a", "b"))
    found = found_in(run)
    assert {"no claim"} == set(found["verdict"])
    assert all("at 0 shots draws differ by the training seed alone" in note for note in found["note"])
    assert "random" not in found.index
