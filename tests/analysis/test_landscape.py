import numpy as np
import pandas as pd
import pytest

from analysis.comparisons import headlines, pairs
from analysis.curves import levels
from analysis.landscape import candidates, optimism, parameter_columns
from analysis.load import Sweep
from analysis.selection import expected_optimism
from tests.fakes.report_rows import BASE

AP = "average_precision"


def test_every_configuration_is_listed_with_its_mean_over_selection_draws(fake_sweep):
    tried = candidates(fake_sweep, "average_precision")
    assert 8 == len(tried)  # four configurations at 20 and at 100 shots
    assert {3} == set(tried["draws"])
    rows = fake_sweep.selection[fake_sweep.selection["trial"] == tried["trial"].iloc[0]]
    assert rows["average_precision"].mean() == pytest.approx(tried["value"].iloc[0])


def test_the_configuration_of_the_report_rows_is_the_winner(fake_sweep):
    tried = candidates(fake_sweep, "average_precision")
    assert {2} == set(tried.loc[tried["winner"], "param.rank"])
    assert 2 == tried["winner"].sum()


def test_optimism_is_selection_mean_minus_report_mean(fake_sweep):
    points = levels(fake_sweep.report, "average_precision")
    table = optimism(candidates(fake_sweep, "average_precision"), points, "average_precision")
    assert [4, 4] == table["configurations"].tolist()
    assert (table["selection_mean"] - table["report_mean"]).tolist() == pytest.approx(table["optimism"].tolist())


def test_optimism_about_a_metric_to_be_minimised_is_report_mean_minus_selection_mean(fake_sweep):
    points = levels(fake_sweep.report, "delay_s")
    table = optimism(candidates(fake_sweep, "delay_s"), points, "delay_s")
    assert (table["report_mean"] - table["selection_mean"]).tolist() == pytest.approx(table["optimism"].tolist())


def test_parameters_that_never_change_are_no_dimension(fake_sweep):
    rows = fake_sweep.selection.assign(**{"param.fixed": 1})
    assert {"param.rank", "param.learning_rate"} == set(parameter_columns(rows))


def test_a_sweep_without_search_has_an_empty_landscape(fake_sweep):
    points = levels(fake_sweep.report, "average_precision")
    without = type(fake_sweep)(
        fake_sweep.folders, fake_sweep.report, fake_sweep.manifests, fake_sweep.specs, fake_sweep.planned, (), ()
    )
    tried = candidates(without, "average_precision")
    assert tried.empty
    assert optimism(tried, points, "average_precision").empty


def search_over_equals(seed: int) -> Sweep:
    """Fifty configurations of LoRA on five selection draws, the winner on ten fresh ones beside a forest: all equal."""
    rng = np.random.default_rng(seed)

    def rows(detector: str, phase: str, scores: np.ndarray, rank: int | None) -> list[dict[str, object]]:
        common = {**BASE, "detector": detector, "phase": phase, "shots": 20, "support_windows": 20, "status": "ok",
                  "trial": f"{detector}{rank}", "param.rank": rank, "run": 0, "exposure": None}  # fmt: skip
        return [{**common, "draw": draw, AP: score} for draw, score in enumerate(scores)]

    easy = rng.normal(scale=0.04, size=(2, 10))  # what draws share
    tried = 0.6 + easy[0, :5] + rng.normal(scale=0.06, size=(50, 5))
    best = int(tried.mean(axis=1).argmax())
    selected = [row for rank, scores in enumerate(tried) for row in rows("moment_lora", "select", scores, rank)]
    report = [
        *rows("moment_lora", "report", 0.6 + easy[1] + rng.normal(scale=0.06, size=10), best),
        *rows("random_forest", "report", 0.6 + easy[1] + rng.normal(scale=0.06, size=10), None),
    ]
    return Sweep((), pd.DataFrame([*selected, *report]), (), (), None, (), ())


def test_fifty_configurations_that_differ_by_luck_claim_nothing_and_their_optimism_is_that_luck():
    claims, tables = 0, []
    for seed in range(40):
        sweep = search_over_equals(seed)
        points = levels(sweep.report, AP)
        headline = headlines(pairs(sweep.report, AP, sweep.plan), points, AP)
        assert 1 == len(headline)
        claims += int((headline["verdict"] == "better").sum())
        tables.append(optimism(candidates(sweep, AP), points, AP))
    found = pd.concat(tables)
    assert {50} == set(found["configurations"])
    assert claims <= 2  # of 40, at 5 %
    assert expected_optimism(0.06, draws=5, configurations=50) == pytest.approx(found["luck"].mean(), rel=0.03)
    assert found["optimism"].mean() == pytest.approx(found["luck"].mean(), abs=0.015)
    assert found["report_mean"].mean() == pytest.approx(0.6, abs=0.015)
