"""Labels: how faults lie in time, and what windows can be cut around them."""

from collections.abc import Iterator

import numpy as np

from trainables.data.inspection.finding import Finding, duration, listed, span
from trainables.data.inspection.view import View
from trainables.data.series import UNLABELLED, LabelledSeries
from trainables.data.wording import number_of

FEW_ROWS = 8
CLOSE = 4
"""Fault-free time between faults, in fault durations, below which neighbouring windows matter."""
LEAD_IN = 5
"""Fault-free time before the first fault, in fault durations."""
PART_OF_TIME = 0.5


def no_labels(view: View) -> Iterator[Finding]:
    """Tables with no label, one class, or unlabelled rows."""
    labels = view.series.labels
    if not view.labelled:
        yield Finding(
            "severe", "no labels", "The table has no labels: nothing can be compared on it.",
            "Add a column named label, or list the incidents in a file (start, end, service, type).",
            yaml="data: {incidents: incidents.csv}",
        )  # fmt: skip
        return
    for value, word in ((1, "a fault"), (0, "normal")):
        if not (labels == value).any():
            yield Finding(
                "severe", "one class", f"No row is labelled {word}: nothing can be compared on this table alone.",
                "Join it with recordings of the other class (several tables: one of them per segment).",
            )  # fmt: skip
    blank = int((labels == UNLABELLED).sum())
    if blank:
        yield Finding(
            "note", "unlabelled rows", f"{blank:,} of {len(labels):,} rows ({blank / len(labels):.1%}) have no label.",
            "Nothing: they are neither trained nor scored on, and serve as history within windows.",
        )  # fmt: skip


def rows_in_random_order(view: View) -> Iterator[Finding]:
    """Labels that change from row to row: there is no sequence in such a table."""
    if view.shuffled is None:
        return
    changes, expected = view.shuffled
    yield Finding(
        "severe",
        "no sequence",
        f"Labels change from row to row as in shuffled rows ({changes:.0%} of steps; {expected:.0%} by chance alone): "
        f"the {len(view.series.events):,} faults are rows, not stretches of time.",
        "Rows carry no history here. Use the table for detectors that look at single rows; a window mixes "
        "unrelated rows, and delays mean nothing.",
        yaml="data: {window: 8}",
    )


def short_faults(view: View) -> Iterator[Finding]:
    """Faults of a few rows."""
    series = view.series
    if not series.events or view.event_rows >= FEW_ROWS:
        return
    yield Finding(
        "warning",
        "few rows a fault",
        f"A fault lasts {number_of(view.event_rows, 'row')} at the median (of "
        f"{number_of(len(series.events), 'fault')}): fewer than the shortest "
        f"window of {FEW_ROWS}. {fault_share(series):.1%} of rows are faulty.",
        "Score every row, read faults caught beside the scores of windows, and distrust point-adjusted scores, which "
        "count a fault as found after one lucky row.",
        yaml="data: {window: 8, score_stride: 1}",
    )


def close_faults(view: View) -> Iterator[Finding]:
    """Faults in quick succession: random splits share them."""
    series = view.series
    pauses = [
        later.start - earlier.stop
        for earlier, later in zip(series.events[:-1], series.events[1:], strict=True)
        if series.segment[earlier.start] == series.segment[later.start]
    ]
    if len(pauses) < 3:
        return
    pause = float(np.median(pauses))
    if pause > CLOSE * max(1, view.event_rows) or view.event_rows <= 1:
        return
    yield Finding(
        "warning",
        "faults close together",
        f"Faults follow each other after {duration(pause * series.step_s)} ("
        f"{number_of(round(pause), 'row')} at the median), each "
        f"{duration(view.event_rows * series.step_s)} long: windows drawn at random would share rows and recoveries "
        "between training and test.",
        "Split by whole faults, and keep windows shorter than the pause.",
        yaml="split: {by: event}",
    )


def late_start(view: View) -> Iterator[Finding]:
    """Tell when a recording starts right before the first fault."""
    series = view.series
    if not series.events or view.event_rows < 2:
        return
    first = series.events[0]
    lead = first.start - int(view.starts[series.segment[first.start]])
    if series.segment[first.start] != 0 or lead > LEAD_IN * view.event_rows:
        return
    yield Finding(
        "note",
        "cold start",
        f"The recording starts {duration(lead * series.step_s)} before the first fault: there is hardly any clean "
        "lead-in.",
        "The unlabelled reference then holds faults too: its upper part, as large as the share of faults, must alarm.",
        times=(span(series.timestamps, int(view.starts[0]), first.start + 1),),
        yaml=f"threshold: {{rule: reference_quantile, quantile: {reference_quantile(series):g}}}",
    )


def faults_in_one_place(view: View) -> Iterator[Finding]:
    """Faults that all lie in one part of the time."""
    series = view.series
    if len(series.events) < 3:
        return
    holding = np.unique(series.segment[[event.start for event in series.events]])
    free = np.setdiff1d(np.arange(len(series.segments)), holding)
    first, last = series.events[0].start, series.events[-1].stop
    tail = len(series) - last
    inside = (last - first) / len(series)
    free_rows = int(np.diff(view.starts)[free].sum())
    if len(holding) > 4 or max(1 - inside, free_rows / len(series)) < PART_OF_TIME:
        return
    where = f"in {listed([series.segments[n] for n in holding])}" if len(free) else "in one stretch"
    yield Finding(
        "warning",
        "faults in one place",
        f"All {len(series.events)} faults lie {where}: {inside:.0%} of the rows hold them all, "
        f"{tail / len(series):.0%} follow without any. A split by time alone would put every fault into one part.",
        "Split by faults, and use fault-free stretches only where load and deployment are the same.",
        times=(span(series.timestamps, first, last),),
        yaml="split: {by: event}",
    )


def whole_segments(view: View) -> Iterator[Finding]:
    """Segments that are faulty or normal throughout: no onset, and perhaps one class after the other."""
    whole = view.whole_segments
    if whole is None:
        return
    yield Finding(
        "warning",
        "no onset",
        f"Each segment has one class: {int(whole.sum())} of {len(whole)} are faulty from the first row to the last. No "
        "fault begins within a recording, so delays cannot be measured, and whatever differs between recordings can "
        "pass "
        "for the fault.",
        "Split by whole recordings and never at random rows.",
        yaml="split: {by: run}",
    )


def fault_share(series: LabelledSeries) -> float:
    """Return the share of faulty rows."""
    return float((series.labels == 1).mean())


def reference_quantile(series: LabelledSeries) -> float:
    """Return the quantile of the unlabelled reference above which lie about as many rows as are faulty."""
    share = fault_share(series)
    return round(float(np.clip(1 - share, 0.8, 0.995)), 2 if share > 0.01 else 3)
