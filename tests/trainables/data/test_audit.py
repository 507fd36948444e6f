from dataclasses import replace

import numpy as np
import pytest

from trainables.data import audit, prepare
from trainables.errors import LeakError


@pytest.fixture
def parts(six_faults, make_settings):
    return prepare(six_faults, make_settings(), 0)


def shots(parts):
    return parts.pool.take(np.array([40, 3, 70]))


def moved(windows, **changes):
    return replace(windows, **changes)


def test_honest_parts_pass_in_any_drawing_order(parts):
    assert audit(parts, shots(parts)) is None
    assert audit(parts, parts.pool.take(np.arange(0))) is None


def test_a_shared_row_is_found_from_the_windows_alone(parts):
    first = int(parts.validation.ends[0])
    late = parts.pool.take(parts.pool.ends < first - 20)
    late.ends[-1] = first - 7  # windows of 8 rows: the last row of one is the first of the other
    with pytest.raises(LeakError, match=r"support pool and validation share rows: 1 windows of validation"):
        audit(replace(parts, pool=late), shots(parts))


def test_windows_that_only_touch_share_no_row(parts):
    assert 8 == int(parts.validation.ends[0]) - int(parts.pool.ends[parts.pool.ends < parts.validation.ends[0]][-1])


def test_a_window_outside_its_part_is_found(parts):
    swapped = replace(parts, pool=parts.test, reference=parts.test.unlabelled(), test=parts.pool)
    with pytest.raises(LeakError, match="leave their part"):
        audit(swapped, shots(swapped))


def test_an_event_in_two_parts_is_found(parts):
    event = parts.validation.event.copy()
    faulty = np.flatnonzero(parts.validation.y == 1)
    event[faulty] = 0
    series_event = parts.series.event.copy()
    series_event[parts.validation.ends[faulty]] = 0
    twice = replace(
        parts, validation=moved(parts.validation, event=event), series=replace(parts.series, event=series_event)
    )
    with pytest.raises(LeakError, match="event 0 is both in support pool and in validation"):
        audit(twice, shots(twice))


def test_a_shot_from_outside_the_pool_is_found(parts):
    with pytest.raises(LeakError, match="not in the support pool"):
        audit(parts, parts.test.take(np.array([0])))


def test_a_shot_drawn_twice_is_found(parts):
    with pytest.raises(LeakError, match="twice"):
        audit(parts, parts.pool.take(np.array([1, 1])))


def test_a_shot_with_another_label_is_found(parts):
    support = shots(parts)
    with pytest.raises(LeakError, match="labels differ from the support pool"):
        audit(parts, moved(support, y=(1 - support.y).astype(np.int8)))


def test_a_scaler_fitted_on_test_rows_is_found(parts):
    everything = replace(parts.scaler, fitted_on=np.arange(len(parts.series)))
    with pytest.raises(LeakError, match="outside the support part"):
        audit(replace(parts, scaler=everything), shots(parts))


def test_a_window_across_a_segment_border_is_found(parts):
    segment = parts.series.segment.copy()
    segment[int(parts.pool.ends[20]) :] = 1
    with pytest.raises(LeakError, match="cross a segment border"):
        audit(replace(parts, series=replace(parts.series, segment=segment)), shots(parts))


def test_labels_that_differ_from_the_series_are_found(parts):
    flipped = moved(parts.test, y=(1 - parts.test.y).astype(np.int8))
    with pytest.raises(LeakError, match=r"test: .* labels differ from the series"):
        audit(replace(parts, test=flipped), shots(parts))


def test_ends_out_of_order_are_found(parts):
    backwards = parts.test.take(np.arange(len(parts.test))[::-1])
    with pytest.raises(LeakError, match="test: window ends do not increase"):
        audit(replace(parts, test=backwards), shots(parts))


def test_a_window_that_ends_on_a_guard_row_is_found(parts):
    quality = parts.series.quality.copy()
    quality[parts.test.ends[4]] = 2
    with pytest.raises(LeakError, match="guard, suspect or unlabelled"):
        audit(replace(parts, series=replace(parts.series, quality=quality)), shots(parts))


def test_a_window_before_the_first_row_is_found(parts):
    early = parts.pool.take(np.arange(len(parts.pool)))
    early.ends[0] = 3
    with pytest.raises(LeakError, match="outside the series"):
        audit(replace(parts, pool=early), shots(parts))
