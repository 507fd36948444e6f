"""Searched configurations as lines over parallel axes: shots, parameters, objective on selection draws.

Drawn from plain lines: plotly's own `parcoords` needs WebGL and compiles code while it runs, which the page's
content security policy forbids, and neither prints nor follows the colours of the page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure as PaperFigure
from numpy.typing import ArrayLike, NDArray

from analysis.landscape import is_number, is_wide, parameter_columns, thinned
from analysis.plots import style
from analysis.plots.page_figure import OVER_LINES, PageFigure
from analysis.words import number

MOST_TICKS = 8
TONES = [to_hex(LinearSegmentedColormap.from_list("", ["#c46a1a", "#8a8a8a", "#2f7fc1"])(t)) for t in
          np.linspace(0, 1, 7)]  # fmt: skip
"""Worse to better: told apart by colour-blind people, and a contrast of 3:1 against the light and the dark page."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One parallel axis: `place` [N] of each configuration, 0 to 1, its value in words, and its ticks."""

    title: str
    place: NDArray[np.float64]
    said: Sequence[str]
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Parallel:
    """Axes, and for each configuration [N] its tone (place in `TONES`), whether it won, and what hovering says."""

    axes: Sequence[Axis]
    tone: NDArray[np.int64]
    winner: NDArray[np.bool_]
    said: Sequence[str]
    left_out: int


def data(candidates: pd.DataFrame, metric_title: str, direction: int) -> Parallel:
    """Arrange the configurations of one source and detector, winners last.

    Parameters
    ----------
    candidates
        As `landscape.candidates` gives them.
    metric_title
        Name of the objective.
    direction
        1 if higher is better, -1 if lower is.
    """
    shown = thinned(candidates, direction).sort_values("winner", kind="stable")
    columns = {name.removeprefix("param."): shown[name] for name in parameter_columns(shown)}
    if len(shown["shots"].unique()) > 1:
        columns = {"shots": shown["shots"]} | columns
    axes = [_axis(title, values) for title, values in columns.items()]
    axes.append(_axis(f"{metric_title} (selection)", shown["value"], few=0))
    good = _scaled(shown["value"].to_numpy(dtype=float) * direction)
    said = [
        "<br>".join([*(f"{style.safe(axis.title, 40)} = {style.safe(axis.said[n], 40)}" for axis in axes),
                     f"{draws} selection draws, not for claims"])
        for n, draws in enumerate(shown["draws"])
    ]  # fmt: skip
    return Parallel(
        axes, np.round(good * (len(TONES) - 1)).astype(np.int64), shown["winner"].to_numpy(dtype=bool), said,
        len(candidates) - len(shown),
    )  # fmt: skip


def page(parallel: Parallel) -> PageFigure:
    """Return the interactive figure: a trace for each tone, winners thicker, dashed and with stars, on top."""
    figure = PageFigure()
    for won, tone in ((won, tone) for won in (False, True) for tone in range(len(TONES))):
        lines = np.flatnonzero((parallel.winner == won) & (parallel.tone == tone)).tolist()
        if not lines:
            continue
        figure.scatter(
            x=[x for _ in lines for x in (*range(len(parallel.axes)), None)],
            y=[y for n in lines for y in (*(round(float(a.place[n]), 4) for a in parallel.axes), None)],
            text=[said for n in lines for said in (*[parallel.said[n]] * len(parallel.axes), None)],
            mode="lines+markers", showlegend=False, opacity=1 if won else 0.75,
            line={"color": TONES[tone], "width": 3 if won else 1.3, "dash": "dash" if won else "solid"},
            marker={"color": TONES[tone], "size": 13 if won else 5, "symbol": "star" if won else "circle"},
            hovertemplate=("<b>ran on the report draws</b><br>" if won else "") + "%{text}<extra></extra>",
        )  # fmt: skip
    for place, axis in enumerate(parallel.axes):
        figure.shape(type="line", x0=place, x1=place, y0=0, y1=1, line={"color": "#8d8d8d", "width": 1}, layer="below")
        for height, text in axis.ticks:
            figure.annotation(
                x=place, y=height, text=style.safe(text, 16), showarrow=False, xanchor="right", xshift=-8,
                font={"size": 10}, name=OVER_LINES, borderpad=1,
            )  # fmt: skip
    if parallel.left_out:
        figure.annotation(
            x=0, y=1.12, xref="paper", yref="paper", xanchor="left", showarrow=False, text=_left_out(parallel)
        )
    last = len(parallel.axes) - 1
    figure.arrange(
        xaxis={
            "tickvals": list(range(last + 1)), "range": [-0.5, last + 0.5], "showgrid": False, "zeroline": False,
            "ticktext": [_title(axis.title) for axis in parallel.axes], "tickangle": 0, "ticklabeloverflow": "allow",
        },
        yaxis={"visible": False, "range": [-0.06, 1.08]}, height=420, hovermode="closest",
        margin={"l": 20, "t": 50},
    )  # fmt: skip
    return figure


