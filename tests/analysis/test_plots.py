"""Figures on small frames: series and labels, not pixels; plotly itself checks that every figure is valid."""

import json
from collections.abc import Callable

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.figure import Figure as PaperFigure

from analysis import comparisons
from analysis.by_fault import caught_by_type, iter_scores, types_caught
from analysis.curves import levels
from analysis.intervals import clopper_pearson
from analysis.landscape import candidates
from analysis.leaderboard import leaderboard
from analysis.plots import (
    cost,
    differences,
    fault_types,
    forest,
    learning_curve,
    parallel,
    search,
    style,
    timeline,
)
from analysis.plots.page_figure import PageFigure
from analysis.tables import costs
from trainables.registry import detector_names

AP = "average_precision"


@pytest.fixture(scope="session")
def points(fake_sweep):
    return levels(fake_sweep.report, AP)


@pytest.fixture(scope="session")
def draws(fake_sweep):
    return list(iter_scores(fake_sweep, []))


@pytest.fixture(scope="session")
def figures(fake_sweep, points, draws) -> dict[str, tuple[PageFigure, Callable[[], PaperFigure]]]:
    board = leaderboard(fake_sweep, AP)
    curve = learning_curve.data(points, "windows", "AP")
    dots = forest.data(board[board["shots"] == 100])
    pairs = differences.data(comparisons.pairs(fake_sweep.report, AP).query("detector == 'moment_lora'"))
    caught = caught_by_type(types_caught(draws))
    types = fault_types.data(caught[caught["shots"] == 20])
    tried = search.data(candidates(fake_sweep, AP))
    lines = parallel.data(candidates(fake_sweep, AP), "AP", 1)
    spent = cost.data(costs(fake_sweep, points))
    line = timeline.data([d for d in draws if d.shots == 20 and d.draw == 100])
    return {
        "learning_curve": (learning_curve.page(curve), lambda: learning_curve.paper(curve)),
        "forest": (forest.page(dots, "AP"), lambda: forest.paper(dots, "AP")),
        "differences": (differences.page(pairs, "AP"), lambda: differences.paper(pairs, "AP")),
        "fault_types": (fault_types.page(types), lambda: fault_types.paper(types)),
        "search": (search.page(tried, "AP"), lambda: search.paper(tried, "AP")),
        "parallel": (parallel.page(lines), lambda: parallel.paper(lines)),
        "cost": (cost.page(spent, "AP"), lambda: cost.paper(spent, "AP")),
        "timeline": (timeline.page(line), lambda: timeline.paper(line)),
    }


NAMES = ("learning_curve", "forest", "differences", "fault_types", "search", "parallel", "cost", "timeline")


@pytest.mark.parametrize("name", NAMES)
def test_plotly_accepts_the_figure_of_the_page(figures, name):
    page, _ = figures[name]
    assert len(page.data) == len(go.Figure(page.as_dict()).data) > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_json_of_a_figure_holds_no_nan(figures, name):
    json.loads(figures[name][0].json(), parse_constant=lambda text: pytest.fail(f"{text} in JSON"))


@pytest.mark.parametrize("name", NAMES)
def test_the_printable_figure_has_axes_with_titles(figures, name):
    paper = figures[name][1]()
    assert any(axes.get_xlabel() or axes.get_ylabel() or axes.get_yticklabels() for axes in paper.axes)
    paper.draw_without_rendering()


def test_a_curve_has_a_band_exactly_where_there_is_an_interval(figures):
    page, _ = figures["learning_curve"]
    banded = {trace["legendgroup"] for trace in page.data if trace.get("fill") == "toself"}
    assert {"isolation_forest", "random_forest", "moment_lora"} == banded


def test_the_only_point_of_a_curve_has_a_bar_for_its_interval_on_screen_and_on_paper(points):
    drawn = learning_curve.data(points[points["shots"] == 100], "windows", "AP")
    page = learning_curve.page(drawn)
    assert [] == [trace for trace in page.data if trace.get("fill") == "toself"]
    (forest_curve,) = [t for t in page.data if t.get("name") == "random_forest"]
    known = points.query("detector == 'random_forest' and shots == 100").iloc[0]
    bar = forest_curve["error_y"]
    assert [known["high"] - known["estimate"]] == bar["array"]
    assert [known["estimate"] - known["low"]] == bar["arrayminus"]
    go.Figure(page.as_dict())
    (axes,) = learning_curve.paper(drawn).axes
    assert len(drawn.curves) == len(axes.containers) > 0


