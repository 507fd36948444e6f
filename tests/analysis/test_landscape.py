import pytest

from analysis.curves import levels
from analysis.landscape import candidates, optimism, parameter_columns


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
