"""Learning curves: a metric against the labels spent, with an interval at each number of shots."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as PaperFigure

from analysis.planned import Points
from analysis.plots import style
from analysis.plots.page_figure import PageFigure
from analysis.words import Record, absent, band, number, records

AXES = {
    "windows": "labelled windows (shots)",
    "faults": "labelled faults (events)",
    "all_windows": "all labels spent, windows (validation included)",
    "all_faults": "all labels spent, faults (validation included)",
}
"""Column of `curves.levels` -> title of the axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One detector: points in order of labels; a detector known at 0 shots only is a level line."""

    detector: str
    points: pd.DataFrame
    flat: bool


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """What both forms of the figure draw."""

    curves: tuple[Curve, ...]
    axis: str
    metric_title: str
    ticks: tuple[float, ...]
    smallest: float


def data(levels: pd.DataFrame, axis: str, metric_title: str, wanted: Points = ()) -> Curves:
    """Arrange the levels of one source and metric along one of `AXES`.

    A detector for which a point with labels was planned (`wanted`) is no level line, even if only its score at 0
    shots came out.
    """
    learners = {detector for _, detector, shots in wanted if shots > 0}
    found = levels.sort_values([axis, "shots"])
    positive = found.loc[found[axis] > 0, axis]
    curves = tuple(
        Curve(
            name,
            found[found["detector"] == name],
            flat=bool((found.loc[found["detector"] == name, "shots"] == 0).all()) and name not in learners,
        )
        for name in style.ordered(found["detector"])
    )
    return Curves(curves, axis, metric_title, _ticks(found[axis]), float(positive.min()) if len(positive) else 1.0)


def page(curves: Curves) -> PageFigure:
    """Return the interactive figure."""
    figure = PageFigure()
    last = max(curves.ticks, default=0.0)
    for curve in curves.curves:
        _add(figure, curves, curve, last)
    figure.arrange(
        xaxis={
            "title": {"text": curves.axis and AXES[curves.axis]},
            "tickvals": style.label_scale(curves.ticks, curves.smallest).tolist(),
            "ticktext": [f"{tick:g}" for tick in curves.ticks],
            "zeroline": False,
        },
        yaxis={"title": {"text": curves.metric_title}, "rangemode": "tozero", "zeroline": False},
        legend={"title": {"text": ""}, "groupclick": "togglegroup"},
        hovermode="closest",
        height=480,
    )
    return figure


def paper(curves: Curves) -> PaperFigure:
    """Return the printable figure."""
    figure, (axes,) = style.paper(7.4, 4.4)
    last = max(curves.ticks, default=0.0)
    for curve in curves.curves:
        x, points = _positions(curves, curve, last)
        look = style.look(curve.detector)
        name = style.paper_text(curve.detector) + (" (0 labels)" if curve.flat else "")
        axes.plot(
            x, points["estimate"], color=look.colour, linestyle=look.paper_dash if not curve.flat else ":",
            marker=look.paper_marker, markersize=5, linewidth=look.width * 0.7, label=name,
        )  # fmt: skip
        banded = points["low"].notna().to_numpy()
        if banded.sum() == 1:
            low, high = points["estimate"] - points["low"], points["high"] - points["estimate"]
            axes.errorbar(x, points["estimate"], yerr=[low, high], color=look.colour, fmt="none", capsize=3)
        if banded.sum() > 1:
            axes.fill_between(
                x[banded], points["low"][banded], points["high"][banded], color=look.colour, alpha=0.15, lw=0
            )
    axes.set_xticks(style.label_scale(curves.ticks, curves.smallest), [f"{tick:g}" for tick in curves.ticks])
    axes.set_xlabel(AXES[curves.axis])
    axes.set_ylabel(curves.metric_title)
    axes.set_ylim(bottom=0)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def _add(figure: PageFigure, curves: Curves, curve: Curve, last: float) -> None:
    look, name = style.look(curve.detector), style.safe(curve.detector)
    x, points = _positions(curves, curve, last)
    banded = points["low"].notna().to_numpy()
    low, high = points["low"][banded], points["high"][banded]
    if banded.sum() > 1:
        figure.scatter(
            x=[*x[banded], *x[banded][::-1]], y=[*high, *low[::-1]], mode="lines", line={"width": 0}, fill="toself",
            fillcolor=f"rgba{(*_rgb(look.colour), 0.15)}", hoverinfo="skip", showlegend=False, legendgroup=name,
        )  # fmt: skip
    figure.scatter(
        x=x, y=points["estimate"], mode="lines+markers", name=name + (" (0 labels)" if curve.flat else ""),
        legendgroup=name,
        line={
            "color": look.colour, "dash": "dot" if curve.flat else look.dash,
            "width": look.width * 0.6 if curve.flat else look.width,
        },
        marker={"symbol": look.marker, "size": 9, "color": look.colour},
        **({"error_y": _bar(points)} if banded.sum() == 1 else {}),
        text=[hover(row) for row in records(points)],
        hovertemplate="<b>%{fullData.name}</b><br>%{text}<extra></extra>",
    )  # fmt: skip


def _bar(points: pd.DataFrame) -> dict[str, object]:
    """Return the interval of the only point that has one: a band of one point has no width."""
    above, below = points["high"] - points["estimate"], points["estimate"] - points["low"]
    return {"type": "data", "symmetric": False, "array": _numbers(above), "arrayminus": _numbers(below)}


def _numbers(values: "pd.Series[float]") -> list[float | None]:
    return [None if absent(value) else float(value) for value in values]


def hover(row: Record) -> str:
    """Return the hover text of a point: value, interval, draws, labels and test events."""
    reason = row["note"] or "no interval"
    interval = reason if absent(row["low"]) else f"95 % interval {band(row['low'], row['high'])}"
    lines = (
        f"{number(row['estimate'])}, {interval}",
        f"n = {row['n']} draws, {row['test_events']:.0f} test faults",
        f"{row['shots']} shots from {number(row['faults'], 1)} labelled faults",
    )
    return "<br>".join(style.safe(line, 160) for line in lines)


def _positions(curves: Curves, curve: Curve, last: float) -> tuple[np.ndarray, pd.DataFrame]:
    """Return x and rows; a detector that needs no labels is drawn across the whole width."""
    points = curve.points
    labels = points[curves.axis].to_numpy(dtype=float)
    if curve.flat and last > 0:
        points = pd.concat([points.tail(1)] * 2, ignore_index=True)
        labels = np.array([0.0, last])
    return style.label_scale(labels, curves.smallest), points.reset_index(drop=True)


def _ticks(labels: "pd.Series[float]") -> tuple[float, ...]:
    """Return the numbers of labels that occur, thinned where they would collide."""
    values = sorted({round(float(v), 1) for v in labels})
    kept: list[float] = []
    smallest = next((v for v in values if v > 0), 1.0)
    span = float(style.label_scale([values[-1]], smallest)[0]) if values else 1.0
    for value in reversed(values):
        place = float(style.label_scale([value], smallest)[0])
        if not kept or float(style.label_scale([kept[-1]], smallest)[0]) - place > 0.05 * span:
            kept.append(value)
    return tuple(reversed(kept))


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
