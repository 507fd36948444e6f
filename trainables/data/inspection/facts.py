"""The plain numbers of a table: rows, step, segments, classes, faults."""

from dataclasses import dataclass

import numpy as np

from trainables.data.assemble import GAP_STEPS, IRREGULAR
from trainables.data.inspection.finding import moment
from trainables.data.series import UNLABELLED, LabelledSeries, Quality


@dataclass(frozen=True, slots=True)
class SegmentFacts:
    """One segment; times in UTC."""

    name: str
    rows: int
    first: str
    last: str
    faults: int
    fault_rows: int


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """Faults of one type; seconds are the median duration."""

    name: str
    faults: int
    rows: int
    median_rows: int
    median_s: float
    services: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What there is.

    Attributes
    ----------
    rows, columns, missing_cells
        Of the table as read; columns without any value are not counted.
    step_s, irregular, steps
        Median step, steps more than half off it, and all steps within segments.
    classes
        Rows by class: fault, normal, unlabelled.
    quality
        Rows by label quality.
    prevalence
        Share of faulty rows among those that can be used; None without labels.
    days
        Calendar days with rows.
    """

    name: str
    simulated: bool
    rows: int
    columns: int
    missing_cells: int
    first: str
    last: str
    step_s: float
    irregular: int
    steps: int
    days: int
    classes: dict[str, int]
    quality: dict[str, int]
    prevalence: float | None
    faults: int
    types: tuple[TypeFacts, ...]
    segments: tuple[SegmentFacts, ...]


def facts_of(series: LabelledSeries) -> Facts:
    """Return the numbers of a series."""
    odd, inside = irregular_steps(series)
    usable = series.usable
    return Facts(
        name=series.name,
        simulated=series.simulated,
        rows=len(series),
        columns=len(series.columns),
        missing_cells=sum(int(np.isnan(column).sum()) for column in series.values.T),
        first=moment(series.timestamps.min()),
        last=moment(series.timestamps.max()),
        step_s=series.step_s,
        irregular=odd,
        steps=inside,
        days=len(np.unique(series.timestamps.astype("datetime64[D]"))),
        classes={
            "normal": int((series.labels == 0).sum()),
            "fault": int((series.labels == 1).sum()),
            "unlabelled": int((series.labels == UNLABELLED).sum()),
        },
        quality={quality.name.lower(): int((series.quality == quality).sum()) for quality in Quality},
        prevalence=float((series.labels[usable] == 1).mean()) if usable.any() else None,
        faults=len(series.events),
        types=_types(series),
        segments=_segments(series),
    )


def irregular_steps(series: LabelledSeries) -> tuple[int, int]:
    """Return how many steps within segments are more than half off the usual one, and how many there are."""
    step = np.diff(series.timestamps) / np.timedelta64(1, "s")
    inside = (series.segment[1:] == series.segment[:-1]) & (step <= GAP_STEPS * series.step_s)
    odd = inside & (np.abs(step - series.step_s) > IRREGULAR * series.step_s)
    return int(odd.sum()), int(inside.sum())


def _types(series: LabelledSeries) -> tuple[TypeFacts, ...]:
    found = []
    for name in series.fault_types:
        events = [event for event in series.events if event.fault_type == name]
        lengths = [event.stop - event.start for event in events]
        services = {event.service for event in events} - {""}
        median = float(np.median(lengths))
        found.append(TypeFacts(name, len(events), sum(lengths), int(median), median * series.step_s, len(services)))
    return tuple(sorted(found, key=lambda entry: -entry.faults))


def _segments(series: LabelledSeries) -> tuple[SegmentFacts, ...]:
    edges = np.searchsorted(series.segment, np.arange(len(series.segments) + 1))
    starts = np.asarray([event.start for event in series.events], dtype=np.int64)
    faults = np.bincount(series.segment[starts], minlength=len(series.segments))
    fault_rows = np.bincount(series.segment[series.labels == 1], minlength=len(series.segments))
    return tuple(
        SegmentFacts(
            name,
            int(edges[n + 1] - edges[n]),
            moment(series.timestamps[edges[n]]),
            moment(series.timestamps[edges[n + 1] - 1]),
            int(faults[n]),
            int(fault_rows[n]),
        )
        for n, name in enumerate(series.segments)
    )
