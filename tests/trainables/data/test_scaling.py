import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trainables.data.scaling import LIMIT, fit_scaler, missing_rule
from trainables.errors import ProtocolError
from trainables.settings import MissingByColumn

NAN = np.nan


def fit(values, rows=None, normalise="zscore", missing="hold"):
    values = np.asarray(values, dtype=np.float32)
    rows = np.arange(len(values)) if rows is None else np.asarray(rows)
    names = tuple(f"c{i}" for i in range(values.shape[1]))
    scaler, notes = fit_scaler(values, names, rows, normalise, missing)
    return scaler, notes, scaler.apply(values, np.zeros(len(values), dtype=np.int32))


def test_zscore_has_mean_0_and_deviation_1_on_the_reference():
    _, _, table = fit([[1.0], [3.0], [100.0]], rows=[0, 1])
    assert [-1.0, 1.0, 98.0] == table[:, 0].tolist()


def test_minmax_spans_0_to_1_on_the_reference_and_may_leave_it_elsewhere():
    _, _, table = fit([[2.0], [4.0], [8.0]], rows=[0, 1], normalise="minmax")
    assert [0.0, 1.0, 3.0] == table[:, 0].tolist()


def test_robust_uses_median_and_interquartile_range():
    _, _, table = fit([[0.0], [1.0], [2.0], [3.0], [1000.0]], normalise="robust")
    assert [-1.0, -0.5, 0.0, 0.5, 499.0] == table[:, 0].tolist()


def test_robust_without_interquartile_range_uses_the_deviation_and_says_so():
    _, notes, table = fit([[0.0]] * 9 + [[10.0]], normalise="robust")
    assert 10 / 3 == pytest.approx(table[9, 0])
    assert "interquartile range of 0" in notes[0]


def test_values_outside_the_reference_do_not_change_the_scaling():
    before = fit([[1.0], [3.0], [5.0]], rows=[0, 1])[0]
    after = fit([[1.0], [3.0], [5000.0]], rows=[0, 1])[0]
    assert (before.centre.tolist(), before.spread.tolist()) == (after.centre.tolist(), after.spread.tolist())


def test_hold_repeats_the_last_value_within_a_segment_then_uses_the_median():
    values = np.array([[NAN], [1.0], [NAN], [NAN], [2.0], [3.0]], dtype=np.float32)
    scaler, _ = fit_scaler(values, ("c",), np.array([1, 4, 5]), "minmax", "hold")
    table = scaler.apply(values, np.array([0, 0, 0, 1, 1, 1], dtype=np.int32))
    assert [0.5, 0.0, 0.0, 0.5, 0.5, 1.0] == table[:, 0].tolist()


@pytest.mark.parametrize(("rule", "expected"), [("hold", 1.0), ("median", 0.5), ("zero", -0.5)])
def test_each_missing_rule_fills_its_own_way(rule, expected):
    _, _, table = fit([[1.0], [2.0], [3.0], [NAN]], rows=[0, 1, 2], normalise="minmax", missing=rule)
    assert expected == table[3, 0]


def test_the_first_matching_pattern_decides_the_rule():
    rules = MissingByColumn(default="hold", columns={"*_latency_*": "median", "ts-*": "zero"})
    assert ["median", "zero", "hold"] == [
        missing_rule(name, rules) for name in ("ts-a_latency_ms", "ts-a_errors", "other")
    ]


def test_columns_constant_or_missing_on_the_reference_are_dropped_by_name():
    scaler, notes, table = fit([[1.0, 5.0, NAN], [2.0, 5.0, NAN], [3.0, 9.0, 1.0]], rows=[0, 1])
    assert (("c0",), (3, 1)) == (scaler.columns, table.shape)
    assert any("c1" in note and "constant" in note for note in notes)
    assert any("c2" in note and "missing" in note for note in notes)


def test_rounding_noise_counts_as_constant():
    with pytest.raises(ProtocolError, match="no column varies"):
        fit([[1e6], [np.nextafter(np.float32(1e6), np.float32(2e6))]])


def test_filled_values_are_counted_by_column():
    scaler, notes, _ = fit([[1.0, 1.0], [NAN, 2.0], [NAN, NAN], [2.0, 3.0]])
    assert [2, 1] == scaler.missing.tolist()
    assert any("3 missing values in 2 columns" in note for note in notes)


@given(
    values=arrays(
        np.float32,
        (12, 3),
        elements=st.one_of(st.just(NAN), st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)),
    ),
    normalise=st.sampled_from(["zscore", "minmax", "robust"]),
    missing=st.sampled_from(["hold", "median", "zero"]),
)
def test_the_table_is_always_finite(values, normalise, missing):
    try:
        _, _, table = fit(values, rows=np.arange(6), normalise=normalise, missing=missing)
    except ProtocolError:
        return  # nothing varies on the reference
    assert np.isfinite(table).all()
    assert np.float32 == table.dtype
    assert np.abs(table).max() <= LIMIT
