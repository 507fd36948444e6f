import numpy as np
import pytest

from analysis.by_fault import caught_events, cell_scores
from analysis.findings import Findings, find
from analysis.load import load_sweep
from analysis.power import draws_to_separate
from tests.fakes.run_folder import FakeSweep, make_run

SKILL = {"random_forest": {20: 0.9, 100: 0.9}, "moment_lora": {20: 1.0, 100: 2.5}}


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> Findings:
    return find(load_sweep([make_run(tmp_path_factory.mktemp("runs") / "run", FakeSweep(skill=SKILL, searched=()))]))


def test_only_pairs_that_are_not_separated_are_asked_about(found):
    assert {20: "not separated", 100: "better"} == found.pairs.set_index("shots")["verdict"].to_dict()
    assert [20] == found.separation["shots"].tolist()


def test_the_draws_needed_are_those_of_the_paired_differences_at_the_level_of_the_family(found):
    (row,) = found.separation.to_dict("records")
    at_20 = found.sweep.report.query("shots == 20")
    table = at_20.pivot_table(index="draw", columns="detector", values="average_precision")
    known = draws_to_separate(table["moment_lora"] - table["random_forest"], alpha=0.05 / 2)
    assert f"{known.further:,} more" == row["further_draws"]
    assert known.power_now == pytest.approx(row["power_now"])


def test_faults_are_judged_by_which_are_caught(found):
    (row,) = found.separation.to_dict("records")
    caught = found.caught.query("shots == 20").groupby("detector")["events_caught"].sum()
    assert caught["moment_lora"] - caught["random_forest"] == pytest.approx(row["caught_difference"])
    assert 6 == row["test_events"]


def test_caught_faults_of_a_draw_agree_with_its_event_recall(found):
    table = caught_events(cell_scores(found.sweep, "simulated", "moment_lora", 20))
    rows = found.sweep.report.query("detector == 'moment_lora' and shots == 20").set_index("draw")
    for draw, events in table.items():
        assert rows.loc[draw, "event_recall"] == pytest.approx(np.mean([*events.values()]))


def test_a_sweep_without_claims_asks_for_nothing(tmp_path):
    run = make_run(tmp_path / "run", FakeSweep(skill=SKILL, searched=(), split_by="random_windows"))
    assert find(load_sweep([run])).separation.empty
