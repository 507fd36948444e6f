import numpy as np
import pandas as pd
import pytest

from analysis.curves import levels
from analysis.errors import ClaimError
from analysis.label_needs import needs, pays_off
from tests.fakes.report_rows import report_rows

SHOTS = (20, 100, 500)
AP = "average_precision"


def curves(**by_detector: tuple[float, ...]) -> pd.DataFrame:
    """Report rows of ten draws at planted levels for 20, 100 and 500 shots."""
    return report_rows({name: dict(zip(SHOTS, means, strict=True)) for name, means in by_detector.items()}, noise=0.004)


def test_labels_needed_lie_between_the_points_that_enclose_the_target():
    rows = curves(random_forest=(0.6, 0.75, 0.85))
    table = needs(rows, levels(rows, "average_precision"), "average_precision").set_index("target")
    assert 20 < table.loc[0.7, "estimate"] < 100
    assert table.loc[0.7, "low"] < table.loc[0.7, "estimate"] < table.loc[0.7, "high"]
    assert table.loc[0.5, "answer"].startswith("20 or fewer")
    assert table.loc[0.9, "answer"].startswith("not reached with 500")


def test_a_detector_with_one_number_of_shots_has_no_curve():
    rows = report_rows({"pca": {0: 0.7}})
    assert needs(rows, levels(rows, "average_precision"), "average_precision").empty


def test_validation_labels_count_as_labels():
    rows = curves(random_forest=(0.6, 0.75, 0.85)).assign(validation_labels=150)
    table = needs(rows, levels(rows, "average_precision"), "average_precision").set_index("target")
    assert 170 < table.loc[0.7, "estimate"] < 250


def test_labelled_faults_are_counted_too_and_numbers_of_shots_that_hold_as_many_are_one_point():
    rows = curves(random_forest=(0.6, 0.75, 0.85)).assign(validation_events=2)
    rows["support_events"] = rows["shots"].map({20: 4, 100: 7, 500: 7})
    table = needs(rows, levels(rows, AP), AP, counted="faults").set_index("target")
    assert {"faults"} == set(table["counted"])
    assert 6 < table.loc[0.7, "estimate"] < 9
    assert 6 < table.loc[0.8, "low"] < table.loc[0.8, "high"] < 9
    assert table.loc[0.9, "answer"].startswith("not reached with 9")


def test_a_head_start_that_shrinks_ends_at_a_number_of_shots():
    (row,) = pays_off(
        curves(moment_lora=(0.7, 0.74, 0.78), random_forest=(0.6, 0.7, 0.86)), "average_precision"
    ).to_dict("records")
    assert 100 < row["estimate"] < 500
    assert "95 % interval" in row["answer"]


def test_a_lead_that_grows_has_no_end():
    rows = curves(moment_lora=(0.6, 0.8, 0.9), random_forest=(0.65, 0.7, 0.75))
    (row,) = pays_off(rows, "average_precision").to_dict("records")
    assert "no end: behind at 20, ahead at 500" == row["answer"]
    assert row["estimate"] is None


def test_a_detector_that_is_always_behind_is_never_ahead():
    rows = curves(moment_lora=(0.5, 0.55, 0.6), random_forest=(0.65, 0.75, 0.85))
    (row,) = pays_off(rows, "average_precision").to_dict("records")
    assert row["answer"].startswith("never ahead")


def test_selection_rows_are_refused_here_too():
    rows = curves(random_forest=(0.6, 0.75, 0.85)).assign(phase="select")
    with pytest.raises(ClaimError):
        pays_off(rows, "average_precision")


def test_draws_that_take_most_of_the_pool_give_no_interval_of_labels():
    rows = curves(moment_lora=(0.7, 0.74, 0.78), random_forest=(0.6, 0.7, 0.86))
    rows["pool_share"] = np.where((rows["detector"] == "random_forest") & (rows["shots"] == 500), 0.6, 0.1)
    needed = needs(rows, levels(rows, AP), AP).set_index(["detector", "target"]).loc[("random_forest", 0.7)]
    (end,) = pays_off(rows, AP).to_dict("records")
    for row in (needed, end):
        assert pd.isna(row["low"])
        assert "95 % interval" not in row["answer"]
        assert "more than half of the pool" in row["note"]


def test_a_curve_that_lacks_a_draw_gives_no_interval_and_says_so():
    plan = curves(moment_lora=(0.7, 0.74, 0.78), random_forest=(0.6, 0.7, 0.86))
    rows = plan[~((plan["detector"] == "random_forest") & (plan["shots"] == 100) & (plan["draw"] == 3))]
    needed = needs(rows, levels(rows, AP), AP, plan).set_index(["detector", "target"])
    (end,) = pays_off(rows, AP, plan).to_dict("records")
    for row in (needed.loc[("random_forest", 0.7)], end):
        assert pd.isna(row["low"])
        assert "9 of 10 draws have every point" in row["note"]
    assert "" == needed.loc[("moment_lora", 0.7), "note"]


def test_a_curve_that_lacks_a_point_says_which():
    plan = curves(random_forest=(0.6, 0.7, 0.86))
    rows = plan[plan["shots"] != 100]
    table = needs(rows, levels(rows, AP), AP, plan).set_index("target")
    assert "no interval: no value at 100 shots" == table.loc[0.7, "note"]


def test_without_a_draw_that_has_every_point_the_answer_is_unknown():
    plan = curves(moment_lora=(0.7, 0.74, 0.78), random_forest=(0.6, 0.7, 0.86))
    rows = plan[(plan["detector"] == "random_forest") | ((plan["shots"] > 20) == (plan["draw"] > 4))]
    needed = needs(rows, levels(rows, AP), AP, plan).set_index("detector")
    (end,) = pays_off(rows, AP, plan).to_dict("records")
    assert {"unknown"} == {end["answer"], *needed.loc["moment_lora", "answer"]}


def test_detectors_that_were_judged_on_different_test_parts_have_no_interval_of_their_lead():
    rows = curves(moment_lora=(0.7, 0.74, 0.78), random_forest=(0.6, 0.7, 0.86))
    rows["test_windows"] = np.where(rows["detector"] == "moment_lora", 90, 100)
    (end,) = pays_off(rows, AP).to_dict("records")
    assert pd.isna(end["low"])
    assert "different test parts" in end["note"]
