"""What a detector loses on a kind of fault that it never saw: detectors x kinds, seen and unseen."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as PaperFigure

from analysis.generalisation import EVERY, LEFT_OUT
from analysis.plots import style
from analysis.plots.page_figure import PageFigure

_SCALE = [[0.0, "#8c3b0c"], [0.5, "#f5f2ea"], [1.0, "#1d5a8c"]]
"""Brown loses, blue gains: told apart by colour-blind people, and by their signs in grey."""


def data(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one source and number of shots, detectors in order.

    A mean over some of the kinds is left out: beside means over all of them it would mislead.
    """
    order = style.ordered(frame["detector"])
    frame = frame[(frame["held_out"] != EVERY) | ~frame["note"].str.contains(LEFT_OUT, regex=False)]
    placed = frame.assign(place=[order.index(name) for name in frame["detector"]])
    return placed.sort_values(["place"], ascending=False, kind="stable").reset_index(drop=True)


def page(frame: pd.DataFrame, title: str) -> PageFigure:
    """Return the interactive figure."""
    detectors, kinds = list(dict.fromkeys(frame["detector"])), list(dict.fromkeys(frame["held_out"]))
    names = ["difference", "unseen", "seen", "low", "high", "n", "test_events"]
    difference, *others = (_grid(frame, detectors, kinds, name) for name in names)
    most = _most(difference)
    figure = PageFigure()
    figure.heatmap(
        z=difference, x=[style.safe(k, 24) for k in kinds], y=[style.safe(d, 30) for d in detectors],
        zmin=-most, zmax=most, colorscale=_SCALE, customdata=np.dstack(others), xgap=2, ygap=2,
        text=_texts(others[0], others[1], "<br>"), texttemplate="%{text}",  # cells take no customdata
        colorbar={"title": {"text": "unseen<br>minus seen"}},
        hovertemplate="<b>%{y}</b>, %{x}<br>" + title + " unseen %{customdata[0]:.3f}, seen %{customdata[1]:.3f}"
        "<br>difference %{z:+.3f} (%{customdata[2]:+.3f} to %{customdata[3]:+.3f}), %{customdata[4]:.0f} draws"
        "<br>%{customdata[5]:.0f} test faults<extra></extra>",
    )  # fmt: skip
    figure.arrange(
        xaxis={"title": {"text": "held-out kind of fault"}, "tickangle": -35, "automargin": True, "type": "category"},
        yaxis={"automargin": True, "type": "category"},
        height=240 + 40 * len(detectors),
    )
    return figure


def paper(frame: pd.DataFrame, title: str) -> PaperFigure:
    """Return the printable figure."""
    detectors, kinds = list(dict.fromkeys(frame["detector"])), list(dict.fromkeys(frame["held_out"]))
    difference, unseen, seen = (_grid(frame, detectors, kinds, name) for name in ("difference", "unseen", "seen"))
    figure, (axes,) = style.paper(2.2 + 0.9 * max(len(kinds), 4), 1.4 + 0.4 * len(detectors))
    axes.grid(visible=False)
    most = _most(difference)
    image = axes.imshow(difference, vmin=-most, vmax=most, cmap="BrBG", aspect="auto", origin="lower")
    for y, row in enumerate(_texts(unseen, seen, "\n")):
        for x, text in enumerate(row):
            axes.text(x, y, text, ha="center", va="center", fontsize=6)
    axes.set_xticks(range(len(kinds)), [style.paper_text(k, 20) for k in kinds], rotation=35, ha="right", fontsize=7)
    axes.set_yticks(range(len(detectors)), [style.paper_text(d) for d in detectors], fontsize=7)
    figure.colorbar(image, ax=axes, label=f"{title}: unseen minus seen")
    return figure


def _texts(unseen: np.ndarray, seen: np.ndarray, between: str) -> list[list[str]]:
    """Return what stands in the cells: unseen, and seen in brackets; nothing where there is no score."""
    return [
        [f"{u:.2f}{between}({s:.2f})" if np.isfinite(u) else "" for u, s in zip(*rows, strict=True)]
        for rows in zip(unseen, seen, strict=True)
    ]


def _most(difference: np.ndarray) -> float:
    """Return the end of a scale around zero."""
    return max(0.05, float(np.nanmax(np.abs(difference)))) if np.isfinite(difference).any() else 0.05


def _grid(frame: pd.DataFrame, detectors: list[str], kinds: list[str], column: str) -> np.ndarray:
    table = frame.pivot_table(index="detector", columns="held_out", values=column, dropna=False)
    return table.reindex(index=detectors, columns=kinds).to_numpy(dtype=float)
