import numpy as np
import pandas as pd
import pytest

from analysis.by_fault import DrawScores, iter_scores
from analysis.delays import NOT_HALF, delays, fault_delays
from analysis.plots import delay
from trainables.event_metrics import delay_s, timeline
from trainables.trial import WindowScores

SPACING_S = 10


def draw(*alarms, length=6, number=100, fold=0):
    """One draw: a fault for each of `alarms`, which is the window of its first alarm, or None for a missed fault."""
    label, event, score = [0], [-1], [0.0]
    for fault, first in enumerate(alarms):
        label += [1] * length + [0] * 3
        event += [fault] * length + [-1] * 3
        score += [1.0 if first is not None and n >= first else 0.0 for n in range(length)] + [0.0] * 3
    count = len(label)
    scores = WindowScores(
        window_end=np.datetime64("2026-03-01", "ns") + (np.arange(count) * SPACING_S).astype("timedelta64[s]"),
        segment=np.full(count, "load"), event=np.array(event, dtype=np.int32),
        fault_type=np.where(np.array(label) == 1, "cpu", "normal"), label=np.array(label, dtype=np.int8),
        score=np.array(score, dtype=np.float32),
    )  # fmt: skip
    return DrawScores("s", "d", 20, fold, number, 0.5, scores)


def median(*draws):
    (row,) = delays(draws)[0].to_dict("records")
    return row["median_s"], row["median_steps"]


def test_a_delay_runs_from_the_first_window_of_the_fault_to_its_first_alarm():
    one = draw(0, 3, None)
    seconds, steps, lasts = fault_delays(one.scores, one.threshold)
    assert [0, 30, np.inf] == seconds.tolist()
    assert [0, 3, np.inf] == steps.tolist()
    assert [50, 50, 50] == lasts.tolist()


def test_faults_without_an_alarm_count_as_longer_than_any():
    assert (20.0, 2.0) == median(draw(1, 2, None))
    assert (30.0, 3.0) == median(draw(3, 1, None, None, 0))


def test_there_is_no_median_where_fewer_than_half_are_caught():
    table, _ = delays([draw(0, None, None)])
    assert np.isnan(table["median_s"][0])
    assert NOT_HALF == table["answer"][0]
    assert 1 / 3 == pytest.approx(table["caught"][0])


def test_of_an_even_number_the_lower_middle_counts():
    assert (10.0, 1.0) == median(draw(0, 1, 4, None))


def test_the_answer_in_words_has_seconds_and_steps():
    assert ["10 s (1 step)", "20 s (2 steps)"] == [delays([draw(n)])[0]["answer"][0] for n in (1, 2)]


def test_hours_are_whole_seconds_without_an_exponent_in_words_and_over_the_figure():
    long = draw(1085, length=1086)
    table, curve = delays([long])
    assert "10,850 s (1085 steps)" == table["answer"][0]
    page = delay.page(delay.data(curve))
    assert "10,850 s" in page.json()
    assert not any("%{x" in trace["hovertemplate"] for trace in page.data)


def test_draws_and_folds_are_pooled_and_faults_counted_once_a_draw():
    draws = [draw(0, 1), draw(0, 1, fold=1), draw(5, 5, number=101), draw(5, None, number=101, fold=1)]
    table, curve = delays(draws)
    assert (4, 2) == (table["faults"][0], table["draws"][0])
    assert 7 / 8 == table["caught"][0]
    assert {0.0: 2 / 8, 10.0: 4 / 8, 50.0: 7 / 8} == dict(zip(curve["seconds"], curve["caught"], strict=True))


def test_the_curve_never_falls_and_ends_at_the_share_that_is_ever_caught():
    table, curve = delays([draw(2, None, 4), draw(0, 1, None, number=101)])
    assert (np.diff(curve["caught"]) >= 0).all()
    assert table["caught"][0] == curve["caught"].iloc[-1]


def test_faults_of_unlike_length_show_until_when_they_could_be_caught():
    _, curve = delays([draw(None, length=3), draw(None, length=6, fold=1)])
    assert {0.0: 1.0, 20.0: 1.0, 50.0: 0.5} == dict(zip(curve["seconds"], curve["lasting"], strict=True))


def test_windows_in_any_order_give_the_same_delays():
    one = draw(2, 4, None)
    order = np.random.default_rng(0).permutation(len(one.scores.label))
    names = ("window_end", "segment", "event", "fault_type", "label", "score")
    mixed = WindowScores(**{name: getattr(one.scores, name)[order] for name in names})
    assert fault_delays(one.scores, 0.5).tolist() == fault_delays(mixed, 0.5).tolist()


def test_the_median_of_one_draw_is_the_metric_of_its_row(fake_sweep):
    """Two implementations, one answer; no alarms at all for half of the thresholds."""
    compared = 0
    for one in list(iter_scores(fake_sweep, []))[:25]:
        line = timeline(one.scores, 60.0)
        for threshold in (0.5, 2.0, 3.5):
            expected = delay_s(line, line.score >= threshold)
            (found,) = delays([DrawScores("s", "d", 0, 0, 1, threshold, one.scores)])[0]["median_s"]
            assert np.isnan(found) if expected is None else expected == pytest.approx(found)
            compared += expected is not None
    assert compared > 20


def test_no_draws_and_no_faults_are_empty_tables():
    assert [0, 0] == [len(frame) for frame in delays([])]
    assert [0, 0] == [len(frame) for frame in delays([draw()])]


def test_the_figure_has_a_step_line_a_detector_and_one_for_faults_that_end():
    _, curve = delays([draw(2, None, 4)])
    page = delay.page(delay.data(pd.concat([curve, curve.assign(detector="<b>x")])))
    assert ["hv", "hv", "vh"] == [trace["line"]["shape"] for trace in page.data]
    assert "faults that last as long" == page.data[-1]["name"]
    assert "<b>x" not in page.json()
    assert "since" in delay.paper(delay.data(curve)).axes[0].get_xlabel()
