from dataclasses import replace

import pytest

from analysis.findings import Findings, find
from analysis.load import load_sweep
from analysis.verdict import UNSEEN
from tests.fakes.run_folder import FakeSweep, make_run

AHEAD = {"random": {0: 0.0}, "random_forest": {20: 0.8}, "moment_lora": {20: 2.5}}
EQUAL = {"random": {0: 0.0}, "random_forest": {20: 1.0}, "moment_lora": {20: 1.0}}
BEHIND = {"random": {0: 0.0}, "random_forest": {20: 2.5}, "moment_lora": {20: 0.8}}


@pytest.fixture
def findings(tmp_path):
    def make(**changes: object) -> Findings:
        return find(load_sweep([make_run(tmp_path / "run", FakeSweep(searched=(), **changes))]))

    return make


def said(found: Findings) -> str:
    return " ".join([found.verdict.headline, *(s.text for s in (*found.verdict.statements, *found.verdict.details))])


def test_a_clear_lead_is_claimed_with_interval_n_and_correction(findings):
    found = findings(skill=AHEAD)
    assert found.verdict.headline.startswith("A MOMENT detector beats every ordinary detector")
    (claim,) = [s.text for s in found.verdict.statements if s.kind == "claim"]
    assert "95 % interval" in claim
    assert "n = 10 draws" in claim
    assert "after Holm over 1 comparisons" in claim


def test_no_difference_is_said_to_be_nothing_significant(findings):
    found = findings(skill=EQUAL)
    assert found.verdict.headline.startswith("Nothing significant")
    assert not [s for s in found.verdict.statements if s.kind == "claim"]


def test_a_significant_loss_is_said_as_plainly_as_a_win(findings):
    found = findings(skill=BEHIND)
    assert "is significantly behind random_forest" in said(found)
    assert "MOMENT detector beats" not in said(found)


def test_an_incomplete_run_claims_nothing_and_says_how_far_it_is(findings):
    found = findings(skill=AHEAD, absent=(("moment_lora", 20, 105), ("random_forest", 20, 109)))
    assert "Incomplete: 28 of 30 draws" in found.verdict.headline
    assert not found.verdict.claims
    assert found.pairs.empty
    assert "beats" not in said(found)


def test_below_six_draws_there_is_no_significance_claim(findings):
    found = findings(skill=AHEAD, draws=5)
    assert found.verdict.headline.startswith("No significance claim can be made: 5 paired draws")
    assert "beats every" not in said(found)


def test_searched_seeds_claim_nothing(findings):
    found = findings(skill=AHEAD, seeds="searched")
    assert not found.verdict.claims
    assert "`searched`" in found.verdict.headline
    assert found.pairs.empty


def test_a_leaking_split_claims_nothing(findings):
    found = findings(skill=AHEAD, split_by="random_windows")
    assert "random_windows" in found.verdict.headline
    assert not found.verdict.claims
    assert found.pairs.empty


def test_a_failed_draw_silences_its_cell_and_is_mentioned(findings):
    found = findings(skill=AHEAD, bad={("moment_lora", 20, 103): ("failed", "ValueError: planted")})
    assert "beats every" not in found.verdict.headline
    assert "1 planned report draws have no score" in said(found)


def all_failed(detector: str, shots: int) -> dict[tuple[str, int, int], tuple[str, str]]:
    return {(detector, shots, draw): ("oom", "planted") for draw in range(100, 110)}


def test_an_opponent_that_failed_on_every_draw_silences_the_headline_and_is_named(findings):
    skill = AHEAD | {"gradient_boosting": {20: 0.5}}
    found = findings(skill=skill, bad=all_failed("random_forest", 20))
    assert found.verdict.headline.startswith("No significance claim can be made: against random_forest")
    assert "without a value on any draw: random_forest at 20 labelled windows" in said(found)
    assert "beats every" not in said(found)


def test_a_challenger_that_failed_on_every_draw_is_named(findings):
    found = findings(skill=AHEAD, bad=all_failed("moment_lora", 20))
    assert "moment_lora has average precision unknown (no value on any draw)" in said(found)


def test_the_failed_cell_of_a_detector_with_0_shots_too_is_named_and_not_replaced(findings):
    skill = AHEAD | {"isolation_forest": {0: 0.5, 20: 0.6}}
    found = findings(skill=skill, bad=all_failed("isolation_forest", 20))
    assert "isolation_forest at 20 labelled windows" in said(found)
    assert 0 == len(found.board.query("detector == 'isolation_forest' and shots == 20"))


def test_intervals_are_said_to_be_about_labels_not_about_other_faults(findings):
    assert "given the 6 faults tested" in said(findings(skill=AHEAD))


def test_without_a_moment_detector_there_is_nothing_to_compare(findings):
    found = findings(skill={"random": {0: 0.0}, "pca": {0: 1.0}})
    assert "no pair" in found.verdict.headline
    assert "pca" == found.summary["best"].iloc[0]


def test_shots_counted_in_faults_are_called_faults(findings):
    assert "at 20 labelled faults" in said(findings(skill=AHEAD, column={"unit": "events"}))


def test_sources_are_named_where_there_are_two(findings):
    assert " on second" in said(findings(skill=AHEAD, sources=("first", "second"), draws=6))


def test_when_every_report_draw_failed_there_is_a_verdict_and_no_crash(findings):
    bad = {(name, shots, draw): ("failed", "x") for name, by in EQUAL.items() for shots in by for draw in (100, 101)}
    found = findings(skill=EQUAL, draws=2, bad=bad)
    assert found.verdict.headline.startswith("No report draw ended well")
    assert 6 == found.failures["count"].sum()


def test_thresholds_that_catch_nothing_are_said_to_fail(tmp_path):
    run = make_run(tmp_path / "run", FakeSweep(skill=AHEAD, searched=()))
    sweep = load_sweep([run])
    sweep.rows.loc[sweep.rows["detector"] != "random", ["event_recall", "f1"]] = [0.1, 0.05]
    assert "the threshold rule is what fails" in said(find(sweep))


def test_thresholds_that_work_draw_no_warning(findings):
    assert "threshold rule" not in said(findings(skill=AHEAD))


def test_thresholds_that_catch_nothing_are_said_to_fail_where_f1_comes_first(tmp_path):
    run = make_run(tmp_path / "run", FakeSweep(skill=AHEAD, searched=(), objective="f1"))
    sweep = load_sweep([run])
    sweep.rows.loc[sweep.rows["detector"] != "random", ["event_recall", "f1"]] = [0.1, 0.05]
    assert "the threshold rule is what fails" in said(find(sweep))


def test_a_lead_on_kinds_that_were_left_out_is_said_to_be_one(tmp_path):
    plain = load_sweep([make_run(tmp_path / "run", FakeSweep(searched=(), skill=AHEAD))])
    held = replace(plain, rows=plain.rows.assign(held_out="cpu", exposure="unseen"))
    headline = find(held).verdict.headline
    assert headline.startswith("A MOMENT detector beats every ordinary detector")
    assert headline.endswith(UNSEEN)
    assert headline.removesuffix(UNSEEN) == find(plain).verdict.headline
