"""Changes that are no faults: another day, another deployment, another load."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainables.data.inspection.finding import Finding, listed, moment, quoted, span
from trainables.data.inspection.ranking import chance_above
from trainables.data.inspection.view import View

APART = 0.9
"""Chance that a value of one stretch exceeds one of the other, from which on a column counts as shifted."""
SHIFTED = 0.15
"""Share of shifted columns that makes a finding."""
LEAST_BLOCKS = 12
"""Fault-free blocks that a stretch needs to be compared."""
MOST_GROUPS = 12
NEAR, FAR = 0.03, 0.15
"""A regime begins where columns are shifted between the stretches right beside (3 % of the blocks each) and remain so
(15 % each): a daily cycle moves the far stretches only, a fault the near ones only."""
STEP, STEPPED = 0.95, 0.2
"""The same two limits for a change within a segment, where there are many places to look at."""
LEAST_LONG = 400
LEAST_FAULTS = 3
"""Faults that have a time of their own: fewer lie in one place by chance."""


@dataclass(frozen=True, slots=True)
class Shift:
    """Two stretches, the share of columns whose values hardly overlap, and which do so most."""

    first: str
    second: str
    share: float
    columns: tuple[str, ...]


def between_days(view: View) -> Iterator[Finding]:
    """Shifts between days, or between segments where they are few."""
    groups = _groups(view)
    shifts = (
        [_shift(view, groups[a], groups[b], a, b) for a, b in itertools.combinations(groups, 2)]
        if len(groups) > 1
        else []
    )
    strong = sorted((shift for shift in shifts if shift.share >= SHIFTED), key=lambda shift: -shift.share)
    if not strong:
        return
    worst = strong[0]
    what = "days" if _by_day(view) else "segments"
    yield Finding(
        "warning",
        f"shift between {what}",
        f"{len(strong)} of {len(shifts)} pairs of {what} differ although both are fault-free; most: {worst.share:.0%} "
        f"of the columns hardly overlap between {worst.first} and {worst.second} ({listed(worst.columns, 4)}).",
        "A detector fitted on one and tested on the other flags all of it. Keep to stretches that are alike, or let "
        "windows be judged against their own surroundings.",
        worst.columns,
        yaml=_segments_line(view),
    )


def regime_changes(view: View) -> Iterator[Finding]:
    """Lasting changes of level within a segment, without a fault."""
    blocks, found = view.blocks, []
    for segment in range(len(view.series.segments)):
        inside = np.flatnonzero(blocks.clean & (blocks.segment == segment))
        if len(inside) >= LEAST_LONG:
            found += _changes(view, inside)
    if not found:
        return
    places = [int(blocks.start[block]) for block, _, _ in found]
    named = "; ".join(
        f"{moment(view.series.timestamps[row])} ({share:.0%} of the columns, {listed(columns, 3)})"
        for row, (_, share, columns) in zip(places[:4], found, strict=False)
    )
    yield Finding(
        "warning",
        "regime change",
        f"The level changes for good without a labelled fault, {len(found)} time{'s' if len(found) > 1 else ''}: "
        f"{named}.",
        "Cut the table there (a column named segment), and train and test within one regime. If it is a fault, label "
        "it.",
        tuple(dict.fromkeys(name for _, _, columns in found for name in columns)),
        tuple(span(view.series.timestamps, row, row + 1) for row in places),
    )


def faults_in_a_time_of_their_own(view: View) -> Iterator[Finding]:
    """Faults in a lesser part of their segments that differs from the rest even where it is fault-free."""
    series, blocks = view.series, view.blocks
    if len(series.events) < LEAST_FAULTS or view.shuffled is not None or view.whole_segments is not None:
        return
    holding, among = np.zeros(len(blocks), dtype=bool), np.zeros(len(blocks), dtype=bool)
    for segment in np.unique(series.segment[[event.start for event in series.events]]):
        own = [event for event in series.events if series.segment[event.start] == segment]
        holding |= blocks.segment == segment
        among |= (blocks.start >= own[0].start) & (blocks.stop <= own[-1].stop)
    inside, outside = np.flatnonzero(among & ~blocks.fault), np.flatnonzero(holding & ~among & blocks.clean)
    shift = shift_between(view, inside, outside, "among the faults", "elsewhere")
    if shift is None or len(outside) < len(inside) or shift.share < SHIFTED:
        return
    yield Finding(
        "severe",
        "the time tells the faults",
        f"{shift.share:.0%} of the columns hardly overlap between fault-free time among the faults and other time in "
        f"the same segments ({listed(shift.columns, 4)}): a detector can learn when the faults were, not what they "
        "are, and look good.",
        "Keep to the time of the faults: give it a name in a column segment, and name it in data.segments. Only "
        "fault-free time of the same load and deployment is a test.",
        shift.columns,
        (span(series.timestamps, series.events[0].start, series.events[-1].stop),),
    )


def _groups(view: View) -> dict[str, NDArray[np.int64]]:
    """Return the fault-free blocks of each day, or of each segment, by name."""
    blocks = view.blocks
    clean = np.flatnonzero(blocks.clean)
    if _by_day(view):
        names = view.series.timestamps[blocks.start[clean]].astype("datetime64[D]").astype(str)
    else:
        base = np.asarray([re.sub(r"#\d+$", "", name) for name in view.series.segments], dtype=object)
        names = base[blocks.segment[clean]].astype(str)
    groups = {str(name): clean[names == name] for name in dict.fromkeys(names.tolist())}
    groups = {name: rows for name, rows in groups.items() if len(rows) >= LEAST_BLOCKS}
    largest = sorted(groups, key=lambda name: -len(groups[name]))[:MOST_GROUPS]
    return {name: rows for name, rows in groups.items() if name in largest}


def _by_day(view: View) -> bool:
    """Days where there are several real ones and many segments; else segments."""
    segments = {re.sub(r"#\d+$", "", name) for name in view.series.segments}
    days = len(np.unique(view.series.timestamps.astype("datetime64[D]")))
    return (
        days > 1
        and (len(segments) == 1 or len(segments) > MOST_GROUPS)
        and view.series.timestamps.min() > np.datetime64("1971")
    )


def shift_between(view: View, a: NDArray[np.int64], b: NDArray[np.int64], first: str, second: str) -> Shift | None:
    """Return how far two sets of blocks differ; None if one is too small to say."""
    if min(len(a), len(b)) < LEAST_BLOCKS:
        return None
    return _shift(view, a, b, first, second)


def _shift(view: View, a: NDArray[np.int64], b: NDArray[np.int64], first: str, second: str) -> Shift:
    apart = _apart(view, a, b)
    columns = np.flatnonzero(apart >= APART)
    order = columns[np.argsort(-apart[columns], kind="stable")]
    names = tuple(view.series.columns[column] for column in order)
    return Shift(first, second, len(names) / max(1, int(view.varying.sum())), names)


def _apart(view: View, a: NDArray[np.int64], b: NDArray[np.int64], most: int = 300) -> NDArray[np.float64]:
    """Return for each column the chance that a value of one stretch exceeds one of the other, at least 0.5 [C]."""
    a, b = a[:: max(1, len(a) // most)], b[:: max(1, len(b) // most)]
    values = view.blocks.values[np.concatenate([a, b])]
    some = ~np.isnan(values)
    enough = (some[: len(a)].sum(axis=0) >= len(a) / 2) & (some[len(a) :].sum(axis=0) >= len(b) / 2) & view.varying
    area = np.full(values.shape[1], 0.5)
    if enough.any():
        middle = np.nanmedian(values[:, enough], axis=0)
        filled = np.where(some[:, enough], values[:, enough], middle)
        area[enough] = chance_above(filled[: len(a)], filled[len(a) :])
    return np.asarray(np.maximum(area, 1 - area))


def _changes(view: View, inside: NDArray[np.int64], most: int = 3) -> list[tuple[int, float, tuple[str, ...]]]:
    """Return (block, share of columns, names) of lasting changes among fault-free blocks of a segment."""
    near, far = max(LEAST_BLOCKS, round(NEAR * len(inside))), round(FAR * len(inside))
    candidates = []
    for place in range(far, len(inside) - far, max(1, near // 4)):
        close = _apart(view, inside[place - near : place], inside[place : place + near], 60)
        if (close >= STEP).mean() < STEPPED:
            continue
        wide = _apart(view, inside[place - far : place], inside[place : place + far], 120)
        both = (close >= STEP) & (wide >= APART)
        candidates.append((float(both.sum() / max(1, int(view.varying.sum()))), place, both, close))
    chosen: list[tuple[int, float, tuple[str, ...]]] = []
    taken: list[int] = []
    for share, place, both, close in sorted(candidates, key=lambda entry: (-entry[0], entry[1])):
        if share < STEPPED or len(chosen) == most or any(abs(place - other) < 2 * near for other in taken):
            continue
        columns = np.flatnonzero(both)
        order = columns[np.argsort(-close[columns], kind="stable")]
        chosen.append((int(inside[place]), share, tuple(view.series.columns[column] for column in order)))
        taken.append(place)
    return sorted(chosen)


def _segments_line(view: View) -> str:
    """Return the line that keeps the segments with faults, if there are others and few of them."""
    series = view.series
    holding = {re.sub(r"#\d+$", "", series.segments[series.segment[event.start]]) for event in series.events}
    everything = {re.sub(r"#\d+$", "", name) for name in series.segments}
    if not holding or holding == everything or len(holding) > MOST_GROUPS:
        return ""
    return f"data: {{segments: [{', '.join(map(quoted, sorted(holding)))}]}}"
