import numpy as np
import pandas as pd
import pytest

from analysis.landscape import MOST_DRAWN, candidates
from analysis.plots import parallel

AP = "average_precision"


def tried(**columns):
    count = len(next(iter(columns.values())))
    base = {"source": "s", "detector": "d", "shots": 20, "fold": 0, "trial": [f"t{n}" for n in range(count)],
            "value": np.linspace(0.2, 0.8, count), "draws": 3, "winner": [False] * (count - 1) + [True]}  # fmt: skip
    return pd.DataFrame(base | columns)


def axis(figure, title):
    (found,) = [a for a in figure.axes if a.title == title]
    return found


def test_every_configuration_is_a_line_over_shots_parameters_and_objective(fake_sweep):
    figure = parallel.data(candidates(fake_sweep, AP), "AP", 1)
    assert ["shots", "learning_rate", "rank", "AP (selection)"] == [a.title for a in figure.axes]
    page = parallel.page(figure)
    holes = sum(list(trace["x"]).count(None) for trace in page.data)
    assert 8 == holes == len(figure.said)
    assert {"star"} == {t["marker"]["symbol"] for t in page.data if t["line"]["width"] == 3}
    assert 2 == figure.winner.sum()


def test_wide_parameters_are_placed_on_a_logarithmic_axis_and_narrow_ones_on_a_straight_one():
    figure = parallel.data(tried(**{"param.rate": [1e-4, 1e-3, 1e-2], "param.depth": [1, 2, 4]}), "AP", 1)
    assert [0, 0.5, 1] == pytest.approx(axis(figure, "rate").place.tolist())
    assert [0, 1 / 3, 1] == pytest.approx(axis(figure, "depth").place.tolist())
    assert [(0.0, "1"), (pytest.approx(1 / 3), "2"), (1.0, "4")] == list(axis(figure, "depth").ticks)


def test_categories_stand_at_equal_distances_and_what_is_not_set_says_so():
    figure = parallel.data(tried(**{"param.context": ["none", "level", None, "scale"]}), "AP", 1)
    assert ["none", "level", "not set", "scale"] == axis(figure, "context").said
    assert {0.0, 1 / 3, 2 / 3, 1.0} == set(axis(figure, "context").place)


def test_colour_follows_the_direction_of_the_metric():
    frame = tried(**{"param.depth": [1, 2, 3]}, winner=[False, False, False])
    assert [0, 3, 6] == parallel.data(frame, "AP", 1).tone.tolist()
    reverse = parallel.data(frame, "delay", -1)
    assert ["3", "2", "1"] == axis(reverse, "depth").said  # the best, of the lowest value, is drawn last
    assert [0, 3, 6] == reverse.tone.tolist()


def test_of_very_many_configurations_some_from_worst_to_best_are_drawn_and_the_figure_says_so():
    count = 10 * MOST_DRAWN
    frame = tried(**{"param.depth": np.arange(count)}, winner=[n == 1 for n in range(count)])
    figure = parallel.data(frame, "AP", 1)
    assert MOST_DRAWN + 1 == len(figure.said)
    assert ["0", "2,999"] == [text for _, text in axis(figure, "depth").ticks]  # the worst and the best are among them
    assert [False] * MOST_DRAWN + [True] == figure.winner.tolist()
    words = [a["text"] for a in parallel.page(figure).layout["annotations"]]
    assert "301 of 3000 configurations, from worst to best" in words


def test_hovering_says_every_value_and_that_it_is_not_for_claims():
    figure = parallel.data(tried(**{"param.depth": [1, 2, 3]}), "AP", 1)
    assert "depth = 3<br>AP (selection) = 0.8<br>3 selection draws, not for claims" == figure.said[-1]
    assert "not for claims" in parallel.paper(figure).axes[0].get_xlabel()


def test_hostile_values_are_shown_not_obeyed():
    page = parallel.page(parallel.data(tried(**{"param.<b>x</b>": ["<img src=x>", "$y$", "z" * 300]}), "AP", 1))
    assert "<img" not in page.json()
    assert "<b>x" not in page.json()
    parallel.paper(parallel.data(tried(**{"param.a$b": ["<img src=x>", "$y$", "z" * 300]}), "A$P", 1))


def test_equal_values_of_the_objective_are_drawn_in_the_middle():
    figure = parallel.data(tried(**{"param.depth": [1, 2, 3]}, value=[0.5, 0.5, 0.5]), "AP", 1)
    assert [0.5] * 3 == axis(figure, "AP (selection)").place.tolist()
