"""The search landscape: the objective on selection draws against each searched parameter. Not for claims."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as PaperFigure

from analysis.landscape import is_number, is_wide, parameter_columns
from analysis.plots import style
from analysis.plots.page_figure import PageFigure

_COLUMNS = 3
MOST_TICKS = 8


def data(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates of one source and detector, worst first, so that winners are drawn last."""
    return candidates.sort_values(["winner", "value"]).reset_index(drop=True)


def page(candidates: pd.DataFrame, metric_title: str) -> PageFigure:
    """Return the interactive figure: a panel for each searched parameter, a trace for each number of shots."""
    parameters = parameter_columns(candidates)
    figure = PageFigure()
    rows = -(-len(parameters) // _COLUMNS)
    for place, parameter in enumerate(parameters):
        _panel(figure, candidates, parameter, place, rows)
    figure.arrange(
        height=120 + 280 * rows,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    first = figure.layout["yaxis"]
    figure.arrange(
        yaxis=(first if isinstance(first, dict) else {}) | {"title": {"text": f"{metric_title}<br>(selection)"}}
    )
    return figure


def _panel(figure: PageFigure, candidates: pd.DataFrame, parameter: str, place: int, rows: int) -> None:
    """Add one parameter: its own x axis, and a y axis that matches the first."""
    name, number = style.safe(parameter.removeprefix("param."), 30), "" if place == 0 else str(place + 1)
    shades = _shades(candidates)
    for shots, group in candidates.groupby("shots"):
        figure.scatter(
            x=_axis_values(group[parameter]), y=group["value"], mode="markers", name=f"{shots} shots",
            legendgroup=str(shots), showlegend=place == 0, xaxis=f"x{number}", yaxis=f"y{number}",
            marker={
                "symbol": ["star" if won else "circle" for won in group["winner"]], "color": shades[shots],
                "size": [14 if won else 8 for won in group["winner"]], "opacity": 0.85,
            },
            text=[f"{name} = {style.safe(v, 30)}<br>mean of {n} selection draws" for v, n in
                  zip(group[parameter], group["draws"], strict=True)],
            hovertemplate="%{text}: %{y:.3f}<extra></extra>",
        )  # fmt: skip
    row, column = divmod(place, _COLUMNS)
    high, low = _domain(row, rows, 0.3)
    left, right = _domain(column, min(_COLUMNS, len(parameter_columns(candidates))), 0.08)
    figure.arrange(
        **{
            f"xaxis{number}": {
                "title": {"text": name}, "type": _axis_type(candidates[parameter]), "domain": [left, right],
                "anchor": f"y{number}", **_ticks(candidates[parameter]),
            },
            f"yaxis{number}": {
                "domain": [1 - low, 1 - high], "anchor": f"x{number}", **({"matches": "y"} if number else {}),
            },
        }
    )  # fmt: skip


def _domain(place: int, places: int, gap: float) -> list[float]:
    """Return from where to where panel `place` of `places` reaches, with a gap (share of a panel) between them."""
    size = 1 / (places + gap * (places - 1))
    start = place * size * (1 + gap)
    return [start, min(start + size, 1.0)]


def paper(candidates: pd.DataFrame, metric_title: str) -> PaperFigure:
    """Return the printable figure."""
    parameters = parameter_columns(candidates)
    figure, panels = style.paper(1.0 + 2.6 * len(parameters), 3.0, panels=len(parameters))
    shades = _shades(candidates)
    for axes, parameter in zip(panels, parameters, strict=True):
        for shots, group in candidates.groupby("shots"):
            for won, marker, size in ((False, "o", 22), (True, "*", 90)):
                mine = group[group["winner"].astype(bool) == won]
                if len(mine):
                    axes.scatter(
                        _axis_values(mine[parameter]), mine["value"], s=size, marker=marker, color=shades[shots],
                        label=None if won else f"{shots} shots",
                    )  # fmt: skip
        if _axis_type(candidates[parameter]) == "log":
            axes.set_xscale("log")
        ticks = _ticks(candidates[parameter])
        if "tickvals" in ticks:
            axes.set_xticks(ticks["tickvals"], ticks["ticktext"], fontsize=7)
            axes.set_xticks([], minor=True)
        axes.set_xlabel(style.paper_text(parameter.removeprefix("param.")))
    panels[0].set_ylabel(f"{metric_title}\nselection draws, not for claims")
    panels[-1].legend(frameon=False, fontsize=7)
    return figure


def _axis_values(values: "pd.Series[float]") -> list[float] | list[str]:
    return list(values) if is_number(values) else [style.safe(v, 24) for v in values]


def _axis_type(values: "pd.Series[float]") -> str:
    if not is_number(values):
        return "category"
    return "log" if is_wide(values) else "linear"


def _ticks(values: "pd.Series[float]") -> dict[str, Any]:
    """Return ticks at the values tried where they are few; powers of ten on other logarithmic axes."""
    if not is_number(values):
        return {}
    tried = sorted(values.dropna().unique())
    if len(tried) <= MOST_TICKS:
        return {"tickvals": tried, "ticktext": [f"{value:.3g}" for value in tried]}
    return {"dtick": 1, "exponentformat": "power"} if _axis_type(values) == "log" else {}


def _shades(candidates: pd.DataFrame) -> dict[object, str]:
    """Return one tone for each number of shots, light to dark."""
    tones = ("#e0a458", "#c8649b", "#5b8fd6", "#2a9d6f", "#9467bd", "#8c6d31")
    shots = sorted(int(s) for s in np.unique(candidates["shots"]))
    return {k: tones[n % len(tones)] for n, k in enumerate(shots)}
