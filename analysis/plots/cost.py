"""What a score costs: seconds a draw against the metric."""

import pandas as pd
from matplotlib.figure import Figure as PaperFigure

from analysis.plots import style
from analysis.plots.page_figure import PageFigure


def data(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one source that have both a metric and a duration."""
    return costs.dropna(subset=["estimate", "seconds"]).sort_values(["detector", "shots"]).reset_index(drop=True)


def page(costs: pd.DataFrame, metric_title: str) -> PageFigure:
    """Return the interactive figure."""
    figure = PageFigure()
    for name in style.ordered(costs["detector"]):
        mine, look = costs[costs["detector"] == name], style.look(name)
        figure.scatter(
            x=mine["seconds"], y=mine["estimate"], mode="lines+markers+text", name=style.safe(name),
            line={"color": look.colour, "width": 1, "dash": look.dash},
            marker={"symbol": look.marker, "color": look.colour, "size": 10},
            text=[str(k) for k in mine["shots"]], textposition="top center", textfont={"size": 10},
            customdata=mine[["n", "peak_host_mb"]].to_numpy(),
            hovertemplate="<b>%{fullData.name}</b> at %{text} shots<br>%{x:.3g} s a draw, metric %{y:.3f}"
            "<br>peak memory %{customdata[1]:.0f} MB, n = %{customdata[0]} draws<extra></extra>",
        )  # fmt: skip
    figure.arrange(
        xaxis={
            "title": {"text": "seconds a draw (fit and score), logarithmic"},
            "type": "log",
            "dtick": "D2",
            "exponentformat": "none",
        },
        yaxis={"title": {"text": metric_title}, "rangemode": "tozero"},
        height=440,
    )
    return figure


def paper(costs: pd.DataFrame, metric_title: str) -> PaperFigure:
    """Return the printable figure."""
    figure, (axes,) = style.paper(7.0, 4.0)
    for name in style.ordered(costs["detector"]):
        mine, look = costs[costs["detector"] == name], style.look(name)
        axes.plot(
            mine["seconds"], mine["estimate"], marker=look.paper_marker, linestyle=look.paper_dash, linewidth=0.8,
            color=look.colour, label=style.paper_text(name),
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds a draw (fit and score)")
    axes.set_ylabel(metric_title)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure
