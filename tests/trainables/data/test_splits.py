import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data.splits import SUPPORT, TEST, VALIDATION, deal, random_parts, run_starts, territory, whole_windows
from trainables.errors import ProtocolError
from trainables.settings import PartShares, SplitSettings

HALF = PartShares()


def blocks(part):
    """Part codes without repetition: the order of blocks."""
    return [int(part[0]), *(int(code) for code in part[1:][np.diff(part) != 0])]


def test_seventeen_events_are_dealt_seven_four_six():
    shares = PartShares(support=0.41, validation=0.235, test=0.355)
    assert [7, 4, 6] == np.bincount(deal(17, shares)).tolist()


def test_one_fold_deals_support_first_then_validation_then_test():
    assert [SUPPORT, SUPPORT, VALIDATION, TEST] == deal(4, HALF).tolist()


@given(count=st.integers(3, 200), support=st.floats(0.05, 0.9), rest=st.floats(0.05, 0.95))
def test_each_part_gets_its_share_within_one_and_never_nothing(count, support, rest):
    shares = PartShares(support=support, validation=(1 - support) * rest, test=1 - support - (1 - support) * rest)
    counts = np.bincount(deal(count, shares), minlength=3)
    assert count == counts.sum()
    assert counts.min() >= 1
    exact = count * np.array([shares.support, shares.validation, shares.test])
    if exact.min() >= 1:
        assert (np.abs(counts - exact) < 1 + 1e-6).all()