def test_the_hover_of_a_point_says_interval_and_n(figures):
    page, _ = figures["learning_curve"]
    (forest_curve,) = [t for t in page.data if t.get("name") == "random_forest"]
    assert all("95 % interval" in text and "n = 10 draws" in text for text in forest_curve["text"])
    (flat,) = [t for t in page.data if str(t.get("name")).startswith("pca")]
    assert "no variance was observed" in flat["text"][0]


def test_the_hover_of_a_fault_type_says_interval_and_n(figures):
    page, _ = figures["fault_types"]
    (heat,) = page.data
    for share, (events, _, low, high, draws) in zip(
        np.ravel(heat["z"]), np.reshape(heat["customdata"], (-1, 5)), strict=True
    ):
        known = clopper_pearson(round(share * events), int(events))
        assert (known.low, known.high, 10) == (low, high, draws)
    assert "n = %{customdata[4]:.0f} draws" in heat["hovertemplate"]


def test_a_detector_without_labels_is_a_level_line_over_the_whole_width(figures):
    page, _ = figures["learning_curve"]
    (flat,) = [t for t in page.data if str(t.get("name")).startswith("pca")]
    assert [0.0, style.label_scale(100, 20)] == pytest.approx(list(flat["x"]))
    assert flat["y"].iloc[0] == flat["y"].iloc[1]


def test_a_detector_whose_cells_with_labels_failed_is_no_level_line(points):
    left = points[(points["detector"] == "isolation_forest") & (points["shots"] == 0)]
    wanted = {("simulated", "isolation_forest", 0), ("simulated", "isolation_forest", 20)}
    assert [False] == [curve.flat for curve in learning_curve.data(left, "windows", "AP", wanted).curves]
    assert [True] == [curve.flat for curve in learning_curve.data(left, "windows", "AP").curves]


def test_zero_labels_have_a_place_on_the_axis_of_labels():
    places = style.label_scale([0, 20, 100, 500], 20)
    assert 0.0 == places[0]
    assert (np.diff(places) > 0.5).all()


@pytest.mark.parametrize("axis", list(learning_curve.AXES))
def test_every_way_of_counting_labels_makes_a_curve(points, axis):
    page = learning_curve.page(learning_curve.data(points, axis, "AP"))
    assert learning_curve.AXES[axis] == page.layout["xaxis"]["title"]["text"]


def test_every_built_in_detector_has_a_look_of_its_own():
    looks = [(style.look(name).colour, style.look(name).marker) for name in detector_names()]
    assert len(detector_names()) == len(set(looks))


def test_colours_stand_out_from_the_light_and_the_dark_page():
    for name in (*detector_names(), "my_own", "another"):
        for page in ("#ffffff", "#14171b"):
            assert contrast(style.look(name).colour, page) >= 3, (name, page)
    for tone in parallel.TONES:
        assert contrast(tone, "#ffffff") >= 3
        assert contrast(tone, "#14171b") >= 3


def test_the_look_of_an_unknown_detector_stays_the_same():
    assert style.look("my_own") == style.look("my_own")


def test_foundation_detectors_come_first_and_floors_last():
    assert ["moment_lora", "random_forest", "my_own", "random"] == style.ordered(
        ["random", "my_own", "random_forest", "moment_lora"]
    )


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "a&b", "<b>x</b>", 'quo"te', "x" * 500])
def test_hostile_names_are_shown_not_obeyed(hostile):
    shown = style.safe(hostile)
    assert "<" not in shown
    assert len(shown) < 120


def test_dollars_are_no_mathematics_on_paper():
    assert r"\$x\$" == style.paper_text("$x$")


def test_long_test_parts_keep_every_block_s_highest_score(draws):
    score = np.zeros(5000)
    score[1234] = 1.0
    kept = timeline._peaks(score, np.zeros(5000, dtype=bool))
    assert 1234 in kept
    assert len(kept) <= timeline.MOST_POINTS


def test_no_line_is_drawn_across_a_gap(draws):
    lane = timeline.data(draws[:1]).lanes[0]
    lane.time[40:] += np.timedelta64(1, "D")
    x, _, _ = timeline._broken(lane, 0)
    assert [40] == [n for n, value in enumerate(x) if value is None]


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
