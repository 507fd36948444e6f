import numpy as np
import pandas as pd
import pytest

from analysis.comparisons import headlines, pairs
from analysis.curves import levels
from analysis.errors import ClaimError
from analysis.paired import compare
from analysis.table_views import matrix
from analysis.words import DASH
from tests.fakes.report_rows import report_rows


def report(draws: int = 10, **level: dict[int, float]) -> pd.DataFrame:
    return report_rows(level, draws=draws)


def beats(rows: pd.DataFrame, plan: pd.DataFrame | None = None) -> pd.DataFrame:
    return headlines(
        pairs(rows, "average_precision", plan), levels(rows, "average_precision"), "average_precision"
    ).set_index("shots")


def without(rows: pd.DataFrame, detector: str, shots: int, draws: tuple[int, ...] = tuple(range(10))) -> pd.DataFrame:
    return rows[~((rows["detector"] == detector) & (rows["shots"] == shots) & rows["draw"].isin(draws))]


def test_a_pair_has_the_numbers_of_compare():
    rows = report(moment_lora={20: 0.8}, random_forest={20: 0.75})
    (pair,) = pairs(rows, "average_precision").to_dict("records")
    by_draw = rows.pivot_table(index="draw", columns="detector", values="average_precision")
    known = compare(by_draw["moment_lora"].to_numpy(), by_draw["random_forest"].to_numpy())
    assert (known.mean, known.p, known.p_signflip) == pytest.approx((pair["mean"], pair["p"], pair["p_signflip"]))
    assert "better" == pair["verdict"]


def test_the_matrix_has_a_cell_for_every_pair_and_a_dash_where_there_is_none():
    rows = report(
        moment_lora={20: 0.8, 100: 0.7},
        moment_linear_probe={100: 0.7},
        random_forest={20: 0.7, 100: 0.75},
        pca={0: 0.5},
    )
    table = matrix(pairs(rows, "average_precision").query("opponent != 'pca' or shots == 20"), "all")
    assert ["MOMENT detector", "shots", "random_forest", "pca"] == [header.name for header in table.header]
    cells = [[cell.text for cell in row.cells] for row in table.rows]
    assert [["moment_lora", "100"], ["moment_linear_probe", "100"], ["moment_lora", "20"]] == [row[:2] for row in cells]
    assert cells[0][2].endswith("worse")
    difference, verdict = cells[2][2].split()
    assert ("better", 0.1) == (verdict, pytest.approx(float(difference), abs=0.01))
    assert [DASH, DASH] == [row[3] for row in cells[:2]]
    assert ["worse", "better"] == [table.rows[at].cells[2].kind for at in (0, 2)]


def test_a_detector_that_beats_all_is_said_to_beat_all():
    table = beats(report(moment_lora={20: 0.8}, random_forest={20: 0.7}, isolation_forest={20: 0.6}))
    assert "better" == table.loc[20, "verdict"]
    assert "random_forest" == table.loc[20, "opponent"]


def test_beating_one_of_two_is_not_beating_all():
    table = beats(report(moment_lora={20: 0.7}, random_forest={20: 0.8}, isolation_forest={20: 0.6}))
    assert "not better" == table.loc[20, "verdict"]
    assert 1.0 == table.loc[20, "p"]


def test_the_p_of_a_headline_is_the_largest_of_its_pairs():
    rows = report(moment_lora={20: 0.72}, random_forest={20: 0.715}, isolation_forest={20: 0.6})
    found = pairs(rows, "average_precision")
    assert found["p"].max() == beats(rows).loc[20, "p"]


def test_a_detector_without_labels_competes_at_every_number_of_shots():
    rows = report(moment_lora={20: 0.7}, pca={0: 0.8})
    (pair,) = pairs(rows, "average_precision").to_dict("records")
    assert ("pca", 0, "worse") == (pair["opponent"], pair["opponent_shots"], pair["verdict"])


def test_floors_are_no_opponents():
    rows = report(moment_lora={20: 0.7}, random={0: 0.3}, always_alarm={0: 0.3})
    assert pairs(rows, "average_precision").empty


def test_five_draws_make_no_claim_however_large_the_difference():
    rows = report(5, moment_lora={20: 0.9}, random_forest={20: 0.3})
    (pair,) = pairs(rows, "average_precision").to_dict("records")
    assert "no claim" == pair["verdict"]
    assert "fewer than 6 draws" in pair["note"]
    assert "no claim" == beats(rows).loc[20, "verdict"]


def test_six_draws_can_make_a_claim():
    assert "better" == beats(report(6, moment_lora={20: 0.9}, random_forest={20: 0.3})).loc[20, "verdict"]


def test_equal_scores_on_all_draws_make_no_claim():
    rows = report(moment_zero_shot={0: 0.8}, pca={0: 0.6})
    rows["average_precision"] = rows.groupby("detector")["average_precision"].transform("first")
    (pair,) = pairs(rows, "average_precision").to_dict("records")
    assert "no claim" == pair["verdict"]
    assert np.isnan(pair["low"])
    assert np.isnan(pair["p_holm"])


def test_a_cell_with_gaps_is_compared_but_claims_nothing():
    rows = report(11, moment_lora={20: 0.9}, random_forest={20: 0.3})
    table = beats(rows[rows["draw"] < 10], plan=rows)
    assert "no claim" == table.loc[20, "verdict"]
    assert "10 of 11 draws of random_forest have a value" in table.loc[20, "note"]


