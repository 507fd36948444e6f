"""Which fault types are caught: detectors x types, at the deployed threshold."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure as PaperFigure

from analysis.intervals import clopper_pearson
from analysis.plots import style
from analysis.plots.page_figure import PageFigure

_SCALE = [[0.0, "#f3e8d2"], [0.5, "#5fa8b8"], [1.0, "#143d6b"]]
"""Light to dark: readable in grey and by colour-blind people."""


def data(caught: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one source and number of shots with `share` of events caught, detectors in order.

    `low` and `high` are its Clopper-Pearson interval over faults, of the mean number caught, rounded.
    """
    order = style.ordered(caught["detector"])
    of_faults = [
        clopper_pearson(round(number), int(events))
        for number, events in zip(caught["events_caught"], caught["events"], strict=True)
    ]
    low, high = np.array([(interval.low, interval.high) for interval in of_faults], dtype=np.float64).reshape(-1, 2).T
    frame = caught.assign(
        share=caught["events_caught"] / caught["events"],
        low=low,
        high=high,
        place=[order.index(name) for name in caught["detector"]],
    )
    return frame.sort_values(["place", "fault_type"], ascending=[False, True]).reset_index(drop=True)


def page(caught: pd.DataFrame) -> PageFigure:
    """Return the interactive figure."""
    detectors = list(dict.fromkeys(caught["detector"]))
    types = sorted(caught["fault_type"].unique())
    share, events = _grid(caught, detectors, types, "share"), _grid(caught, detectors, types, "events")
    beside = [_grid(caught, detectors, types, name) for name in ("window_recall", "low", "high", "draws")]
    labels = [f"{style.safe(t, 24)} ({n:.0f})" for t, n in zip(types, np.nanmax(events, axis=0), strict=True)]
    figure = PageFigure()
    figure.heatmap(
        z=share, x=labels, y=[style.safe(d, 30) for d in detectors], zmin=0, zmax=1,
        colorscale=_SCALE, customdata=np.dstack([events, *beside]), xgap=2, ygap=2, texttemplate="%{z:.0%}",
        colorbar={"title": {"text": "share of<br>faults caught"}, "tickformat": ".0%"},
        hovertemplate="<b>%{y}</b>, %{x}<br>caught %{z:.0%} of %{customdata[0]:.0f} faults "
        "(95 % over faults, Clopper-Pearson: %{customdata[2]:.0%} to %{customdata[3]:.0%})"
        "<br>%{customdata[1]:.0%} of their windows alarm; n = %{customdata[4]:.0f} draws<extra></extra>",
    )  # fmt: skip
    figure.arrange(
        xaxis={
            "title": {"text": "fault type (faults in the test part)"},
            "tickangle": -35,
            "automargin": True,
            "type": "category",
        },
        yaxis={"automargin": True, "type": "category"},
        height=220 + 30 * len(detectors),
    )
    return figure


def paper(caught: pd.DataFrame) -> PaperFigure:
    """Return the printable figure."""
    detectors = list(dict.fromkeys(caught["detector"]))
    types = sorted(caught["fault_type"].unique())
    figure, (axes,) = style.paper(1.8 + 0.6 * max(len(types), 4), 1.4 + 0.32 * len(detectors))
    axes.grid(visible=False)
    share = _grid(caught, detectors, types, "share")
    image = axes.imshow(share, vmin=0, vmax=1, cmap="YlGnBu", aspect="auto", origin="lower")
    for (y, x), value in np.ndenumerate(share):
        if np.isfinite(value):
            axes.text(
                x, y, f"{value:.0%}", ha="center", va="center", fontsize=7, color="white" if value > 0.6 else "black"
            )
    axes.set_xticks(range(len(types)), [style.paper_text(t, 20) for t in types], rotation=35, ha="right", fontsize=7)
    axes.set_yticks(range(len(detectors)), [style.paper_text(d) for d in detectors], fontsize=7)
    figure.colorbar(image, ax=axes, label="share of faults caught")
    return figure


def _grid(caught: pd.DataFrame, detectors: list[str], types: list[str], column: str) -> np.ndarray:
    table = caught.pivot_table(index="detector", columns="fault_type", values=column)
    return table.reindex(index=detectors, columns=types).to_numpy(dtype=float)
