import time

import numpy as np
import pytest

from trainables.data import audit, check_supply, draw_support, load_source, prepare
from trainables.data.parts import preparation_notes, thin
from trainables.data.splits import SUPPORT
from trainables.errors import ProtocolError
from trainables.settings import DataSettings


def rows_covered(windows):
    return {row for end in windows.ends.tolist() for row in range(end - windows.length + 1, end + 1)}


@pytest.mark.parametrize("folds", [1, 3])
def test_no_row_is_covered_by_two_parts(six_faults, make_settings, folds):
    for fold in range(folds):
        parts = prepare(six_faults, make_settings(folds=folds), fold)
        support, validation, test = (rows_covered(w) for w in (parts.pool, parts.validation, parts.test))
        assert set() == (support & validation) | (support & test) | (validation & test)
        assert set() == rows_covered(parts.reference) & (validation | test)


def test_each_event_is_tested_exactly_once_over_the_folds(six_faults, make_settings):
    tested = [
        event
        for fold in range(3)
        for event in np.unique(prepare(six_faults, make_settings(folds=3), fold).test.event).tolist()
        if event >= 0
    ]
    assert [0, 1, 2, 3, 4, 5] == sorted(tested)


def test_guard_suspect_and_unlabelled_rows_are_never_scored_but_may_be_history(make_series, make_settings):
    series = make_series(
        [(60 + 100 * i, 80 + 100 * i) for i in range(6)],
        rows=660,
        guard=[(80 + 100 * i, 90 + 100 * i) for i in range(6)],
        suspect=[(120, 130)],
        unlabelled=[(140, 150)],
    )
    parts = prepare(series, make_settings(), 0)
    scored = np.concatenate([parts.pool.ends, parts.validation.ends, parts.test.ends])
    assert set() == set(scored.tolist()) & {*range(80, 90), *range(120, 130), *range(140, 150)}
    assert {150, 130, 90} <= set(parts.pool.ends.tolist())


def test_the_reference_disregards_labels_and_their_quality(make_series, make_settings):
    faults = [(60 + 100 * i, 80 + 100 * i) for i in range(6)]
    parts = prepare(make_series(faults, rows=660, suspect=[(120, 130)]), make_settings(), 0)
    assert {60, 79, 125} <= set(parts.reference.ends.tolist())


def test_normalisation_is_fitted_on_the_support_part_alone(six_faults, make_settings):
    parts = prepare(six_faults, make_settings(), 0)
    assert np.flatnonzero(parts.territory == SUPPORT).tolist() == parts.scaler.fitted_on.tolist()
    other = six_faults.values.copy()
    other[parts.territory != SUPPORT] *= 10
    changed = prepare(replace_values(six_faults, other), make_settings(), 0)
    assert np.array_equal(parts.pool.x, changed.pool.x)


def replace_values(series, values):
    from dataclasses import replace

    return replace(series, values=values)


def test_labels_are_those_of_the_last_row(six_faults, make_settings):
    parts = prepare(six_faults, make_settings(), 0)
    at = dict(zip(parts.pool.ends.tolist(), parts.pool.y.tolist(), strict=True))
    assert [0, 1, 1, 0] == [at[59], at[60], at[79], at[80]]
    first = int(np.flatnonzero(parts.pool.ends == 60)[0])
    assert ("cpu", 0) == (parts.pool.fault_type[first], parts.pool.event[first])


def test_caps_thin_evenly_and_strides_skip(six_faults, make_settings):
    parts = prepare(six_faults, make_settings(caps={"test": 10}, score_stride=4, support_stride=2), 0)
    assert 10 == len(parts.test)
    assert {0} == set((parts.validation.ends % 4).tolist())
    assert {0} == set((parts.pool.ends % 2).tolist())


def test_thinning_spreads_over_the_whole_range():
    assert [1, 3, 6, 8] == thin(np.arange(10), 4).tolist()
    assert [0, 1, 2] == thin(np.arange(3), None).tolist()
    assert [0, 1, 2] == thin(np.arange(3), 5).tolist()


def test_the_table_is_finite_read_only_and_shared(six_faults, make_settings):
    parts = prepare(six_faults, make_settings(), 0)
    assert parts.pool.table is parts.test.table
    assert np.isfinite(parts.pool.table).all()
    with pytest.raises(ValueError, match="read-only"):
        parts.pool.table[0, 0] = 1


