from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.curves import levels
from analysis.generalisation import EVERY, generalisation
from analysis.load import Sweep
from analysis.plots import held_out
from tests.fakes.report_rows import report_rows

AP = "average_precision"


@pytest.fixture
def sweep(fake_sweep: Sweep) -> Sweep:
    """Two kinds; unseen costs 0.2 on the first and nothing on the second."""
    plain = report_rows({"moment_lora": {20: 0.8}, "pca": {0: 0.6}}).assign(status="ok", test_events=2)
    folds = [
        plain.assign(fold=0, held_out="cpu", exposure="unseen", average_precision=plain[AP] - 0.2),
        plain.assign(fold=1, held_out="cpu", exposure="seen"),
        plain.assign(fold=2, held_out="disk", exposure="unseen"),
        plain.assign(fold=3, held_out="disk", exposure="seen"),
    ]
    rows = pd.concat(folds, ignore_index=True).reindex(columns=[*fake_sweep.rows.columns])
    return replace(fake_sweep, rows=rows, planned=None, gaps=())


def test_a_planted_loss_on_an_unseen_kind_is_found(sweep):
    table = generalisation(sweep, AP).set_index(["detector", "held_out"])
    assert -0.2 == pytest.approx(table.loc[("moment_lora", "cpu"), "difference"])
    assert 0.0 == pytest.approx(table.loc[("moment_lora", "disk"), "difference"])
    assert -0.1 == pytest.approx(table.loc[("moment_lora", EVERY), "difference"])
    assert 0.8 == pytest.approx(table.loc[("moment_lora", "cpu"), "seen"], abs=0.03)
    assert 4 == table.loc[("moment_lora", EVERY), "test_events"]
    assert 10 == table.loc[("moment_lora", EVERY), "n"]


def test_the_rest_of_the_report_rests_on_unseen_folds_alone(sweep):
    assert {"unseen"} == set(sweep.report["exposure"])
    (level,) = levels(sweep.report, AP).query("detector == 'moment_lora'").to_dict("records")
    assert 0.7 == pytest.approx(level["estimate"], abs=0.03)


def test_rows_without_a_held_out_kind_make_no_table(fake_sweep):
    assert generalisation(fake_sweep, AP).empty


def test_a_draw_of_one_exposure_alone_is_said(sweep):
    rows = sweep.rows
    short = rows[~((rows["fold"] == 1) & (rows["draw"] == 3))]
    table = generalisation(replace(sweep, rows=short), AP).set_index(["detector", "held_out"])
    assert 9 == table.loc[("moment_lora", "cpu"), "n"]
    assert "draws without a partner: 3" in table.loc[("moment_lora", "cpu"), "note"]


def test_the_mean_over_kinds_compares_the_same_kinds_unseen_and_seen(sweep):
    rows = sweep.rows
    short = rows[~((rows["fold"] == 3) & (rows["detector"] == "moment_lora"))]  # disk, seen: no draw ended well
    table = generalisation(replace(sweep, rows=short), AP).set_index(["detector", "held_out"])
    assert -0.2 == pytest.approx(table.loc[("moment_lora", EVERY), "difference"])
    assert "left out, draws are missing: disk" in table.loc[("moment_lora", EVERY), "note"]
    assert np.isnan(table.loc[("moment_lora", "disk"), "seen"])


def test_a_kind_that_lacks_one_draw_is_left_out_of_the_mean_over_kinds(sweep):
    rows = sweep.rows
    short = rows[~((rows["fold"] == 0) & (rows["draw"] == 3))]
    table = generalisation(replace(sweep, rows=short), AP).set_index(["detector", "held_out"])
    assert 10 == table.loc[("moment_lora", EVERY), "n"]
    assert "draws are missing: cpu" in table.loc[("moment_lora", EVERY), "note"]


def test_the_figure_shows_every_kind(sweep):
    drawn = held_out.data(generalisation(sweep, AP).query("shots == 20"))
    figure = held_out.page(drawn, "average precision")
    assert np.allclose([[-0.2, 0.0, -0.1]], figure.data[0]["z"], atol=1e-9)
    unseen, seen = (float(drawn[name].iloc[0]) for name in ("unseen", "seen"))
    assert f"{unseen:.2f}<br>({seen:.2f})" == figure.data[0]["text"][0][0]
    held_out.paper(drawn, "average precision")


def test_the_figure_has_no_mean_over_some_of_the_kinds(sweep):
    short = sweep.rows[~((sweep.rows["fold"] == 0) & (sweep.rows["draw"] == 3))]
    drawn = held_out.data(generalisation(replace(sweep, rows=short), AP).query("shots == 20"))
    assert EVERY not in set(drawn["held_out"])
    assert {"cpu", "disk"} == set(drawn["held_out"])


def test_draws_that_take_most_of_the_pool_have_no_interval(sweep):
    table = generalisation(replace(sweep, rows=sweep.rows.assign(pool_share=0.6)), AP)
    assert table[["low", "high", "unseen_low", "unseen_high", "seen_low", "seen_high"]].isna().all(axis=None)
    assert table["note"].str.contains("more than half of the pool").all()
