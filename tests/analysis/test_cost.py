from dataclasses import replace

import pandas as pd
import pytest

from analysis.curves import levels
from analysis.load import load_sweep
from analysis.spending import cost_in_words
from analysis.tables import SPENT, costs, failures, spent
from tests.fakes.run_folder import FakeSweep, make_run

AP = "average_precision"
HALF_HOUR = {"fit_seconds": 1200.0, "threshold_seconds": 300.0, "score_seconds": 300.0}


def sweep_of(tmp_path, *, resources=None, name="run", **columns):
    made = FakeSweep(
        skill={"pca": {0: 1.0}, "moment_lora": {20: 1.0}}, draws=4, candidates=2, column=HALF_HOUR | columns
    )
    sweep = load_sweep([make_run(tmp_path / name, made)])
    return replace(sweep, specs=({**sweep.specs[0], "resources": resources or {}},))


def cost_of(sweep, detector):
    return costs(sweep, levels(sweep.report, AP)).set_index("detector").loc[detector]


def test_hours_count_every_draw_of_a_cell_selection_included(tmp_path):
    sweep = sweep_of(tmp_path, device="cpu")
    assert 2.0 == pytest.approx(cost_of(sweep, "pca")["total_hours"])
    assert 5.0 == pytest.approx(cost_of(sweep, "moment_lora")["total_hours"])  # 4 report, 2 x 3 selection draws


def test_what_a_cell_would_have_cost_without_the_cache(tmp_path):
    found = cost_of(sweep_of(tmp_path, device="cpu", cache_saved_seconds=900.0), "pca")
    assert (2.0, 3.0) == pytest.approx((found["total_hours"], found["hours_without_cache"]))


def test_gpu_hours_are_the_share_of_a_card_and_money_is_its_price(tmp_path):
    found = cost_of(
        sweep_of(tmp_path, device="cuda", resources={"trials_per_gpu": 2, "price_per_gpu_hour": 3.0}), "pca"
    )
    assert (1.0, 3.0) == pytest.approx((found["gpu_hours"], found["money"]))


def test_where_trials_share_a_card_automatically_each_counts_as_holding_a_whole_one(tmp_path):
    found = cost_of(sweep_of(tmp_path, device="cuda", resources={"trials_per_gpu": "auto"}), "pca")
    assert 2.0 == pytest.approx(found["gpu_hours"])
    assert pd.isna(found["money"])


def test_draws_on_a_cpu_cost_no_gpu_hours(tmp_path):
    sweep = sweep_of(tmp_path, device="cpu", resources={"price_per_gpu_hour": 3.0})
    assert (0.0, 0.0) == tuple(cost_of(sweep, "pca")[["gpu_hours", "money"]])
    assert "GPU hours: none, no draw ran on a GPU." in cost_in_words(spent(sweep))


def test_rows_that_do_not_name_their_device_have_no_gpu_hours_rather_than_none(tmp_path):
    sweep = sweep_of(tmp_path)
    assert pd.isna(cost_of(sweep, "pca")["gpu_hours"])
    assert "not known" in cost_in_words(spent(sweep))


def test_each_run_has_its_own_price(tmp_path):
    made = FakeSweep(skill={"pca": {0: 1.0}}, draws=2, column=HALF_HOUR | {"device": "cuda"})
    runs = [make_run(tmp_path / name, made) for name in "ab"]
    sweep = load_sweep(runs)
    priced = replace(sweep, specs=tuple({**s, "resources": {"price_per_gpu_hour": p}} for s, p in
                                        zip(sweep.specs, (1.0, 10.0), strict=True)))  # fmt: skip
    assert [1.0, 10.0] == spent(priced).groupby("detector")["money"].sum().tolist()


def test_a_sentence_adds_up_what_the_table_says(tmp_path):
    sweep = sweep_of(tmp_path, device="cuda", cache_saved_seconds=1800.0, resources={"price_per_gpu_hour": 2.0})
    table = costs(sweep, levels(sweep.report, AP))
    assert (7.0, 14.0, 7.0, 14.0, 0.0) == pytest.approx(tuple(table[SPENT].sum()))
    assert cost_in_words(spent(sweep)).startswith(
        "All draws took 7.00 h; without the cache 14.0 h. GPU hours: 7.00 in fit, threshold and score, which cost"
    )


def test_draws_without_seconds_are_counted_and_not_taken_for_free(tmp_path):
    """A row of a draw that ran out of time has no seconds and no device; one cell has no other rows."""
    sweep = sweep_of(tmp_path, device="cuda")
    rows = sweep.rows.copy()
    lost = rows.index[(rows["detector"] == "pca") | ((rows["phase"] == "report") & (rows["draw"] == 100))]
    rows.loc[lost, "status"] = "timeout"
    rows.loc[lost, [*HALF_HOUR, "device"]] = None
    found = replace(sweep, rows=rows)
    assert 5 == len(lost)
    assert 1.0 == cost_of(found, "moment_lora")["untimed"]
    assert "5 rows without seconds (failed, out of time or left out) are not counted." in cost_in_words(spent(found))
    assert "9 draws that ended took 4.50 h" in cost_in_words(spent(found))
    assert "GPU hours: 4.50 in fit, threshold and score; no price is given." in cost_in_words(spent(found))


def test_where_no_row_has_seconds_gpu_hours_are_not_known(tmp_path):
    sweep = sweep_of(tmp_path, device="cuda", **dict.fromkeys(HALF_HOUR))
    assert "GPU hours: not known, no row has seconds." in cost_in_words(spent(sweep))


def test_a_draw_that_ended_well_without_the_metric_is_named(fake_sweep):
    rows = fake_sweep.rows.copy()
    rows.loc[(rows["detector"] == "random_forest") & (rows["shots"] == 20) & (rows["draw"] < 102), AP] = None
    (row,) = failures(replace(fake_sweep, rows=rows), AP).to_dict("records")
    assert ("random_forest", 20, "ok", 2, "100, 101") == tuple(
        row[name] for name in ("detector", "shots", "status", "count", "draws")
    )
    assert "without a value of average precision" in row["reason"]
    assert failures(fake_sweep, AP).empty
