import numpy as np
import pytest

from analysis.by_fault import DrawScores
from analysis.worst import FALSE, MISSED, MOST, worst
from trainables.trial import WindowScores


def drawn(score: list[float], event: list[int], detector: str = "pca", threshold: float = 5.0) -> DrawScores:
    """Windows a minute apart in one segment, faults numbered from 0, each of its own type."""
    at = np.array(event, dtype=np.int32)
    scores = WindowScores(
        window_end=np.datetime64("2026-01-01", "ns") + np.arange(len(at)).astype("timedelta64[m]"),
        segment=np.full(len(at), "load"),
        event=at,
        fault_type=np.where(at < 0, "normal", np.char.add("type ", at.astype(str))),
        label=(at >= 0).astype(np.int8),
        score=np.array(score, dtype=np.float32),
    )
    return DrawScores("s", detector, 20, 0, 100, threshold, scores)


def test_the_missed_fault_that_most_normal_windows_outscore_comes_first():
    table = worst([drawn([3.5, 3, 2.5, 2, 2, 9, 0, 4], [-1, 0, -1, 1, 1, 2, -1, 3])])
    assert ["type 1", "type 0", "type 3"] == table["fault_type"].tolist()
    assert {MISSED} == set(table["what"])
    assert [2 / 3, 1 / 3, 0.0] == pytest.approx(table["share"].tolist())


def test_a_fault_that_reached_the_threshold_is_not_missed():
    table = worst([drawn([5, 4, 8, 6], [0, 1, -1, -1])])
    missed = table[table["what"] == MISSED]
    assert ["type 1"] == missed["fault_type"].tolist()
    assert [1.0] == missed["share"].tolist()  # both normal windows score higher


def test_a_false_alarm_lasts_until_a_window_is_silent_or_faulty_and_the_highest_comes_first():
    table = worst([drawn([6, 6, 9, 7, 0, 8, 0], [-1, -1, 0, -1, -1, -1, 1])])
    false = table[table["what"] == FALSE]
    assert ["2026-01-01T00:00:00", "2026-01-01T00:03:00", "2026-01-01T00:05:00"] == sorted(false["start"])
    first = false.sort_values("start").iloc[0]
    assert "2026-01-01T00:01:00" == first["end"]
    assert [0.5] * 3 == pytest.approx(false["share"].tolist())  # above one of the two faulty windows
    higher = worst([drawn([6, 0, 9, 7], [-1, -1, -1, 0])])
    assert [1.0, 0.0] == higher.loc[higher["what"] == FALSE, "share"].tolist()


def test_windows_may_come_in_any_order_and_segments_divide_alarms():
    one = drawn([6, 7, 0, 9], [-1, -1, -1, 0])
    swapped = DrawScores(
        "s", "pca", 20, 0, 100, 5.0,
        WindowScores(**{
            name: getattr(one.scores, name)[[3, 1, 0, 2]]
            for name in ("window_end", "segment", "event", "fault_type", "label", "score")
        }),
    )  # fmt: skip
    assert worst([one]).equals(worst([swapped]))
    assert 1 == len(worst([one]))
    swapped.scores.segment[:] = ["load", "late", "load", "load"]
    assert 2 == len(worst([swapped]))


def test_each_detector_has_at_most_a_few_of_each_and_those_that_see_nothing_have_none():
    score, event = [9, 0] * 6 + [1, 1, 1, 1], [-1] * 12 + [0, 1, 2, 3]
    table = worst([drawn(score, event, name) for name in ("pca", "random", "external")])
    assert {(d, w): MOST for d in ("pca", "external") for w in (MISSED, FALSE)} == table.value_counts(
        ["detector", "what"]
    ).to_dict()


def test_without_draws_the_table_is_empty():
    assert worst([]).empty
