"""Where labels and telemetry disagree: hidden faults, faults that do not show, effects that outlast their label."""

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainables.data.inspection.finding import Finding, duration, moment, span
from trainables.data.inspection.ranking import chance_above
from trainables.data.inspection.view import View
from trainables.data.wording import number_of

TELLING = 0.75
"""Area under the ROC curve of the score for labelled faults from which on it is believed elsewhere."""
LEAST_ROWS = 100
LEAST_FAULTS = 5
AS_FAULTS, A_LITTLE_LESS = 0.05, 0.8
"""A stretch looks like a fault where its score exceeds four fifths of this quantile of the faults' peaks ..."""
HARDLY_EVER = 0.95
"""... and this quantile of fault-free blocks."""
FAR = 12.0
"""Without faults to compare: median and this many median absolute deviations of fault-free blocks."""
WARM = 0.8
"""A stretch goes on as long as its score stays above this share of what began it."""
UNSEEN = 0.9
"""A fault does not show when its peak is below this quantile of the peaks of fault-free stretches of its length."""
LEAST_QUIET = 10
"""Fault-free stretches that this takes."""
MOST_STRETCHES = 12
MOST_SHARE = 0.2
"""If more of the fault-free time looks like faults, the score tells nothing."""
DAILY = 15 * 60
"""Seconds around the same time of day."""


def visibility(view: View) -> Iterator[Finding]:
    """Compare the deviation of labelled faults with that of everything else."""
    if len(view.series) < LEAST_ROWS or view.shuffled is not None or not view.blocks.clean.any():
        return
    telling = _telling(view)
    enough = len(view.series.events) >= LEAST_FAULTS
    if telling >= TELLING or not enough:
        yield from _hidden(view, _alarm(view, compare=enough))
    if enough:
        yield from _weak(view)
    if telling >= TELLING:
        yield from _outlasting(view, _alarm(view, compare=True))


def _telling(view: View) -> float:
    """Return the area under the ROC curve of the score, 0 with too few faults."""
    blocks = view.blocks
    if len(view.series.events) < LEAST_FAULTS:
        return 0.0
    score = view.score[:, None]
    return float(chance_above(score[blocks.fault], score[blocks.clean])[0])


def _alarm(view: View, *, compare: bool) -> float:
    """Return the score above which a block looks like a fault."""
    clean = view.score[view.blocks.clean]
    if compare:
        return max(A_LITTLE_LESS * float(np.quantile(view.peaks, AS_FAULTS)), float(np.quantile(clean, HARDLY_EVER)))
    middle = float(np.median(clean))
    return middle + FAR * max(float(np.median(np.abs(clean - middle))), 1e-9)