def test_preparing_twice_gives_the_same_bytes(six_faults, make_settings):
    one, two = (prepare(six_faults, make_settings(), 0) for _ in range(2))
    assert one.pool.table.tobytes() == two.pool.table.tobytes()
    assert one.test.ends.tolist() == two.test.ends.tolist()


def test_random_windows_leak_on_purpose_and_say_so(six_faults, make_settings):
    settings = make_settings(by="random_windows")
    parts = prepare(six_faults, settings, 0)
    assert rows_covered(parts.pool) & rows_covered(parts.test)
    assert any("dealt at random" in note for note in preparation_notes(six_faults, settings))
    audit(parts, parts.pool.take(np.arange(5)))


def test_a_part_without_windows_is_an_error_with_its_name(make_series, make_settings):
    series = make_series([(10, 12), (14, 16), (18, 20)], rows=30)
    with pytest.raises(ProtocolError, match=r"the (support|validation|test) part has no labelled window of 8 steps"):
        prepare(series, make_settings(), 0)


def test_the_default_source_passes_the_audit_in_every_kind_of_split(make_settings):
    series = load_source(DataSettings(rows=3000))
    for options in ({"by": "event"}, {"by": "event", "folds": 4}, {"by": "random_windows"}):
        settings = make_settings(window=32, **options)
        for fold in range(settings.split.folds):
            parts = prepare(series, settings, fold)
            index = draw_support(parts.pool, source="s", shots=50, draw=1, few_shot=settings.few_shot)
            audit(parts, parts.pool.take(index))


def test_ten_thousand_rows_are_prepared_in_well_under_a_second(make_settings):
    series = load_source(DataSettings())
    started = time.perf_counter()
    prepare(series, make_settings(window=32), 0)
    assert time.perf_counter() - started < 0.6  # measured 0.03 s


def test_nothing_lacks_on_a_good_source(six_faults, make_settings):
    assert [] == check_supply(six_faults, make_settings(folds=3), (0, 20))


def test_more_shots_than_windows_lack(six_faults, make_settings):
    (lack,) = check_supply(six_faults, make_settings(), (0, 5000))
    assert "5000 shots wanted" in lack


def test_capped_shots_do_not_lack(six_faults, make_settings):
    assert [] == check_supply(six_faults, make_settings(few_shot={"shortage": "cap"}), (0, 5000))


def test_an_unlabelled_source_lacks_labels(make_series, make_settings):
    (lack,) = check_supply(make_series(unlabelled=[(0, 600)]), make_settings(), (0,))
    assert "has no labels" in lack


@pytest.mark.parametrize(("faults", "missing"), [([], "fault"), ([(0, 600)], "normal")])
def test_one_class_alone_is_named(make_series, make_settings, faults, missing):
    (lack,) = check_supply(make_series(faults), make_settings(), (0,))
    assert f"no row labelled {missing}" in lack


def test_a_window_longer_than_every_segment_is_named_with_numbers(make_series, make_settings):
    series = make_series([(10, 20), (60, 70), (110, 120)], segments=[("a", 50), ("b", 50), ("c", 50)])
    (lack,) = check_supply(series, make_settings(window=64), (0,))
    assert "data.window is 64" in lack
    assert "50 rows" in lack


def test_too_few_events_are_named_once(make_series, make_settings):
    (lack,) = check_supply(make_series([(100, 120)]), make_settings(), (0, 10))
    assert "there are 1" in lack


def test_a_part_with_one_class_is_named(make_series, make_settings):
    series = make_series([(60, 80), (160, 180), (261, 262), (360, 380)], rows=440)
    lacks = check_supply(series, make_settings(score_stride=4), (0,))
    assert any("validation part" in lack and "no faulty one" in lack and "score_stride" in lack for lack in lacks)


def test_segments_and_faults_without_windows_are_noted(make_series, make_settings):
    faults = [(60 + 100 * i, 80 + 100 * i) for i in range(6)]
    series = make_series([*faults, (661, 663)], segments=[("all", 660), ("stub", 5)])
    notes = " ".join(preparation_notes(series, make_settings()))
    assert "Segments shorter than a window of 8 steps: 1 of 2." in notes
    assert "Faults not counted, because no trusted window that is kept ends in them: 1 in fold 0." in notes