def test_a_draw_on_which_the_metric_is_not_defined_is_a_gap():
    rows = report(moment_lora={20: 0.9}, random_forest={20: 0.3})
    rows.loc[rows["draw"] == 4, "average_precision"] = np.nan
    (pair,) = pairs(rows, "average_precision").to_dict("records")
    assert "no claim" == pair["verdict"]
    assert "9 of 10 draws of moment_lora have a value" in pair["note"]


def test_an_opponent_that_failed_on_all_draws_leaves_no_claim_to_beat_every_opponent():
    plan = report(moment_lora={20: 0.9}, random_forest={20: 0.3}, gradient_boosting={20: 0.4})
    table = beats(without(plan, "random_forest", 20), plan)
    assert "no claim" == table.loc[20, "verdict"]
    assert "against random_forest: random_forest at 20 shots has no value on any draw" == table.loc[20, "note"]
    assert "gradient_boosting" == table.loc[20, "opponent"]


def test_a_challenger_that_failed_on_all_draws_keeps_its_place_in_the_family():
    plan = report(moment_lora={20: 0.72}, moment_linear_probe={20: 0.9}, random_forest={20: 0.71})
    table = beats(without(plan, "moment_linear_probe", 20), plan).set_index("detector")
    assert "no claim" == table.loc["moment_linear_probe", "verdict"]
    assert 2 * table.loc["moment_lora", "p"] == pytest.approx(table.loc["moment_lora", "p_holm"])


def test_a_pair_without_a_test_does_not_shrink_the_family_of_pairs():
    plan = report(moment_lora={20: 0.72}, random_forest={20: 0.3}, gradient_boosting={20: 0.71})
    found = pairs(without(plan, "random_forest", 20), "average_precision", plan).set_index("opponent")
    kept = found.loc["gradient_boosting"]
    assert 2 * kept["p"] == pytest.approx(kept["p_holm"])
    assert {2} == set(found["family"])


def test_a_failed_cell_is_not_replaced_by_the_score_at_0_shots():
    plan = report(moment_lora={20: 0.9}, isolation_forest={0: 0.3, 20: 0.5})
    (pair,) = pairs(without(plan, "isolation_forest", 20), "average_precision", plan).to_dict("records")
    assert (20, 0, "no claim") == (pair["opponent_shots"], pair["n"], pair["verdict"])


def test_draws_without_a_partner_are_named():
    rows = report(moment_lora={20: 0.9}, random_forest={20: 0.3})
    lacking = rows[~((rows["detector"] == "random_forest") & (rows["draw"] == 4))]
    (pair,) = pairs(lacking, "average_precision").to_dict("records")
    assert 9 == pair["n"]
    assert "without a partner: 4" in pair["note"]
    assert "no claim" == pair["verdict"]


def test_overlapping_draws_make_no_claim():
    rows = report(moment_lora={20: 0.9}, random_forest={20: 0.3}).assign(pool_share=0.7)
    (pair,) = pairs(rows, "average_precision").to_dict("records")
    assert np.isnan([pair["low"], pair["high"], pair["p"]]).all()
    assert "no claim" == beats(rows).loc[20, "verdict"]


def test_training_seeds_at_0_shots_make_no_claim_and_are_no_part_of_the_family():
    rows = report(moment_zero_shot={0: 0.8}, moment_lora={20: 0.8}, isolation_forest={0: 0.3})
    found = pairs(rows, "average_precision").set_index("shots")
    assert "no claim" == found.loc[0, "verdict"]
    assert "training seed" in found.loc[0, "note"]
    assert "better" == found.loc[20, "verdict"]
    assert found.loc[20, "p"] == pytest.approx(found.loc[20, "p_holm"])
    assert "no claim" == beats(rows).loc[0, "verdict"]


@pytest.mark.parametrize("column", ["test_windows", "test_events", "prevalence"])
def test_detectors_that_were_judged_on_different_test_parts_make_no_claim(column):
    rows = report(moment_lora={20: 0.8}, random_forest={20: 0.3})
    rows[column] = rows[column].where(rows["detector"] == "moment_lora", rows[column] / 2)
    (pair,) = pairs(rows, "average_precision").to_dict("records")
    assert "no claim" == pair["verdict"]
    assert "different test parts" in pair["note"]


def test_holm_counts_every_pair_of_the_sweep():
    rows = report(moment_lora={20: 0.72, 100: 0.72}, random_forest={20: 0.71, 100: 0.5})
    found = pairs(rows, "average_precision")
    assert 2 == len(found)
    largest = found["p"].idxmax()
    assert found.loc[largest, "p"] == pytest.approx(found.loc[largest, "p_holm"])
    assert 2 * found["p"].min() == pytest.approx(found["p_holm"].min())


def test_a_metric_to_be_minimised_is_better_when_lower():
    rows = report(moment_lora={20: 0.3}, random_forest={20: 0.8}).rename(columns={"average_precision": "delay_s"})
    (pair,) = pairs(rows, "delay_s").to_dict("records")
    assert "better" == pair["verdict"]
    assert pair["mean"] < 0


def test_selection_rows_are_refused():
    rows = report(moment_lora={20: 0.9}, random_forest={20: 0.3}).assign(phase="select")
    with pytest.raises(ClaimError):
        pairs(rows, "average_precision")


def test_on_noise_at_most_one_sweep_in_twenty_claims_anything():
    rng = np.random.default_rng(11)
    wins = 0
    for _ in range(60):
        rows = report(10, moment_lora={20: 0.7}, moment_linear_probe={20: 0.7}, random_forest={20: 0.7})
        rows["average_precision"] = rng.normal(0.7, 0.05, size=len(rows))
        wins += (beats(rows)["verdict"] == "better").any()
    assert wins <= 7  # exceeded in 1.5 % of binomials of 60 at 5 %
