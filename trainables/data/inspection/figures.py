"""The pictures of an audit, as SVG text: faults over segments, what is missing, every column over time."""

import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from trainables.data.inspection.inspection import Inspection
from trainables.data.series import Quality

WIDTH = 11.0
"""Inches, of a page about 1,000 pixels wide."""
MOST_LANES = 32
MOST_STRIPS = 120
BINS = 500
"""Columns of pixels that a picture of all rows has."""
SPAN = 4.0
"""Colours end at this many spreads from the median."""
FAULT, GUARD, SUSPECT, HIDDEN, GREY = "#d55e00", "#e9c46a", "#cc79a7", "#0072b2", "#b8bcc2"
_STYLE = {"svg.fonttype": "none", "svg.hashsalt": "inspection", "font.size": 8.5, "font.family": "sans-serif"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure: a heading, what to see in it, SVG text."""

    name: str
    caption: str
    svg: str


def pictures(inspection: Inspection) -> tuple[Picture, ...]:
    """Return the pictures of an audit, in order."""
    drawn = [
        Picture(
            "Faults over time",
            "Each lane is a segment. Orange: labelled faults. Yellow: guard. Pink: suspect. Blue below the lane: "
            "unlabelled stretches that deviate as much as faults do.",
            _svg(lambda: _timeline(inspection)),
        ),
        Picture(
            "How far each moment lies from the usual",
            "Mean of the largest deviations over columns, against the level around; orange bands are labelled faults. "
            "Peaks outside the bands are worth a look.",
            _svg(lambda: _score(inspection)),
        ),
        Picture(
            "Every column over time",
            "Red above, blue below the column's median, in interquartile ranges; grey is missing. A change of colour "
            "that lasts over many columns is another regime. Vertical lines: borders of segments.",
            _svg(lambda: _strips(inspection)),
        ),
    ]
    if np.isnan(inspection.series.values[inspection.view.rows]).any():
        drawn.append(
            Picture(
                "Missing values",
                "Dark: all values of that time are missing. Only columns with missing values are shown.",
                _svg(lambda: _missing(inspection)),
            )
        )
    return tuple(drawn)


def _svg(draw: Callable[[], Figure]) -> str:
    with mpl.rc_context(_STYLE):
        figure = draw()
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _timeline(inspection: Inspection) -> Figure:
    series = inspection.series
    edges = inspection.view.starts
    lanes = len(series.segments) <= MOST_LANES
    figure, axes = _figure(1.0 + 0.28 * (len(series.segments) if lanes else 1))
    shift = edges[:-1] if lanes else np.zeros(len(series.segments), dtype=np.int64)
    longest = int(np.diff(edges).max()) if lanes else len(series)
    least = longest / 600  # a fault of one row must be seen

    def lane(row: int) -> int:
        return int(series.segment[row]) if lanes else 0

    def bars(runs: list[tuple[int, int]], colour: str, low: float, height: float) -> None:
        for start, stop in runs:
            number = lane(start)
            left = start - int(shift[series.segment[start]])
            axes.broken_barh([(left, max(stop - start, least))], (number + low, height), facecolors=colour, linewidth=0)

    segments = [(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    bars(segments, GREY, 0.15, 0.5)
    for quality, colour in ((Quality.GUARD, GUARD), (Quality.SUSPECT, SUSPECT)):
        bars(_stretches(series.quality == quality, series.segment), colour, 0.15, 0.5)
    bars([(event.start, event.stop) for event in series.events], FAULT, 0.15, 0.5)
    bars(_hidden_rows(inspection), HIDDEN, 0.68, 0.14)
    axes.set_ylim(len(series.segments) if lanes else 1, 0)
    axes.set_yticks(np.arange(len(series.segments) if lanes else 1) + 0.4)
    axes.set_yticklabels([name[:34] for name in series.segments] if lanes else [f"{len(series.segments)} segments"])
    if lanes and len(series.segments) > 1:
        axes.set_xlabel(f"rows from the start of the segment (a row is {series.step_s:g} s)")
    else:
        _times(axes, inspection, edges)
    axes.set_xlim(0, longest)
    legend = [
        Patch(color=c, label=text)
        for c, text in ((FAULT, "fault"), (GUARD, "guard"), (SUSPECT, "suspect"), (HIDDEN, "looks like a fault"))
    ]
    axes.legend(handles=legend, ncol=4, loc="lower right", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def _score(inspection: Inspection) -> Figure:
    view = inspection.view
    figure, axes = _figure(2.2)
    for event in inspection.series.events[:2000]:
        axes.axvspan(event.start, event.stop, color=FAULT, alpha=0.35, linewidth=0)
    place = view.blocks.start
    step = max(1, len(place) // 4000)
    peaks = np.maximum.reduceat(view.score, np.arange(0, len(place), step))
    axes.plot(place[::step], peaks, color="#333333", linewidth=0.6)
    axes.set_ylabel("deviation")
    axes.set_xlim(0, len(inspection.series))
    axes.set_ylim(0, None)
    _times(axes, inspection, view.starts)
    return figure


def _strips(inspection: Inspection) -> Figure:
    view = inspection.view
    columns = np.flatnonzero(view.varying)
    if len(columns) > MOST_STRIPS:
        columns = columns[np.floor(np.arange(MOST_STRIPS) * len(columns) / MOST_STRIPS).astype(int)]
    blocks = view.blocks
    low, middle, high = np.nanquantile(view.sample[:, columns], [0.25, 0.5, 0.75], axis=0)
    spread = np.where(high > low, high - low, np.nanstd(view.sample[:, columns], axis=0))
    values = (blocks.values[:, columns] - middle) / np.where(spread > 0, spread, 1)
    picture = _binned(values, np.nanmean).T
    colours = mpl.colormaps["RdBu_r"].with_extremes(bad=GREY)
    title = "" if len(columns) == view.varying.sum() else f"{len(columns)} of {view.varying.sum()} columns"
    return _map(inspection, picture, [view.series.columns[c] for c in columns], colours, (-SPAN, SPAN), title)


def _missing(inspection: Inspection) -> Figure:
    view = inspection.view
    columns = np.flatnonzero(view.missing_share > 0)[:MOST_STRIPS]
    step = max(1, len(view.series) // (8 * BINS))
    absent = np.isnan(view.series.values[::step][:, columns]).astype(np.float64)
    picture = _binned(absent, np.mean).T
    names = [f"{view.series.columns[c]} {view.missing_share[c]:.0%}" for c in columns]
    return _map(inspection, picture, names, mpl.colormaps["Greys"], (0.0, 1.0), "")


def _map(
    inspection: Inspection,
    picture: NDArray[np.float64],
    names: list[str],
    colours: mpl.colors.Colormap,
    limits: tuple[float, float],
    title: str,
) -> Figure:
    figure, axes = _figure(1.0 + 0.13 * len(names))
    axes.imshow(
        picture, aspect="auto", interpolation="nearest", cmap=colours, vmin=limits[0], vmax=limits[1],
        extent=(0, len(inspection.series), len(names) - 0.5, -0.5),
    )  # fmt: skip
    axes.set_yticks(np.arange(len(names)))
    axes.set_yticklabels([name[:44] for name in names], fontsize=6)
    if len(inspection.series.segments) <= MOST_LANES:
        for border in inspection.view.starts[1:-1]:
            axes.axvline(border, color="black", linewidth=0.6)
    for event in inspection.series.events[:500]:
        axes.axvspan(event.start, event.stop, ymin=1, ymax=1.012, color=FAULT, clip_on=False, linewidth=0)
    axes.set_title(title, loc="right", fontsize=8)
    _times(axes, inspection, inspection.view.starts)
    return figure


def _binned(values: NDArray[np.float64], reduce: Callable[..., NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return at most `BINS` averages over rows [bins, columns]."""
    edges = np.unique(np.linspace(0, len(values), min(BINS, len(values)) + 1).astype(int))
    with np.errstate(invalid="ignore"):
        means = [
            np.full(values.shape[1], np.nan) if np.isnan(values[a:b]).all() else _mean(values[a:b], reduce)
            for a, b in itertools.pairwise(edges)
        ]
    return np.asarray(means)


def _mean(values: NDArray[np.float64], reduce: Callable[..., NDArray[np.float64]]) -> NDArray[np.float64]:
    some = ~np.isnan(values).all(axis=0)
    out = np.full(values.shape[1], np.nan)
    out[some] = reduce(values[:, some], axis=0)
    return out


def _times(axes: Axes, inspection: Inspection, edges: NDArray[np.int64]) -> None:
    """Label the rows with times: eight places, or the first rows of segments where they are few."""
    series = inspection.series
    count = len(series)
    rows = (
        np.unique(np.linspace(0, count - 1, 7).astype(int))
        if len(edges) - 1 > 8 or len(edges) == 2
        else np.append(edges[:-1], count - 1)
    )
    axes.set_xticks(rows)
    axes.set_xticklabels(
        [np.datetime_as_string(series.timestamps[row], unit="m").replace("T", "\n") for row in rows], fontsize=7
    )


def _hidden_rows(inspection: Inspection) -> list[tuple[int, int]]:
    """Return the rows of the stretches that a finding says look like faults."""
    stamps = [
        time
        for finding in inspection.findings
        if finding.kind == "unlabelled, looks like a fault"
        for time in finding.times
    ]
    series, rows = inspection.series, []
    for first, last in stamps:
        inside = np.flatnonzero(
            (series.timestamps >= np.datetime64(first[:-1]))
            & (series.timestamps <= np.datetime64(last[:-1]) + np.timedelta64(999, "ms"))
        )
        rows += _stretches(np.isin(np.arange(len(series)), inside), series.segment)
    return rows


def _stretches(flag: NDArray[np.bool_], segment: NDArray[np.int32]) -> list[tuple[int, int]]:
    """Return (first, stop) of the runs of True that stay within a segment."""
    edge = np.ones(len(flag) + 1, dtype=bool)
    edge[1:-1] = (flag[1:] != flag[:-1]) | (segment[1:] != segment[:-1])
    bounds = np.flatnonzero(edge)
    return [(int(a), int(b)) for a, b in itertools.pairwise(bounds) if flag[a]]
