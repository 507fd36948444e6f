"""Leaving one kind of fault out: what a fold hides from the support part, and what it is judged on.

Each kind (a fault type, or the service at fault) makes two folds with the same test windows: faults of that kind
and fault-free time. In the first nothing of the kind is left in the support pool, the reference and the
validation part (`unseen`); in the second everything is as in the plain split (`seen`). Where `split.folds` rotates
the parts, every rotation does this anew, for the kinds that it has both to learn from and to test on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from trainables.data.series import Event, LabelledSeries, Quality
from trainables.data.splits import SUPPORT, TEST, VALIDATION, run_starts, territory, whole_windows
from trainables.errors import ProtocolError
from trainables.settings import SplitSettings

Exposure = Literal["unseen", "seen"]
By = Literal["fault_type", "service"]

_FOUND: Final[WeakKeyDictionary[LabelledSeries, dict[tuple[int, SplitSettings], tuple["HeldOut | None", ...]]]] = (
    WeakKeyDictionary()
)
"""Folds by series, window length and split: every fold asks for all of them. It keeps no series in memory."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a fold is judged on, and whether its support part holds any of that.

    Attributes
    ----------
    by
        What makes a kind: the fault type, or the service at fault.
    kind
        Name of the kind.
    exposure
        `unseen`: no fault of the kind is in the support and validation parts; `seen`: they are as they fall.
    rotation
        Which of the `split.folds` ways to deal the parts.
    """

    by: By
    kind: str
    exposure: Exposure
    rotation: int = 0

    def of_kind(self, series: LabelledSeries) -> NDArray[np.bool_]:
        """Return the rows [T] of faults of the kind, the guard rows around them included."""
        rows = np.zeros(len(series), dtype=bool)
        trusted = series.quality != Quality.GUARD
        for event in series.events:
            if _kind(event, self.by) == self.kind:
                before, after = trusted[: event.start][::-1], trusted[event.stop :]
                first = event.start - (int(before.argmax()) if before.any() else len(before))
                stop = event.stop + (int(after.argmax()) if after.any() else len(after))
                rows[first:stop] = True
        return rows

    def of_other_kinds(self, series: LabelledSeries) -> NDArray[np.bool_]:
        """Return the rows [T] of all other faults.

        Their guard rows are not among them: where faults lie close together, every window would touch some.
        """
        return _rows_of(series, self.by, lambda kind: kind != self.kind)


def folds(series: LabelledSeries, length: int, split: SplitSettings) -> tuple[HeldOut | None, ...]:
    """Return what each fold holds out; None for folds that only rotate the parts.

    Raises
    ------
    ProtocolError
        Too few events for the split; a kind that does not exist, or that the split leaves without a fault in the
        support or the test part.
    """
    if split.hold_out is None:
        return (None,) * split.folds
    found = _FOUND.setdefault(series, {})
    if (length, split) not in found:
        found[length, split] = _held_out(series, length, split, split.hold_out)
    return found[length, split]


def _held_out(series: LabelledSeries, length: int, split: SplitSettings, by: By) -> tuple[HeldOut, ...]:
    offered = [_offered(series, length, split, by, rotation) for rotation in range(split.folds)]
    known = sorted(set().union(*offered))
    lacking = [] if split.kinds == "all" else [kind for kind in split.kinds if kind not in known]
    if lacking:
        raise ProtocolError(
            f"split.kinds: {', '.join(lacking)} cannot be held out by {by}; a kind needs faults both "
            f"in the support and in the test part, others in the first two; these have: {', '.join(known) or 'none'}"
        )
    if not known:
        hint = "; with split.folds the parts change their roles" if split.folds == 1 else ""
        raise ProtocolError(
            f"split.hold_out: no {by} has faults both in the support and in the test part, "
            f"and leaves others to learn from and select on{hint}"
        )
    wanted = known if split.kinds == "all" else split.kinds
    both: tuple[Exposure, Exposure] = ("unseen", "seen")
    return tuple(
        HeldOut(by, kind, exposure, rotation)
        for rotation in range(split.folds)
        for kind in wanted
        if kind in offered[rotation]
        for exposure in both
    )


def touched(rows: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Return where a window of `length` rows that ends there covers any of the rows [T]."""
    count = np.concatenate([[0], np.cumsum(rows)])
    ends = np.arange(len(rows))
    return np.asarray(count[ends + 1] > count[np.maximum(ends + 1 - length, 0)])


def _offered(series: LabelledSeries, length: int, split: SplitSettings, by: By, rotation: int) -> set[str]:
    """Return the kinds that have windows to learn from and to test on, and leave others to learn from and select on."""
    part = territory(series, length, split, rotation)
    judged = series.usable & whole_windows(run_starts(series.segment, part), length)
    offered = set()
    for kind in {_kind(event, by) for event in series.events} - {""}:
        own, others = (_rows_of(series, by, test) for test in (kind.__eq__, kind.__ne__))
        apart = others & ~touched(own, length)
        needed = [(SUPPORT, own), (TEST, own & ~touched(others, length)), (SUPPORT, apart), (VALIDATION, apart)]
        if all((judged & (part == code) & rows).any() for code, rows in needed):
            offered.add(kind)
    return offered


def _kind(event: Event, by: By) -> str:
    return event.fault_type if by == "fault_type" else event.service


def _rows_of(series: LabelledSeries, by: By, wanted: Callable[[str], bool]) -> NDArray[np.bool_]:
    """Return the rows [T] of faults of the kinds that are wanted."""
    rows = np.zeros(len(series), dtype=bool)
    for event in series.events:
        rows[event.start : event.stop] |= wanted(_kind(event, by))
    return rows
