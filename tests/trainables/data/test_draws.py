import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data.draws import draw_support, pool_share
from trainables.data.windows import LabelledWindows
from trainables.errors import ProtocolError
from trainables.settings import FewShotSettings


def make_pool(normal, faults):
    """A pool of `normal` windows and, for each event, (type, windows)."""
    fault_type = np.array(["normal"] * normal + [kind for kind, count in faults for _ in range(count)])
    event = np.array([-1] * normal + [n for n, (_, count) in enumerate(faults) for _ in range(count)], dtype=np.int32)
    return LabelledWindows(
        table=np.zeros((1, 1), dtype=np.float32),
        ends=np.arange(len(event)),
        length=8,
        columns=("c",),
        step_s=1.0,
        y=(event >= 0).astype(np.int8),
        fault_type=fault_type,
        event=event,
    )


POOL = make_pool(200, [("cpu", 20), ("cpu", 20), ("delay", 20), ("delay", 20), ("leak", 20)])


def draw(shots, number=0, pool=POOL, source="made", **few_shot):
    return draw_support(pool, source=source, shots=shots, draw=number, few_shot=FewShotSettings(**few_shot))


def test_zero_shots_are_empty():
    assert (0, np.int64) == (len(draw(0)), draw(0).dtype)


@settings(max_examples=40)
@given(small=st.integers(0, 150), more=st.integers(0, 150), number=st.integers(0, 1000))
def test_a_smaller_draw_is_the_beginning_of_a_larger_one(small, more, number):
    assert draw(small, number).tolist() == draw(small + more, number)[:small].tolist()


@settings(max_examples=40)
@given(shots=st.integers(1, 300), number=st.integers(0, 1000), balance=st.sampled_from(["balanced", "natural"]))
def test_no_window_is_drawn_twice(shots, number, balance):
    assert shots == len(np.unique(draw(shots, number, balance=balance)))


def test_a_balanced_draw_is_half_normal_and_shares_the_rest_among_types():
    kinds, counts = np.unique(POOL.fault_type[draw(60)], return_counts=True)
    assert {"cpu": 10, "delay": 10, "leak": 10, "normal": 30} == dict(zip(kinds.tolist(), counts.tolist(), strict=True))


def test_a_natural_draw_has_the_shares_of_the_pool():
    kinds, counts = np.unique(POOL.fault_type[draw(60, balance="natural")], return_counts=True)
    assert {"cpu": 8, "delay": 8, "leak": 4, "normal": 40} == dict(zip(kinds.tolist(), counts.tolist(), strict=True))


def test_six_shots_already_show_three_types():
    assert {"cpu", "delay", "leak", "normal"} == set(POOL.fault_type[draw(6)].tolist())


def test_shots_of_a_type_alternate_between_its_events():
    chosen = draw(40)
    cpu = POOL.event[chosen][POOL.fault_type[chosen] == "cpu"]
    assert {0, 1} == set(cpu[:2].tolist())
    assert abs(int((cpu == 0).sum()) - int((cpu == 1).sum())) <= 1


def test_a_short_class_leaves_its_turns_to_the_others():
    pool = make_pool(10, [("cpu", 3)])
    assert (10, 3) == ((pool.y[draw(13, pool=pool)] == 0).sum(), (pool.y[draw(13, pool=pool)] == 1).sum())


def test_draws_differ_by_number_and_by_source():
    assert draw(20, 0).tolist() != draw(20, 1).tolist()
    assert draw(20, 0).tolist() != draw(20, 0, source="other").tolist()


def test_a_draw_does_not_depend_on_how_often_or_when_it_is_made():
    np.random.seed(3)  # noqa: NPY002  (the global state must not matter)
    first = draw(30, 5)
    draw(100, 9)
    assert first.tolist() == draw(30, 5).tolist()


def test_the_draw_of_today_is_the_draw_of_tomorrow():
    pool = make_pool(6, [("cpu", 3), ("delay", 3)])
    assert [5, 7, 11, 1, 0, 6, 9, 3] == draw(8, 100, pool=pool).tolist()


def test_more_shots_than_windows_are_refused_with_both_numbers():
    with pytest.raises(ProtocolError, match=r"301 shots wanted.*has 300 windows"):
        draw(301)


def test_more_shots_than_windows_are_capped_when_asked():
    assert 300 == len(draw(1000, shortage="cap"))


def test_negative_shots_are_refused():
    with pytest.raises(ProtocolError, match="0 or more"):
        draw(-1)


def test_events_are_drawn_whole_with_as_many_normal_windows():
    chosen = draw(2, unit="events")
    assert (40, 40) == (int((POOL.y[chosen] == 1).sum()), int((POOL.y[chosen] == 0).sum()))
    assert 2 == len(np.unique(POOL.event[chosen][POOL.y[chosen] == 1]))


def test_three_drawn_events_are_of_three_types():
    assert {"cpu", "delay", "leak", "normal"} == set(POOL.fault_type[draw(3, unit="events")].tolist())


@given(small=st.integers(0, 4), number=st.integers(0, 200))
def test_draws_of_events_are_nested(small, number):
    few, more = draw(small, number, unit="events"), draw(small + 1, number, unit="events")
    assert few.tolist() == more[: len(few)].tolist()


def test_more_events_than_there_are_is_refused_or_capped():
    with pytest.raises(ProtocolError, match=r"6 faults wanted.*has 5"):
        draw(6, unit="events")
    assert 200 == len(draw(6, unit="events", shortage="cap"))


def test_too_few_normal_windows_for_the_events_are_refused():
    pool = make_pool(10, [("cpu", 20)])
    with pytest.raises(ProtocolError, match="only 10 normal windows"):
        draw(1, pool=pool, unit="events")


def test_pool_share_is_the_share_of_the_pool_in_use():
    assert 0.2 == pool_share(POOL, draw(60))
