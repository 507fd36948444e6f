"""Levels at one number of shots: a dot and an interval for each detector, best on top."""

import pandas as pd
from matplotlib.figure import Figure as PaperFigure

from analysis.plots import style
from analysis.plots.learning_curve import hover
from analysis.plots.page_figure import PageFigure
from analysis.words import absent, records


def data(board: pd.DataFrame) -> pd.DataFrame:
    """Return the leaderboard of one source and number of shots, worst first (plots grow upwards)."""
    return board.sort_values("rank", ascending=False).assign(shots=lambda f: f["own_shots"]).reset_index(drop=True)


def page(board: pd.DataFrame, metric_title: str) -> PageFigure:
    """Return the interactive figure."""
    figure = PageFigure()
    for row in records(board):
        look = style.look(row["detector"])
        error = None
        if not absent(row["low"]):
            error = {
                "type": "data", "array": [row["high"] - row["estimate"]], "arrayminus": [row["estimate"] - row["low"]],
                "color": look.colour, "thickness": 2, "width": 5,
            }  # fmt: skip
        figure.scatter(
            x=[row["estimate"]], y=[style.safe(row["detector"], 30)], mode="markers", error_x=error,
            name=style.safe(row["detector"]), marker={"symbol": look.marker, "size": 11, "color": look.colour},
            text=[hover(row)], hovertemplate="<b>%{fullData.name}</b><br>%{text}<extra></extra>", showlegend=False,
        )  # fmt: skip
    figure.arrange(
        xaxis={"title": {"text": metric_title}, "rangemode": "tozero"},
        yaxis={"title": {"text": ""}, "automargin": True, "type": "category"},
        height=90 + 34 * max(len(board), 3),
    )
    return figure


def paper(board: pd.DataFrame, metric_title: str) -> PaperFigure:
    """Return the printable figure."""
    figure, (axes,) = style.paper(6.4, 0.9 + 0.3 * max(len(board), 3))
    for place, row in enumerate(records(board)):
        look = style.look(row["detector"])
        if not absent(row["low"]):
            axes.plot([row["low"], row["high"]], [place, place], color=look.colour, linewidth=2)
        axes.plot([row["estimate"]], [place], look.paper_marker, color=look.colour, markersize=7)
    axes.set_ylim(-0.6, len(board) - 0.4)
    axes.set_yticks(range(len(board)), [style.paper_text(name) for name in board["detector"]])
    axes.set_xlabel(metric_title)
    axes.set_xlim(left=0)
    return figure
