"""The search landscape: the objective on selection draws against each searched parameter. Not for claims."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.figure import Figure as PaperFigure
from plotly.subplots import make_subplots

from analysis.landscape import parameter_columns
from analysis.plots import style


def data(candidates: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates of one source and detector, worst first, so that winners are drawn last."""
    return candidates.sort_values(["winner", "value"]).reset_index(drop=True)


def page(candidates: pd.DataFrame, metric_title: str) -> go.Figure:
    """Return the interactive figure: a panel for each searched parameter, a trace for each number of shots."""
    parameters = parameter_columns(candidates)
    names = [style.safe(name.removeprefix("param."), 30) for name in parameters]
    columns = min(len(parameters), 3)
    rows = -(-len(parameters) // columns)
    figure = make_subplots(
        rows=rows, cols=columns, shared_yaxes=True, horizontal_spacing=0.05, vertical_spacing=0.3 / rows
    )
    shades = _shades(candidates)
    for place, (parameter, name) in enumerate(zip(parameters, names, strict=True)):
        row, column = place // columns + 1, place % columns + 1
        for shots, group in candidates.groupby("shots"):
            figure.add_scatter(
                x=_axis_values(group[parameter]), y=group["value"], mode="markers", name=f"{shots} shots",
                legendgroup=str(shots), showlegend=place == 0,
                marker={
                    "symbol": ["star" if w else "circle" for w in group["winner"]], "color": shades[int(shots)],
                    "size": [14 if w else 8 for w in group["winner"]], "opacity": 0.85,
                },
                customdata=group[["draws"]].to_numpy(),
                hovertemplate=f"{name} = %{{x}}<br>mean %{{y:.3f}} over %{{customdata[0]}} selection draws<extra></extra>",
                row=row, col=column,
            )  # fmt: skip
        figure.update_xaxes(title_text=name, type=_axis_type(candidates[parameter]), row=row, col=column)
        if column == 1:
            figure.update_yaxes(title_text=f"{metric_title}<br>selection draws", row=row, col=column)
    figure.update_layout(height=120 + 260 * rows, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return figure


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
                        _axis_values(mine[parameter]), mine["value"], s=size, marker=marker, color=shades[int(shots)],
                        label=None if won else f"{shots} shots",
                    )  # fmt: skip
        if _axis_type(candidates[parameter]) == "log":
            axes.set_xscale("log")
        axes.set_xlabel(style.paper_text(parameter.removeprefix("param.")))
    panels[0].set_ylabel(f"{metric_title}\nselection draws, not for claims")
    panels[-1].legend(frameon=False, fontsize=7)
    return figure


def _axis_values(values: "pd.Series[float]") -> list[object]:
    return list(values) if pd.api.types.is_numeric_dtype(values) else [style.safe(v, 24) for v in values]


def _axis_type(values: "pd.Series[float]") -> str:
    """Logarithmic for positive numbers that span a decade, so that learning rates can be read."""
    if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
        return "category"
    held = values.dropna()
    return "log" if len(held) and held.min() > 0 and held.max() / held.min() >= 8 else "linear"


def _shades(candidates: pd.DataFrame) -> dict[int, str]:
    """Return one tone for each number of shots, light to dark."""
    tones = ("#e0a458", "#c8649b", "#5b8fd6", "#2a9d6f", "#9467bd", "#8c6d31")
    shots = sorted(int(s) for s in np.unique(candidates["shots"]))
    return {k: tones[n % len(tones)] for n, k in enumerate(shots)}