def paper(parallel: Parallel) -> PaperFigure:
    """Return the printable figure."""
    figure, (axes,) = style.paper(1.6 + 1.5 * len(parallel.axes), 3.4)
    axes.grid(visible=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    across = np.arange(len(parallel.axes))
    heights = np.column_stack([axis.place for axis in parallel.axes])
    lines = np.stack([np.broadcast_to(across, heights.shape), heights], axis=2)
    colours = np.array(TONES)[parallel.tone]
    for won, width, stroke in ((False, 0.7, "-"), (True, 1.8, "--")):
        drawn = parallel.winner == won
        axes.add_collection(LineCollection(lines[drawn], colors=colours[drawn], linewidths=width, linestyles=stroke))
    for line, colour in zip(heights[parallel.winner], colours[parallel.winner], strict=True):
        axes.plot(across, line, color=colour, linestyle="none", marker="*", markersize=9)
    for place, axis in enumerate(parallel.axes):
        axes.axvline(place, color="#8d8d8d", linewidth=0.8, zorder=0)
        for height, text in axis.ticks:
            axes.annotate(
                style.paper_text(text, 16), (place, height), xytext=(-4, 0), textcoords="offset points", ha="right",
                va="center", fontsize=6, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5}, zorder=5,
            )  # fmt: skip
    axes.set_xticks(across, [style.paper_text(axis.title).replace(" (", "\n(") for axis in parallel.axes], fontsize=7)
    axes.set_yticks([])
    axes.set_xlim(-0.5, across[-1] + 0.3)
    axes.set_xlabel(f"dashed with stars: ran on the report draws; not for claims{_remark(parallel)}", fontsize=7)
    return figure


def _axis(title: str, values: "pd.Series[float]", few: int = MOST_TICKS) -> Axis:
    """Return an axis of numbers, logarithmic where they span a decade, or of categories; `few` values are all named."""
    if not is_number(values):
        return _categories(title, ["" if pd.isna(v) else str(v) for v in values])
    numbers = values.to_numpy(dtype=np.float64)
    place = _scaled(np.log(numbers) if is_wide(values) else numbers)
    named = np.unique(numbers[np.isfinite(numbers)])
    if len(named) > few:
        named = named[[0, -1]] if len(named) > 1 else named
    ticks = [(float(place[numbers == value][0]), _short(value)) for value in named.tolist()]
    return Axis(title, np.nan_to_num(place, nan=0.5), [_short(v) for v in numbers.tolist()], ticks)


def _categories(title: str, words: list[str]) -> Axis:
    names = sorted(set(words))
    heights = dict(zip(names, np.linspace(0, 1, len(names)) if len(names) > 1 else [0.5], strict=True))
    step = -(-len(names) // MOST_TICKS)
    ticks = [(float(heights[name]), name or "not set") for name in names[::step]]
    return Axis(title, np.array([heights[word] for word in words]), [word or "not set" for word in words], ticks)


def _scaled(values: ArrayLike) -> NDArray[np.float64]:
    """Return numbers between 0 (lowest) and 1 (highest); 0.5 where all are equal."""
    numbers = np.asarray(values, dtype=np.float64)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    return (numbers - low) / (high - low) if high > low else np.where(np.isnan(numbers), np.nan, 0.5)


def _short(value: float) -> str:
    return "not set" if np.isnan(value) else f"{value:.3g}" if abs(value) < 1000 else number(value)


def _title(text: str) -> str:
    """Return the name of an axis over several short lines, so that neighbours do not meet."""
    return style.safe(text, 30).replace("_", "<br>").replace(" (", "<br>(").replace(" ", "<br>")


def _left_out(parallel: Parallel) -> str:
    return f"{len(parallel.said)} of {len(parallel.said) + parallel.left_out} configurations, from worst to best"


def _remark(parallel: Parallel) -> str:
    return f"; {_left_out(parallel)}" if parallel.left_out else ""
