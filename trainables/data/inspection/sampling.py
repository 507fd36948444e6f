"""The clock of the table: steps, gaps, short segments, times that are no times."""

import re
from collections.abc import Iterator

import numpy as np

from trainables.data.inspection.facts import irregular_steps
from trainables.data.inspection.finding import Finding, duration, listed, span
from trainables.data.inspection.view import View
from trainables.data.wording import number_of

LEAST_WINDOW = 8
"""Rows of the shortest window that a sweep takes."""
MANY_IRREGULAR = 0.01
BEGINNING = np.datetime64("1971-01-01", "ns")


def uneven_steps(view: View) -> Iterator[Finding]:
    """Count steps that differ from the usual one, and segments sampled at different steps."""
    series = view.series
    odd, inside = irregular_steps(series)
    if odd:
        share = odd / inside
        yield Finding(
            "warning" if share > MANY_IRREGULAR else "note",
            "irregular steps",
            f"{odd:,} of {inside:,} steps ({share:.1%}) are more than half off the usual {series.step_s:g} s.",
            "A window counts rows, not seconds. Sample at one step before you use the table, if there are many.",
        )
    steps = np.asarray([_step(view, number) for number in range(len(series.segments))])
    steps = steps[~np.isnan(steps)]
    if len(steps) and steps.max() > 1.5 * steps.min():
        yield Finding(
            "severe",
            "different steps",
            f"Segments are sampled at different steps, from {steps.min():g} s to {steps.max():g} s: a window of the "
            "same number of rows covers different times.",
            "Bring them to one step, or make one source of each.",
        )


def gaps(view: View) -> Iterator[Finding]:
    """Pauses that started a new segment, and segments too short for a window."""
    series = view.series
    pieces = [number for number, name in enumerate(series.segments) if number and re.search(r"#\d+$", name)]
    if pieces:
        ends = [(int(view.starts[n]) - 1, int(view.starts[n])) for n in pieces]
        lengths = [(series.timestamps[b] - series.timestamps[a]) / np.timedelta64(1, "s") for a, b in ends]
        yield Finding(
            "note",
            "gaps",
            f"{number_of(len(pieces), 'gap')} in time, the longest {duration(max(lengths))}; windows do not bridge "
            "them.",
            "Nothing: a new segment starts after each.",
            times=tuple(span(series.timestamps, a, b + 1) for a, b in ends),
        )
    lengths_of = np.diff(view.starts)
    short = np.flatnonzero(lengths_of < LEAST_WINDOW)
    if len(short):
        yield Finding(
            "warning" if len(short) > len(lengths_of) / 10 else "note",
            "short segments",
            f"{number_of(len(short), 'segment')} of {len(lengths_of)} hold fewer than {LEAST_WINDOW} rows, the "
            f"shortest window: {listed([series.segments[n] for n in short])}.",
            "Their rows are never used. If gaps made them, sample at a coarser step.",
            times=tuple(span(series.timestamps, int(view.starts[n]), int(view.starts[n + 1])) for n in short[:50]),
        )


def no_real_clock(view: View) -> Iterator[Finding]:
    """Tell when times start at the epoch: counters, not times."""
    series = view.series
    if series.timestamps.min() >= BEGINNING:
        return
    yield Finding(
        "note",
        "synthetic times",
        f"Times start at {span(series.timestamps, 0, 1)[0]}: a counter of steps, not a clock.",
        "Delays in seconds and false alarms a day are then only as true as the step of "
        f"{series.step_s:g} s; days and hours mean nothing.",
    )


def _step(view: View, number: int) -> float:
    times = view.series.timestamps[view.starts[number] : view.starts[number + 1]]
    return float(np.median(np.diff(times)) / np.timedelta64(1, "s")) if len(times) > 2 else np.nan
