"""A held-out kind of fault: gone from everything that is learned from, alone in what is judged."""

import weakref
from dataclasses import replace

import numpy as np
import pytest

from trainables.data import audit, check_supply, prepare
from trainables.data.hold_out import folds, touched
from trainables.data.series import LabelledSeries
from trainables.errors import LeakError, ProtocolError
from trainables.settings import SplitSettings

KINDS = ("cpu", "disk", "net")


@pytest.fixture
def series(make_series) -> LabelledSeries:
    """Twelve faults of three types in turn, each with guard rows behind it."""
    faults = [(50 + 100 * n, 70 + 100 * n, KINDS[n % 3], f"ts-{n % 2}") for n in range(12)]
    return make_series(faults, rows=1260, guard=[(stop, stop + 5) for _, stop, *_ in faults])


@pytest.fixture
def held(make_settings):
    def build(by: str = "fault_type", kinds: object = "all", folds: int = 1, **changes: object):
        settings = make_settings(**changes)
        split = SplitSettings(parts=settings.split.parts, hold_out=by, kinds=kinds, folds=folds)
        return replace(settings, split=split)

    return build


def kinds_in(windows) -> set[str]:
    return set(windows.fault_type[windows.y == 1])


def test_each_kind_makes_an_unseen_and_a_seen_fold(series, held):
    known = folds(series, 8, held().split)
    assert [(kind, exposure) for kind in KINDS for exposure in ("unseen", "seen")] == [
        (each.kind, each.exposure) for each in known
    ]


def test_folds_are_found_once_and_keep_no_series_in_memory(make_series, held):
    faults = [(50 + 100 * n, 70 + 100 * n, KINDS[n % 3], "ts") for n in range(12)]
    series, split = make_series(faults, rows=1260), held().split
    assert folds(series, 8, split) is folds(series, 8, split)
    assert folds(series, 8, split) is not folds(series, 9, split)
    alive = weakref.ref(series)
    del series
    assert alive() is None


def test_both_folds_of_a_kind_are_judged_on_the_same_windows_of_that_kind_alone(series, held):
    unseen, seen = prepare(series, held(), 0), prepare(series, held(), 1)
    assert {"cpu"} == kinds_in(unseen.test)
    assert unseen.test.ends.tolist() == seen.test.ends.tolist()
    assert (unseen.test.y == 0).any()


def test_an_unseen_kind_is_in_nothing_that_is_learned_from(series, held):
    unseen, seen = prepare(series, held(), 0), prepare(series, held(), 1)
    assert {"disk", "net"} == kinds_in(unseen.pool)
    assert "cpu" not in kinds_in(unseen.validation)
    assert set(KINDS) == kinds_in(seen.pool)
    near = touched(unseen.held_out.of_kind(series), 8)
    assert not near[unseen.reference.ends].any()
    assert near[seen.reference.ends].any()
    assert not unseen.held_out.of_kind(series)[unseen.scaler.fitted_on].any()


def test_guard_rows_belong_to_their_fault(series, held):
    rows = folds(series, 8, held().split)[0].of_kind(series)
    assert rows[50:75].all()
    assert not rows[45:50].any()
    assert not rows[75:140].any()


def test_the_audit_finds_a_window_of_the_held_out_kind(series, held):
    unseen, seen = prepare(series, held(), 0), prepare(series, held(), 1)
    none = unseen.pool.take(np.arange(0))
    audit(unseen, none)
    audit(seen, none)
    with pytest.raises(LeakError, match=r"support pool: .* windows touch faults of the held-out kind cpu"):
        audit(replace(unseen, pool=seen.pool), none)
    with pytest.raises(LeakError, match=r"reference: .* windows touch faults of the held-out kind cpu"):
        audit(replace(unseen, reference=seen.reference), none)
    with pytest.raises(LeakError, match="normalisation was fitted on rows of the held-out kind"):
        audit(replace(unseen, scaler=seen.scaler), none)
    plain = prepare(series, replace(held(), split=SplitSettings()), 0)
    with pytest.raises(LeakError, match=r"test: .* windows touch faults of another kind than cpu"):
        audit(replace(seen, test=plain.test), none)


def test_services_can_be_held_out(series, held):
    known = folds(series, 8, held("service").split)
    assert ["ts-0", "ts-0", "ts-1", "ts-1"] == [each.kind for each in known]


def test_rotated_parts_judge_every_fault_once_unseen_and_once_seen(series, held):
    settings = held(folds=4)
    tested: dict[tuple[str, str], list[int]] = {}
    for fold, each in enumerate(folds(series, 8, settings.split)):
        parts = prepare(series, settings, fold)
        events = sorted({int(series.event[end]) for end in parts.test.ends[parts.test.y == 1]})
        tested.setdefault((each.kind, each.exposure), []).extend(events)
        assert each.exposure == "seen" or each.kind not in kinds_in(parts.pool)
    by_kind = {kind: [n for n in range(12) if KINDS[n % 3] == kind] for kind in KINDS}
    assert {(kind, exposure): by_kind[kind] for kind in KINDS for exposure in ("unseen", "seen")} == {
        key: sorted(events) for key, events in tested.items()
    }


def test_windows_may_touch_the_guard_rows_of_other_kinds(make_series, held):
    """Three rows of fault in every eight: each window covers guard rows of the fault before."""
    faults = [(10 + 8 * n, 13 + 8 * n, KINDS[n % 3], "ts") for n in range(24)]
    series = make_series(faults, rows=220, guard=[(stop, stop + 2) for _, stop, *_ in faults])
    for fold, each in enumerate(folds(series, 8, held().split)):
        assert {each.kind} == kinds_in(prepare(series, held(), fold).test)


def test_a_kind_is_not_held_out_where_no_other_is_left_to_select_on(make_series, held):
    kinds = ["cpu"] * 3 + ["net"] * 3 + ["cpu"] * 3 + ["net", "cpu", "net"]  # validation holds cpu alone
    faults = [(50 + 100 * n, 70 + 100 * n, kind, "ts") for n, kind in enumerate(kinds)]
    series = make_series(faults, rows=1260)
    assert {"net"} == {each.kind for each in folds(series, 8, held().split)}


def test_a_fault_without_a_service_is_no_kind_of_service(make_series, held):
    faults = [(50 + 100 * n, 70 + 100 * n, "cpu", ("", "a", "b")[n % 3]) for n in range(12)]
    known = folds(make_series(faults, rows=1260), 8, held("service").split)
    assert {"a", "b"} == {each.kind for each in known}


def test_a_kind_that_cannot_be_held_out_is_named_with_those_that_can(series, held):
    settings = held(kinds=("cpu", "dns"))
    with pytest.raises(ProtocolError, match=r"split.kinds: dns cannot be held out .* cpu, disk, net"):
        folds(series, 8, settings.split)
    (problem,) = check_supply(series, settings, (0, 4))
    assert "dns cannot be held out" in problem


def test_more_shots_than_are_left_without_the_kind_are_a_problem_of_that_fold(series, held):
    problems = check_supply(series, held(few_shot={"shots": (4, 100_000), "shortage": "refuse"}), (4, 100_000))
    assert 6 == len(problems)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kinds": ("cpu",)}, "add hold_out"),
        ({"hold_out": "service", "by": "run"}, "by: event"),
        ({"hold_out": "service", "kinds": ("a", "a")}, "must differ"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SplitSettings(**changes)
