"""How soon faults are caught: the share of all faults caught within a time, and the share that lasts as long."""

import pandas as pd
from matplotlib.figure import Figure as PaperFigure

from analysis.plots import style
from analysis.plots.page_figure import PageFigure
from analysis.words import seconds

_LASTING = "faults that last as long"
_AXIS = "seconds since the fault's first scored window"


def data(curve: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of one source and number of shots (rows of `delays.CURVE`), in order of time."""
    return curve.sort_values(["detector", "seconds"]).reset_index(drop=True)


def page(curve: pd.DataFrame) -> PageFigure:
    """Return the interactive figure: steps up for each detector, steps down for faults that end."""
    figure = PageFigure()
    for name in style.ordered(curve["detector"]):
        mine, look = curve[curve["detector"] == name], style.look(name)
        told = mine.assign(within=mine["seconds"].map(seconds))[["lasting", "faults", "draws", "within"]]
        figure.scatter(
            x=mine["seconds"], y=mine["caught"], mode="lines", name=style.safe(name),
            line={"color": look.colour, "width": look.width, "dash": look.dash, "shape": "hv"},
            customdata=told.to_numpy(),
            hovertemplate="<b>%{fullData.name}</b><br>%{y:.0%} of %{customdata[1]} faults caught within "
            "%{customdata[3]}<br>%{customdata[0]:.0%} last as long; n = %{customdata[2]} draws<extra></extra>",
        )  # fmt: skip
    lasting = _lasting(curve)
    figure.scatter(
        x=lasting["seconds"], y=lasting["lasting"], mode="lines", name=_LASTING,
        line={"color": "#8d8d8d", "width": 1.5, "dash": "longdash", "shape": "vh"},
        customdata=lasting["seconds"].map(seconds),
        hovertemplate="%{y:.0%} of the faults last %{customdata}<extra></extra>",
    )  # fmt: skip
    figure.arrange(
        xaxis={"title": {"text": _AXIS}, "rangemode": "tozero"},
        yaxis={"title": {"text": "share of all faults"}, "range": [-0.02, 1.04], "tickformat": ".0%"},
        height=440,
    )
    return figure


def paper(curve: pd.DataFrame) -> PaperFigure:
    """Return the printable figure."""
    figure, (axes,) = style.paper(7.0, 4.0)
    for name in style.ordered(curve["detector"]):
        mine, look = curve[curve["detector"] == name], style.look(name)
        axes.step(
            mine["seconds"], mine["caught"], where="post", color=look.colour, linestyle=look.paper_dash,
            linewidth=look.width / 2, label=style.paper_text(name),
        )  # fmt: skip
    lasting = _lasting(curve)
    axes.step(
        lasting["seconds"], lasting["lasting"], where="pre", color="#8d8d8d", linestyle=(0, (8, 3)), linewidth=0.9,
        label=_LASTING,
    )  # fmt: skip
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlim(left=0)
    axes.set_xlabel(_AXIS)
    axes.set_ylabel("share of all faults")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def _lasting(curve: pd.DataFrame) -> pd.DataFrame:
    """Return how many faults last as long: the same for all detectors that were judged on the same test part."""
    mine: pd.DataFrame = curve[curve["detector"] == curve["detector"].iloc[0]]
    return mine
