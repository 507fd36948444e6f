"""Whatever the telemetry looks like, parts that can be prepared pass the audit."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainables.data import audit, check_supply, draw_support, prepare
from trainables.errors import ProtocolError

segment_lengths = st.lists(st.integers(1, 300), min_size=1, max_size=6)
spans = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 30), st.sampled_from("ab")), min_size=0, max_size=25)


def placed(spans, rows):
    """Turn (gap before, length, type) into fault spans that follow each other."""
    faults, start = [], 0
    for gap, length, kind in spans:
        start += gap
        if start + length > rows:
            break
        faults.append((start, start + length, kind))
        start += length
    return faults


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lengths=segment_lengths,
    spans=spans,
    guard=st.lists(st.tuples(st.integers(0, 900), st.integers(1, 30)), max_size=4),
    by=st.sampled_from(["event", "run"]),
    folds=st.integers(1, 4),
    window=st.sampled_from([8, 16, 32]),
    strides=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    cap=st.none() | st.integers(1, 20),
)
def test_prepared_parts_never_share_a_row_a_fault_or_a_statistic(
    make_series, make_settings, lengths, spans, guard, by, folds, window, strides, cap
):
    rows = sum(lengths)
    named = [(f"s{number}", length) for number, length in enumerate(lengths)]
    if max(lengths) < 2:
        return  # no sampling step
    series = make_series(placed(spans, rows), segments=named, guard=[(a, min(a + n, rows)) for a, n in guard])
    chosen = make_settings(
        by=by,
        folds=folds,
        window=window,
        support_stride=strides[0],
        score_stride=strides[1],
        caps={"test": cap, "validation": cap, "reference": cap},
        few_shot={"shortage": "cap"},
    )
    supplied = check_supply(series, chosen, (5,)) == []
    for fold in range(folds):
        try:
            parts = prepare(series, chosen, fold)
        except ProtocolError:
            assert not supplied
            continue
        index = draw_support(parts.pool, source="s", shots=9, draw=fold, few_shot=chosen.few_shot)
        audit(parts, parts.pool.take(index))
        assert np.isfinite(parts.pool.table).all()
        faulty = {
            int(event) for part in (parts.pool, parts.validation, parts.test) for event in part.event[part.y == 1]
        }
        assert faulty <= set(range(len(series.events)))
