"""The leak audit: asserts in every trial that no part knows anything of another."""

import numpy as np
from numpy.typing import NDArray

from trainables.data.hold_out import touched
from trainables.data.parts import Parts, events_of
from trainables.data.series import LabelledSeries
from trainables.data.splits import SUPPORT, TEST, VALIDATION
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import LeakError


def audit(parts: Parts, support: LabelledWindows) -> None:
    """Check one draw against the parts it came from; skipped where windows were dealt at random on purpose.

    Checked from the rows that windows cover, not from the territory alone: ends increase; no window
    leaves its segment or its part; no row is covered by windows of two parts; no fault is in two
    parts; shots come from the pool, none twice; labels agree with the series and can be trusted;
    normalisation was fitted on rows of the support part alone; where a kind of fault is held out, the
    test part shows no other kind, and in an unseen fold no window to learn from touches that kind.

    Raises
    ------
    LeakError
        Names the parts, the rows and the times.
    """
    if parts.territory is None:
        return
    held_out = {"validation": parts.validation, "test": parts.test}
    labelled = {"support pool": parts.pool, **held_out}
    for name, windows in {**labelled, "reference": parts.reference}.items():
        _check_increasing(name, windows)
        _check_inside_segments(name, windows, parts.series)
    _check_apart("support pool", parts.pool, "validation", parts.validation, parts.series)
    _check_apart("support pool", parts.pool, "test", parts.test, parts.series)
    _check_apart("reference", parts.reference, "validation", parts.validation, parts.series)
    _check_apart("reference", parts.reference, "test", parts.test, parts.series)
    _check_apart("validation", parts.validation, "test", parts.test, parts.series)
    codes = {"support pool": SUPPORT, "reference": SUPPORT, "validation": VALIDATION, "test": TEST}
    for name, windows in {**labelled, "reference": parts.reference}.items():
        _check_territory(name, windows, parts.territory, codes[name])
    for name, windows in labelled.items():
        _check_labels(name, windows, parts.series)
    _check_events(labelled)
    _check_support(parts.pool, support)
    _check_scaler(parts, held_out)
    _check_kind(parts)


def _check_increasing(name: str, windows: Windows) -> None:
    back = np.flatnonzero(np.diff(windows.ends) <= 0)
    if len(back):
        raise LeakError(f"{name}: window ends do not increase at position {back[0] + 1} (row {windows.ends[back[0]]})")


def _check_inside_segments(name: str, windows: Windows, series: LabelledSeries) -> None:
    if not len(windows):
        return
    first = windows.ends - windows.length + 1
    if first.min() < 0 or windows.ends.max() >= len(series):
        raise LeakError(f"{name}: a window reaches outside the series")
    crossing = np.flatnonzero(series.segment[first] != series.segment[windows.ends])
    if len(crossing):
        raise LeakError(
            f"{name}: {len(crossing)} windows cross a segment border, the first ends at "
            f"{_when(series, int(windows.ends[crossing[0]]))}"
        )


def _check_territory(name: str, windows: Windows, territory: NDArray[np.int8], code: int) -> None:
    # Along a window the code may not change; codes at both ends and no change in between show that.
    changes = np.concatenate([[0], np.cumsum(territory[1:] != territory[:-1])])
    first = windows.ends - windows.length + 1
    wrong = np.flatnonzero((territory[windows.ends] != code) | (changes[first] != changes[windows.ends]))
    if len(wrong):
        raise LeakError(
            f"{name}: {len(wrong)} windows leave their part, the first ends at row {windows.ends[wrong[0]]}"
        )


def _check_labels(name: str, windows: LabelledWindows, series: LabelledSeries) -> None:
    wrong = np.flatnonzero((windows.y != series.labels[windows.ends]) | (windows.event != series.event[windows.ends]))
    if len(wrong):
        raise LeakError(f"{name}: {len(wrong)} labels differ from the series, first at row {windows.ends[wrong[0]]}")
    untrusted = np.flatnonzero(~series.usable[windows.ends])
    if len(untrusted):
        raise LeakError(
            f"{name}: {len(untrusted)} windows end on guard, suspect or unlabelled rows, "
            f"first at row {windows.ends[untrusted[0]]}"
        )


def _check_apart(one: str, a: Windows, other: str, b: Windows, series: LabelledSeries) -> None:
    """Two windows of L rows share a row if and only if their ends are less than L apart."""
    if not len(a) or not len(b):
        return
    place = np.searchsorted(a.ends, b.ends)
    after = np.abs(a.ends[np.minimum(place, len(a) - 1)] - b.ends)
    before = np.abs(a.ends[np.maximum(place - 1, 0)] - b.ends)
    shared = np.flatnonzero(np.minimum(before, after) < b.length)
    if len(shared):
        raise LeakError(
            f"{one} and {other} share rows: {len(shared)} windows of {other}, "
            f"the first ends at {_when(series, int(b.ends[shared[0]]))}"
        )


def _check_events(labelled: dict[str, LabelledWindows]) -> None:
    owner: dict[int, str] = {}
    for name, windows in labelled.items():
        for event in events_of(windows).tolist():
            if event in owner:
                raise LeakError(f"fault event {event} is both in {owner[event]} and in {name}")
            owner[event] = name


def _check_support(pool: LabelledWindows, support: LabelledWindows) -> None:
    if len(np.unique(support.ends)) < len(support):
        raise LeakError("the support set holds a window twice")
    place = np.minimum(np.searchsorted(pool.ends, support.ends), max(0, len(pool) - 1))
    if len(support) and not np.array_equal(pool.ends[place], support.ends):
        stray = int(support.ends[pool.ends[place] != support.ends][0])
        raise LeakError(f"support: the window that ends at row {stray} is not in the support pool")
    if len(support) and not np.array_equal(pool.y[place], support.y):
        raise LeakError("support: labels differ from the support pool")


def _check_scaler(parts: Parts, held_out: dict[str, LabelledWindows]) -> None:
    rows = parts.scaler.fitted_on
    if parts.territory is not None and (parts.territory[rows] != SUPPORT).any():
        raise LeakError("normalisation was fitted on rows outside the support part")
    for name, windows in held_out.items():
        first = np.searchsorted(rows, windows.ends - windows.length + 1)
        stop = np.searchsorted(rows, windows.ends, side="right")
        if (stop > first).any():
            raise LeakError(f"normalisation was fitted on rows that {name} windows cover")


def _check_kind(parts: Parts) -> None:
    kind = parts.held_out
    if kind is None:
        return
    apart: dict[str, tuple[Windows, NDArray[np.bool_], str]] = {}
    apart["test"] = (parts.test, kind.of_other_kinds(parts.series), "another kind than")
    if kind.exposure == "unseen":
        own = kind.of_kind(parts.series)
        learned: dict[str, Windows] = {
            "support pool": parts.pool,
            "reference": parts.reference,
            "validation": parts.validation,
        }
        apart |= {name: (windows, own, "the held-out kind") for name, windows in learned.items()}
        if own[parts.scaler.fitted_on].any():
            raise LeakError(f"normalisation was fitted on rows of the held-out kind {kind.kind}")
    for name, (windows, rows, what) in apart.items():
        stray = np.flatnonzero(touched(rows, windows.length)[windows.ends])
        if len(stray):
            when = _when(parts.series, int(windows.ends[stray[0]]))
            raise LeakError(
                f"{name}: {len(stray)} windows touch faults of {what} {kind.kind}, the first ends at {when}"
            )


def _when(series: LabelledSeries, row: int) -> str:
    return f"row {row} ({np.datetime_as_string(series.timestamps[row], unit='s')}Z)"
