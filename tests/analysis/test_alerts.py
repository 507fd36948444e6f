import pandas as pd
import pytest

from analysis.alerts import against_alerts, sentences
from analysis.findings import find
from analysis.load import load_sweep
from analysis.paired import compare
from analysis.sections import todays_alerts
from analysis.words import Words
from tests.fakes.run_folder import FakeSweep, make_run

SKILL = {
    "random": {0: 0.0},
    "external": {0: 0.6},
    "pca": {0: 0.8},
    "random_forest": {20: 2.0},
    "moment_lora": {20: 2.0},
}
WORDS = Words("average_precision", "windows", many_sources=False)
DRAWS = 10


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return load_sweep([make_run(tmp_path_factory.mktemp("alerts") / "run", FakeSweep(searched=(), skill=SKILL))])


@pytest.fixture
def judged(sweep):
    """Return a function that sets caught faults (of 6) and false alarms a day by detector, one value or one a draw."""

    def make(draws=DRAWS, copies=1, **by_detector):
        """`copies`: the random forest stands this many times in the sweep, under as many names."""
        report = sweep.report[sweep.report["draw"] < 100 + draws].copy()
        forest = report[report["detector"] == "random_forest"]
        names = [f"random_forest_{number}" for number in range(1, copies)]
        report = pd.concat([report, *(forest.assign(detector=name) for name in names)], ignore_index=True)
        by_detector |= dict.fromkeys(names, by_detector.get("random_forest"))
        for detector, (caught, alarms) in by_detector.items():
            for name, values in (("event_recall", caught), ("false_alarms_per_day", alarms)):
                each = values if isinstance(values, list) else [values] * draws
                scale = 6 if name == "event_recall" else 1
                report.loc[report["detector"] == detector, name] = [value / scale for value in each]
        return against_alerts(report, report[["source", "detector", "shots", "fold", "draw"]])

    return make


def verdicts(frame):
    return dict(zip(frame["detector"], frame["verdict"], strict=True))


def said(frame) -> tuple[str, str]:
    (only,) = sentences(frame, WORDS)
    return only


def test_more_faults_with_fewer_false_alarms_beat_the_alerts_and_are_said_in_words(judged):
    frame = judged(external=(3, 8.0), random_forest=([5, 6] * 5, [2.0, 4.0] * 5), moment_lora=([2, 3] * 5, 9.0))
    assert {"random_forest": "beats", "moment_lora": "behind", "pca": "no claim"} == verdicts(frame)
    kind, text = said(frame)
    assert "claim" == kind
    assert text.startswith("Your alerts (external) catch 3.0 of 6 test faults with 8.0 false alarms a day. ")
    assert "random_forest at 20 labelled windows with 5.5 faults caught (+2.5, 95 % interval +2.1 to +2.9)" in text
    assert "3.0 false alarms a day (-5.0, 95 % interval -5.8 to -4.2; p < 0.0001 and < 0.0001 after Holm over 2" in text
    assert text.endswith("would have beaten them.")


def test_a_difference_that_never_varies_is_tested_by_sign_flips(judged):
    row = judged(external=(3, 8.0), random_forest=(6, 8.0)).set_index("detector").loc["random_forest"]
    assert 2 / 2**DRAWS == row["p_caught"]
    assert 1.0 == row["p_alarms"]
    assert "beats" == row["verdict"]


def test_a_win_is_called_over_the_many_tests_of_a_shipped_sweep(judged):
    """21 detectors and shots: the least exact p of 10 draws, 2 / 1024, is 0.082 after Holm over both questions."""
    frame = judged(copies=20, external=(3, 8.0), moment_lora=([5, 6] * 5, [2.0, 4.0] * 5), random_forest=(3, 8.0))
    assert {21} == set(frame["family"])
    assert "beats" == verdicts(frame)["moment_lora"]
    assert frame.set_index("detector").loc["moment_lora", ["p_caught_holm", "p_alarms_holm"]].max() < 0.001


def test_where_the_draws_can_show_no_constant_difference_the_sentence_says_how_many_could(judged):
    frame = judged(copies=29, external=(3, 8.0), moment_lora=(6, 8.0), random_forest=(3, 9.0), pca=(0, 20.0))
    assert "not separated" == verdicts(frame)["moment_lora"]
    _, text = said(frame)
    assert text.endswith("10 draws cannot show a difference that never varies over 30 tests; 11 draws could.")
    assert 2 / 2**11 * 30 < 0.05 <= 2 / 2**10 * 30


def test_faults_of_unequal_folds_are_added_and_not_averaged(tmp_path):
    sweep = load_sweep([make_run(tmp_path / "run", FakeSweep(searched=(), skill=SKILL, folds=2, draws=6))])
    report, first = sweep.report.copy(), sweep.report["fold"] == 0
    report["test_events"] = first.map({True: 2, False: 8})
    report["false_alarms_per_day"] = 8.0
    report["event_recall"] = (first & (report["detector"] == "external")).astype(float)  # 2 of 2 and 0 of 8
    forest = (report["detector"] == "random_forest") & ~first
    report.loc[forest, "event_recall"] = [0.5, 0.25] * 3  # 0 of 2; 4 or 2 of 8: behind in recall, ahead in faults
    row = against_alerts(report, sweep.plan).set_index("detector").loc["random_forest"]
    assert (10.0, 2.0, 3.0) == tuple(row[["events", "caught_alerts", "caught"]])
    assert 1.0 == pytest.approx(row["caught_difference"])
    assert row["p_caught"] == pytest.approx(compare([4, 2] * 3, [2] * 6).p)


def test_more_faults_for_more_false_alarms_are_a_trade_and_no_win(judged):
    frame = judged(external=(3, 8.0), random_forest=(6, [9.0, 9.5] * 5), moment_lora=(3, 8.0))
    assert "trades" == verdicts(frame)["random_forest"]
    kind, text = said(frame)
    assert "none" == kind
    assert "No detector is shown to beat them. The nearest: " in text


def test_chance_alone_beats_nobody(judged):
    frame = judged(external=(3, 8.0), random_forest=([3, 4, 2, 4, 3] * 2, [8.0, 7.0, 9.0, 7.5, 8.0] * 2))
    assert "not separated" == verdicts(frame)["random_forest"]


def test_detectors_without_labels_are_shown_and_not_claimed(judged):
    row = judged(external=(3, 8.0), pca=(6, 0.0)).set_index("detector").loc["pca"]
    assert "no claim" == row["verdict"]
    assert "training seed alone" in row["note"]


def test_below_six_draws_nothing_is_claimed(judged):
    frame = judged(draws=5, external=(3, 8.0), random_forest=(6, 0.0))
    assert {"no claim"} == set(frame["verdict"])
    assert "caution" == said(frame)[0]


def test_the_floors_are_not_held_against_the_alerts(judged):
    assert {"pca", "random_forest", "moment_lora"} == set(judged()["detector"])


def test_a_sweep_without_alerts_or_without_rows_has_no_table(sweep):
    report, plan = (frame[frame["detector"] != "external"] for frame in (sweep.report, sweep.plan))
    assert against_alerts(report, plan).empty
    assert against_alerts(sweep.report.iloc[:0], sweep.plan.iloc[:0]).empty


def test_the_verdict_and_a_section_of_the_page_say_it(sweep, tmp_path):
    found = find(sweep)
    assert any(statement.text.startswith("Your alerts (external) catch") for statement in found.verdict.statements)
    (section,) = todays_alerts(found, tmp_path)
    assert len(found.alerts) == len(section.tables[0].rows)
