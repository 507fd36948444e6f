"""Leaving one kind of fault out: what a fold hides from the support part, and what it is judged on.

Each kind (a fault type, or the service at fault) makes two folds with the same test windows: faults of that kind
and fault-free time. In the first nothing of the kind is left in the support pool, the reference and the
validation part (`unseen`); in the second everything is as in the plain split (`seen`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.data.series import Event, LabelledSeries, Quality
from trainables.data.splits import SUPPORT, TEST, territory
from trainables.errors import ProtocolError
from trainables.settings import SplitSettings

Exposure = Literal["unseen", "seen"]


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
    """

    by: Literal["fault_type", "service"]
    kind: str
    exposure: Exposure

    def of_kind(self, series: LabelledSeries) -> NDArray[np.bool_]:
        """Return the rows [T] of faults of the kind, the guard rows around them included."""
        return _rows(series, [event for event in series.events if _kind(event, self.by) == self.kind])

    def of_other_kinds(self, series: LabelledSeries) -> NDArray[np.bool_]:
        """Return the rows [T] of all other faults, the guard rows around them included."""
        return _rows(series, [event for event in series.events if _kind(event, self.by) != self.kind])


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
    offered = _offered(series, length, split)
    kinds = sorted(kind for kind, parts in offered.items() if {SUPPORT, TEST} <= parts)
    if split.kinds != "all":
        lacking = [kind for kind in split.kinds if kind not in kinds]
        if lacking:
            raise ProtocolError(
                f"split.kinds: {', '.join(lacking)} cannot be held out by {split.hold_out}; a kind needs faults both "
                f"in the support and in the test part, which have in common: {', '.join(kinds) or 'none'}"
            )
        kinds = list(split.kinds)
    if not kinds:
        raise ProtocolError(f"split.hold_out: no {split.hold_out} has faults both in the support and in the test part")
    both: tuple[Exposure, Exposure] = ("unseen", "seen")
    return tuple(HeldOut(split.hold_out, kind, exposure) for kind in kinds for exposure in both)


def touched(rows: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Return where a window of `length` rows that ends there covers any of the rows [T]."""
    count = np.concatenate([[0], np.cumsum(rows)])
    ends = np.arange(len(rows))
    return np.asarray(count[ends + 1] > count[np.maximum(ends + 1 - length, 0)])


def _offered(series: LabelledSeries, length: int, split: SplitSettings) -> dict[str, set[int]]:
    """Return the parts in which each kind has a fault."""
    part = territory(series, length, split, 0)
    offered: dict[str, set[int]] = {}
    for event in series.events:
        offered.setdefault(_kind(event, split.hold_out or "fault_type"), set()).add(int(part[event.start]))
    return offered


def _kind(event: Event, by: Literal["fault_type", "service"]) -> str:
    return event.fault_type if by == "fault_type" else event.service


def _rows(series: LabelledSeries, events: list[Event]) -> NDArray[np.bool_]:
    rows = np.zeros(len(series), dtype=bool)
    trusted = series.quality != Quality.GUARD
    for event in events:
        before, after = trusted[: event.start][::-1], trusted[event.stop :]
        first = event.start - (int(before.argmax()) if before.any() else len(before))
        stop = event.stop + (int(after.argmax()) if after.any() else len(after))
        rows[first:stop] = True
    return rows