@given(count=st.integers(6, 120), data=st.data())
def test_over_all_folds_each_thing_is_tested_exactly_once(count, data):
    folds = data.draw(st.integers(2, count // 3))
    tested = sum((deal(count, HALF, folds, fold) == TEST).astype(int) for fold in range(folds))
    assert np.ones(count, dtype=int).tolist() == tested.tolist()


@given(count=st.integers(6, 120), data=st.data())
def test_every_fold_has_all_three_parts(count, data):
    folds = data.draw(st.integers(2, count // 3))
    for fold in range(folds):
        assert {SUPPORT, VALIDATION, TEST} == set(deal(count, HALF, folds, fold).tolist())


def test_two_things_cannot_be_dealt_to_three_parts():
    with pytest.raises(ProtocolError, match="at least 3"):
        deal(2, HALF)


def test_more_folds_than_events_are_refused():
    with pytest.raises(ProtocolError, match="9 folds"):
        deal(5, HALF, 9, 0)


def test_too_few_events_are_named_with_numbers(make_series):
    series = make_series([(100, 120), (200, 220)])
    with pytest.raises(ProtocolError, match=r"at least 3 fault events.*there are 2"):
        territory(series, 8, SplitSettings(), 0)


def test_a_fold_that_does_not_exist_is_refused(six_faults):
    with pytest.raises(ProtocolError, match="fold 3 does not exist"):
        territory(six_faults, 8, SplitSettings(folds=2), 3)


def test_the_border_leaves_the_next_fault_a_window_of_history(six_faults):
    part = territory(six_faults, 8, SplitSettings(), 0)
    # Without guard rows recovery is one window: rows 280..287; the middle of 288..359 is 324.
    assert [SUPPORT, VALIDATION] == [part[323], part[324]]


def test_the_border_comes_after_the_guard_rows_of_a_recovery(make_series):
    faults = [(60 + 100 * i, 80 + 100 * i) for i in range(4)]
    series = make_series(faults, rows=460, guard=[(180, 258)])
    part = territory(series, 8, SplitSettings(), 0)
    assert [SUPPORT, VALIDATION] == [part[257], part[258]]


def test_a_border_in_a_narrow_gap_favours_history_of_the_next_fault(make_series):
    series = make_series([(60, 80), (160, 180), (200, 220), (300, 320)], rows=400, guard=[(180, 184)])
    part = territory(series, 16, SplitSettings(), 0)
    # Middle of 184..199 would be 192; a window of 16 that ends at row 200 begins at 185.
    assert [SUPPORT, VALIDATION] == [part[184], part[185]]


def test_a_long_tail_is_dealt_in_order_by_the_shares(make_series):
    series = make_series([(20 + 40 * i, 30 + 40 * i) for i in range(4)], rows=1000)
    part = territory(series, 8, SplitSettings(), 0)
    tail = part[158:]  # the last fault ends at 150, its recovery is one window
    assert [SUPPORT, VALIDATION, TEST] == blocks(tail)
    assert [421, 211, 210] == np.bincount(tail).tolist()


def test_a_long_lead_in_is_dealt_but_leaves_the_first_fault_its_history(make_series):
    series = make_series([(500 + 40 * i, 510 + 40 * i) for i in range(4)], rows=680)
    part = territory(series, 8, SplitSettings(), 0)
    assert [SUPPORT, VALIDATION, TEST] == blocks(part[:492])
    assert [SUPPORT] == blocks(part[492:500])


def test_short_ends_stay_with_the_nearest_fault(six_faults):
    part = territory(six_faults, 32, SplitSettings(), 0)
    assert [SUPPORT, VALIDATION, TEST] == blocks(part)


def test_a_fault_free_segment_is_dealt_to_all_parts(make_series):
    faults = [(20 + 40 * i, 30 + 40 * i) for i in range(4)]
    series = make_series(faults, segments=[("load", 180), ("idle", 400)])
    assert [SUPPORT, VALIDATION, TEST] == blocks(territory(series, 8, SplitSettings(), 0)[180:])


def test_short_fault_free_segments_are_given_whole(make_series):
    faults = [(20 + 40 * i, 30 + 40 * i) for i in range(4)]
    series = make_series(faults, segments=[("load", 180), *((f"idle{i}", 40) for i in range(4))])
    part = territory(series, 8, SplitSettings(), 0)
    codes = [set(part[180 + 40 * i : 220 + 40 * i].tolist()) for i in range(4)]
    assert [1, 1, 1, 1] == [len(code) for code in codes]
    assert {SUPPORT, VALIDATION, TEST} == set().union(*codes)


def test_runs_are_dealt_whole_and_each_part_gets_each_kind(make_series):
    segments = [(f"{kind}{i}", 50) for i in range(4) for kind in ("cpu", "mem", "calm")]
    faults = [(50 * n + 10, 50 * n + 30, name[:3]) for n, (name, _) in enumerate(segments) if name[:4] != "calm"]
    series = make_series(faults, segments=segments)
    part = territory(series, 8, SplitSettings(by="run"), 0)
    of_run = {name: set(part[50 * n : 50 * n + 50].tolist()) for n, (name, _) in enumerate(segments)}
    assert {1} == {len(codes) for codes in of_run.values()}
    for kind in ("cpu", "mem", "calm"):
        assert [SUPPORT, SUPPORT, VALIDATION, TEST] == [of_run[f"{kind}{i}"].copy().pop() for i in range(4)]


def test_pieces_of_a_run_that_a_gap_split_stay_together(make_series):
    segments = [("a", 40), ("a#2", 40), ("b", 40), ("c", 40), ("d", 40)]
    series = make_series([(10 + 40 * i, 20 + 40 * i) for i in range(5)], segments=segments)
    part = territory(series, 8, SplitSettings(by="run"), 0)
    assert {SUPPORT} == set(part[:80].tolist())


def test_two_runs_are_too_few(make_series):
    series = make_series([(10, 20), (110, 120)], segments=[("a", 100), ("b", 100)])
    with pytest.raises(ProtocolError, match=r"at least 3 runs.*has 2"):
        territory(series, 8, SplitSettings(by="run"), 0)


def test_random_parts_are_the_same_every_time_and_have_the_shares():
    split = SplitSettings(by="random_windows")
    part = random_parts(400, split, 0)
    assert [200, 100, 100] == np.bincount(part).tolist()
    assert random_parts(400, split, 0).tolist() == part.tolist()
    assert len(blocks(part)) > 100


def test_windows_are_whole_where_no_code_changes():
    starts = run_starts(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 0, 0, 0]))
    assert [0, 0, 0, 3, 3] == starts.tolist()
    assert [False, True, True, False, True] == whole_windows(starts, 2).tolist()
