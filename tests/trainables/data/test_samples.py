"""Samples of named series become one wide table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.assemble import assemble
from trainables.data.readers.counters import is_counter_by_name, rate
from trainables.data.readers.samples import Samples
from trainables.errors import DataError

SECOND = 1_000_000_000
T0 = 1_700_000_000


def wide(*series, declared=None):
    """Return rows and notes of (name, labels, seconds since T0, values)."""
    samples, notes = Samples("here"), []
    for name, labels, seconds, values in series:
        times = np.asarray([round((T0 + s) * 1000) * 1_000_000 for s in seconds], dtype=np.int64)
        samples.add(name, labels, times, np.asarray(values, dtype=np.float64))
    for name, kind in (declared or {}).items():
        samples.declare(name, kind)
    return samples.wide(notes.append), notes


def seconds_of(raw):
    return [(int(t) - T0 * SECOND) / SECOND for t in raw.timestamps.astype(np.int64)]


def test_samples_on_one_grid_stay_as_they_are_and_a_lost_one_is_missing():
    raw, notes = wide(("a", {}, [0, 10, 20, 30], [1, 2, 3, 4]), ("b", {"x": "1"}, [0, 10, 30], [5, 6, 8]))
    assert ("a", 'b{x="1"}') == raw.columns
    assert [0, 10, 20, 30] == seconds_of(raw)
    np.testing.assert_array_equal([[1, 5], [2, 6], [3, np.nan], [4, 8]], raw.values)
    assert [] == notes


def test_samples_may_come_in_any_order_and_in_pieces():
    raw, _ = wide(("a", {}, [30, 20], [4, 3]), ("a", {}, [0, 10], [1, 2]))
    assert [[1], [2], [3], [4]] == raw.values.tolist()


def test_irregular_samples_are_resampled_to_the_median_step_without_looking_ahead():
    times = [0, 10.2, 19.9, 30.1, 40, 50.3]
    raw, notes = wide(("a", {}, times, [0, 1, 2, 3, 4, 5]))
    assert [0, 10.2, 20.4, 30.6, 40.8] == seconds_of(raw)
    assert [0, 1, 2, 3, 4] == raw.values[:, 0].tolist()
    assert any("resampled to the median step" in note for note in notes)


def test_a_row_takes_the_latest_sample_and_none_older_than_one_and_a_half_steps():
    late = ("late", {}, [4, 14, 24, 34, 44], [0, 1, 2, 3, 4])
    lost = ("lost", {}, [0, 10, 40], [7, 8, 9])
    raw, _ = wide(late, lost, ("even", {}, [0, 10, 20, 30, 40], [0, 0, 0, 0, 0]))
    assert [0, 10, 20, 30, 40] == seconds_of(raw)
    np.testing.assert_array_equal([np.nan, 0, 1, 2, 3], raw.values[:, 0])
    np.testing.assert_array_equal([7, 8, 8, np.nan, 9], raw.values[:, 1])


def test_a_slower_series_is_held_until_its_next_sample():
    slow = ("slow", {}, [0, 60, 120], [1, 2, 3])
    raw, _ = wide(slow, *((f"fast{i}", {}, range(0, 121, 15), range(9)) for i in range(2)))
    assert [1, 1, 1, 1, 2, 2, 2, 2, 3] == raw.values[:, 0].tolist()


def test_a_long_pause_has_no_rows_and_breaks_the_segment():
    times = [*range(0, 100, 10), *range(200, 300, 10)]
    raw, _ = wide(("a", {}, times, range(20)))
    assert times == seconds_of(raw)
    assert ("all", "all#2") == assemble(raw, "made").segments


def test_a_short_pause_keeps_its_rows():
    raw, _ = wide(("a", {}, [0, 10, 20, 50, 60, 70], range(6)))
    assert list(range(0, 80, 10)) == seconds_of(raw)
    assert [3, 4] == np.flatnonzero(np.isnan(raw.values[:, 0])).tolist()


def test_two_values_at_one_time_are_resolved_by_the_last_and_counted():
    raw, notes = wide(("a", {}, [0, 10, 20], [1, 2, 3]), ("a", {}, [10, 20], [2, 9]))
    assert [1, 2, 9] == raw.values[:, 0].tolist()
    assert ["1 sample with the series and time of another one, but not its value: the one read last counts."] == notes


def test_counters_become_rates_that_survive_a_restart():
    raw, notes = wide(("hits_total", {}, [0, 10, 20, 30], [100, 150, 20, 60]), ("load", {}, [0, 10, 20, 30], [1] * 4))
    assert ("rate(hits_total)", "load") == raw.columns
    np.testing.assert_array_equal([np.nan, 5, 2, 4], raw.values[:, 0])
    assert ["1 counter of 2 series turned into rates per second (1 reset)."] == notes


def test_a_declared_kind_counts_more_than_the_name():
    counter, gauge = ("seen", {}, [0, 10], [0, 50]), ("free_total", {}, [0, 10], [3, 4])
    raw, _ = wide(counter, gauge, declared={"seen": "counter", "free_total": "gauge"})
    assert ("rate(seen)", "free_total") == raw.columns


@pytest.mark.parametrize(
    ("name", "others", "values", "counts"),
    [
        ("hits_total", (), [1, 2, 3], True),
        ("hits_total", (), [3, 1, 2, 0, 5, 1], False),
        ("hits_total", (), [-1, 2, 3], False),
        ("latency_bucket", (), [1, 2, 3], True),
        ("latency_sum", ("latency_count",), [1, 2, 3], True),
        ("pod_count", (), [1, 2, 3], False),
        ("load", (), [1, 2, 3], False),
    ],
)
def test_what_counts_up_is_seen_by_name_and_values(name, others, values, counts):
    assert counts == is_counter_by_name(name, {name, *others}, [np.asarray(values, dtype=np.float64)])


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=40), st.integers(1, 60))
def test_rates_add_up_to_the_increase_of_a_counter_without_resets(steps, pause):
    values = np.cumsum(steps)
    rates, resets = rate(np.arange(len(values)) * float(pause), values)
    assert 0 == resets
    assert values[-1] - values[0] == pytest.approx(np.nansum(rates) * pause, abs=1e-6 * (1 + values[-1]))


def test_a_rate_needs_a_sample_before_it_and_not_too_long_before():
    rates, resets = rate(np.asarray([0.0, 10, 500, 510]), np.asarray([1.0, 2, 0, np.nan]), longest_s=50)
    np.testing.assert_array_equal([np.nan, 0.1, np.nan, np.nan], rates)
    assert 0 == resets


def test_pods_that_come_and_go_are_reported():
    times = list(range(0, 200, 10))
    brief = [("cpu", {"pod": f"p{i}"}, times[5 * i : 5 * i + 5], range(5)) for i in range(4)]
    _, notes = wide(*brief)
    assert any("4 of 4 series have values in less than half of the rows" in note for note in notes)


def test_labels_are_written_as_prometheus_does():
    raw, _ = wide(("up", {"b": 'x"y', "a": "1", "empty": ""}, [0, 10], [1, 1]), ("label", {}, [0, 10], [1, 1]))
    assert ('up{a="1",b="x\\"y"}', "label{}") == raw.columns


@pytest.mark.parametrize(
    ("series", "says"),
    [
        ((), "no samples"),
        ((("a", {}, [0], [1]),), "two samples"),
        ((("a", {}, [0, 1], [np.nan] * 2),), "no sample has"),
    ],
)
def test_what_makes_no_table_is_refused(series, says):
    with pytest.raises(DataError, match=f"here: .*{says}"):
        wide(*series)
