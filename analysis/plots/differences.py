"""Differences with intervals: MOMENT detector minus ordinary detector, or a variant minus its base."""

import pandas as pd
from matplotlib.figure import Figure as PaperFigure

from analysis.plots import style
from analysis.plots.page_figure import PageFigure
from analysis.words import Record, absent, band, p_value, records, shorten

_SIGNS = {"better": "circle", "worse": "circle", "not separated": "circle-open", "no claim": "x-thin-open"}


def data(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return the pairs of one source and MOMENT detector, lowest row first: by shots and opponent."""
    frame = pairs.sort_values(["shots", "opponent"], ascending=False).reset_index(drop=True)
    return frame.assign(
        label=[
            f"{shots} shots: {shorten(opponent, 24)}{' (0 labels)' if own == 0 and shots > 0 else ''}"
            for shots, opponent, own in frame[["shots", "opponent", "opponent_shots"]].itertuples(index=False)
        ]
    )


def of_factors(ablations: pd.DataFrame) -> pd.DataFrame:
    """Return the variants of one number of shots, the first row on top, labelled by what they change."""
    frame = ablations.iloc[::-1].reset_index(drop=True)
    named = [
        f"{shorten(detector if how == 'draw by draw' else f'{detector} on {source}', 40)}: {factor} {before} to {after}"
        for detector, source, factor, before, after, how in frame[
            ["detector", "source", "factor", "before", "after", "how"]
        ].itertuples(index=False)
    ]
    return frame.assign(label=named)


def page(pairs: pd.DataFrame, metric_title: str, ahead: str = "the MOMENT detector") -> PageFigure:
    """Return the interactive figure; `ahead` is who is ahead on the right."""
    figure = PageFigure()
    for name, group in pairs.groupby("detector", sort=False):
        look = style.look(str(name))
        figure.scatter(
            x=group["mean"], y=[style.safe(label, 80) for label in group["label"]], mode="markers",
            name=style.safe(name),
            error_x={
                "type": "data", "array": group["high"] - group["mean"], "arrayminus": group["mean"] - group["low"],
                "color": look.colour, "thickness": 2, "width": 4,
            },
            marker={
                "symbol": [_SIGNS[v] for v in group["verdict"]], "size": 10, "color": look.colour, "line": {"width": 2},
            },
            text=[_hover(row) for row in records(group)],
            hovertemplate="%{y}<br>%{text}<extra></extra>",
        )  # fmt: skip
    figure.shape(
        type="line", x0=0, x1=0, y0=0, y1=1, yref="paper", line={"width": 1.5, "dash": "dash", "color": "#8d8d8d"}
    )
    figure.arrange(
        xaxis={"title": {"text": f"difference in {metric_title}<br>right: {ahead} is ahead"}},
        yaxis={"automargin": True, "type": "category", "categoryorder": "array",
               "categoryarray": [style.safe(label, 80) for label in pairs["label"]]},
        showlegend=False,
        height=150 + 24 * max(len(pairs), 3),
    )  # fmt: skip
    return figure


def paper(pairs: pd.DataFrame, metric_title: str, ahead: str = "the MOMENT detector") -> PaperFigure:
    """Return the printable figure."""
    figure, (axes,) = style.paper(7.4, 1.0 + 0.2 * max(len(pairs), 4))
    for place, row in enumerate(records(pairs)):
        colour = style.look(row["detector"]).colour
        filled = row["verdict"] in ("better", "worse")
        if not absent(row["low"]):
            axes.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=1.6)
        axes.plot([row["mean"]], [place], "o", color=colour, markerfacecolor=colour if filled else "white")
    axes.axvline(0, color="0.5", linestyle="--", linewidth=1)
    axes.set_ylim(-0.6, len(pairs) - 0.4)
    axes.set_yticks(range(len(pairs)), [style.paper_text(label, 70) for label in pairs["label"]], fontsize=7)
    axes.set_xlabel(f"difference in {metric_title}\nright: {ahead} is ahead; filled: separated after Holm")
    return figure


def _hover(row: Record) -> str:
    interval = "no interval" if absent(row["low"]) else f"95 % interval {band(row['low'], row['high'], signed=True)}"
    test = "no test" if absent(row["p_holm"]) else f"p = {p_value(row['p_holm'])} after Holm"
    mean = "no difference known" if absent(row["mean"]) else f"{row['mean']:+.3f}"
    lines = [f"{mean}, {interval}", f"n = {row['n']} draws, {test}: {row['verdict']}", row["note"]]
    return "<br>".join(style.safe(line, 140) for line in lines if line)