def _hidden(view: View, alarm: float) -> Iterator[Finding]:
    """Unlabelled stretches that look like faults."""
    blocks, series = view.blocks, view.series
    quiet = blocks.clean & ~_around_faults(view)
    hot, warm = (quiet & (view.score > limit) for limit in (alarm, WARM * alarm))
    if hot.sum() > MOST_SHARE * blocks.clean.sum():
        return
    runs = _runs(warm, blocks.segment, bridge=max(1, blocks.per_fault // 3))
    runs = [run for run in runs if run[1] - run[0] >= max(1, blocks.per_fault // 3) and hot[run[0] : run[1]].any()]
    if not runs:
        return
    strongest = sorted(sorted(runs, key=lambda run: -float(view.score[run[0] : run[1]].max()))[:MOST_STRETCHES])
    rows = [(int(blocks.start[a]), int(blocks.stop[b - 1])) for a, b in strongest]
    named = ", ".join(f"{moment(series.timestamps[a])} ({duration((b - a) * series.step_s)})" for a, b in rows)
    share = sum(b - a for a, b in runs) / len(blocks)
    which = f"the {len(rows)} strongest at" if len(rows) < len(runs) else "at"
    measure = (
        "as far off as labelled faults" if len(series.events) >= LEAST_FAULTS else "so far off that it may be a fault"
    )
    yield Finding(
        "warning",
        "unlabelled, looks like a fault",
        f"Without a label, but {measure}: {number_of(len(runs), 'stretch', 'stretches')} ({share:.1%} of the "
        f"time), {which} {named}.{_daily(view, strongest)}",
        "Look at them. An unlisted fault punishes the detector that finds it and teaches the others that it is normal: "
        "label it, or mark its rows suspect in a column label_quality.",
        tuple(_loudest(view, strongest)),
        tuple(span(series.timestamps, a, b) for a, b in rows),
    )


def _daily(view: View, runs: list[tuple[int, int]]) -> str:
    """Say so if most stretches come at the same time of day."""
    times = view.series.timestamps[view.blocks.start[[run[0] for run in runs]]]
    seconds = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "s")
    days = len(np.unique(times.astype("datetime64[D]")))
    if days < 3:
        return ""
    usual = seconds[np.argmax([(np.abs(seconds - s) <= DAILY).sum() for s in seconds])]
    count = int((np.abs(seconds - usual) <= DAILY).sum())
    if count < len(runs) / 2:
        return ""
    return f" {count} of them come about {int(usual // 3600):02}:{int(usual % 3600 // 60):02} UTC: a scheduled job?"


def _weak(view: View) -> Iterator[Finding]:
    """Fault types that do not show."""
    series, peaks = view.series, _quiet_peaks(view)
    if len(peaks) < LEAST_QUIET:
        return
    unseen = view.peaks <= np.quantile(peaks, UNSEEN)
    types = np.asarray([event.fault_type for event in series.events])
    weak = {name: (int(unseen[types == name].sum()), int((types == name).sum())) for name in series.fault_types}
    weak = {name: (missed, count) for name, (missed, count) in weak.items() if count >= 2 and missed >= count / 2}
    if not weak:
        return
    words = ", ".join(f"{name} ({missed} of {count})" for name, (missed, count) in weak.items())
    hidden = [series.events[n] for n in np.flatnonzero(unseen) if types[n] in weak]
    yield Finding(
        "warning",
        "faults that do not show",
        f"Some faults lie no further off than the upper tenth of fault-free stretches as long: {words}.",
        "They may not touch these metrics at all, or the label may be at the wrong time. A detector that misses them "
        "is not necessarily wrong: read the report by fault type.",
        times=tuple(span(series.timestamps, event.start, event.stop) for event in hidden[:50]),
    )


def _outlasting(view: View, alarm: float) -> Iterator[Finding]:
    """Effects that go on after the label ends, in rows that count as normal."""
    blocks, series = view.blocks, view.series
    tails: dict[str, list[float]] = {}
    for event, peak in zip(series.events, view.peaks, strict=True):
        if peak >= alarm:
            first = last = int(np.searchsorted(blocks.start, event.stop))
            segment = series.segment[event.start]
            while (
                last < len(blocks)
                and blocks.segment[last] == segment
                and blocks.clean[last]
                and view.score[last] > alarm
            ):
                last += 1
            tails.setdefault(event.fault_type, []).append(float((blocks.stop - blocks.start)[first:last].sum()))
    lasting = {name: float(np.median(rows)) for name, rows in tails.items() if len(rows) >= 2}
    lasting = {name: rows for name, rows in lasting.items() if rows >= max(1.0, view.event_rows / 4)}
    if not lasting:
        return
    words = ", ".join(f"{name} {duration(rows * series.step_s)}" for name, rows in lasting.items())
    yield Finding(
        "warning",
        "effects outlast the label",
        f"After the label ends, telemetry stays as far off as in faults (median): {words}. These rows count as normal.",
        "Lengthen the labels, or mark the recovery guard in a column label_quality: such rows are neither trained nor "
        "scored on.",
    )


def _around_faults(view: View) -> NDArray[np.bool_]:
    """Return the blocks in faults, shortly before, and up to a fault's length after [B]."""
    blocks = view.blocks
    near = np.zeros(len(blocks), dtype=bool)
    for event in view.series.events:
        first = int(np.searchsorted(blocks.start, event.start, side="right")) - 1
        last = int(np.searchsorted(blocks.start, event.stop))
        within = slice(max(0, first - max(1, blocks.per_fault // 6)), last + blocks.per_fault)
        near[within] |= blocks.segment[within] == view.series.segment[event.start]
    return near


def _runs(hot: NDArray[np.bool_], segment: NDArray[np.int32], bridge: int) -> list[tuple[int, int]]:
    """Return (first, stop) of the runs of True, those of one segment joined over holes up to `bridge`."""
    runs: list[tuple[int, int]] = []
    for block in np.flatnonzero(hot).tolist():
        if runs and block - runs[-1][1] <= bridge and segment[block] == segment[runs[-1][0]]:
            runs[-1] = (runs[-1][0], block + 1)
        else:
            runs.append((block, block + 1))
    return runs


def _quiet_peaks(view: View) -> NDArray[np.float64]:
    """Return the peaks of fault-free stretches as long as a fault."""
    blocks = view.blocks
    runs = _runs(blocks.clean & ~_around_faults(view), blocks.segment, bridge=0)
    length = blocks.per_fault
    starts = [first for start, stop in runs for first in range(start, stop - length + 1, length)]
    return np.asarray([view.score[first : first + length].max() for first in starts])


def _loudest(view: View, runs: list[tuple[int, int]]) -> list[str]:
    """Return the columns that deviate most within the runs, at most five."""
    blocks = view.blocks
    usual = blocks.values[blocks.clean]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns that are missing throughout the runs
        inside = np.nanmean(blocks.values[np.concatenate([np.arange(a, b) for a, b in runs])], axis=0)
        apart, spread = np.abs(inside - np.nanmedian(usual, axis=0)), np.nanstd(usual, axis=0)
    ratio = np.nan_to_num(apart / np.where(spread > 0, spread, np.inf))
    return [view.series.columns[column] for column in np.argsort(-ratio)[:5]]
