"""What all figures share: one look for each detector, safe text, and an axis that can show zero shots."""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as PaperFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import ArrayLike, NDArray

from analysis.roles import role
from analysis.words import shorten

PAPER_DPI = 150


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, marker and line of a detector: told apart without colour by marker and dash."""

    colour: str
    marker: str
    dash: str
    paper_marker: str
    paper_dash: str
    width: float


_DASHES = {"solid": "-", "dash": "--", "dot": ":", "dashdot": "-."}
_MARKERS = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "triangle-down": "v", "x": "x",
    "cross": "P", "star": "*", "pentagon": "p", "hexagon": "h", "triangle-left": "<", "triangle-right": ">",
}  # fmt: skip


def _look(colour: str, marker: str, dash: str = "solid", width: float = 2.0) -> Look:
    return Look(colour, marker, dash, _MARKERS[marker], _DASHES[dash], width)


# Tones from Okabe and Ito (2008) and Tol's muted set, shifted so that each has a contrast of at least 3:1
# against both the light and the dark page.
_LOOKS = {
    "moment_lora": _look("#d55e00", "circle", width=3),
    "moment_linear_probe": _look("#b8860b", "square", "dash", width=3),
    "moment_zero_shot": _look("#c8649b", "diamond", width=3),
    "random_forest": _look("#2f7fc1", "triangle-up"),
    "gradient_boosting": _look("#1f9bb5", "triangle-down"),
    "logistic_regression": _look("#009e73", "cross"),
    "isolation_forest": _look("#8a6fd1", "pentagon"),
    "lstm_ae": _look("#9a7b4f", "hexagon"),
    "external": _look("#c0453a", "x", "dash"),
    "pca": _look("#6f8f2f", "triangle-left", "dash"),
    "moving_variance": _look("#7d8796", "triangle-right", "dash"),
    "always_alarm": _look("#8d8d8d", "x", "dashdot", 1.5),
    "random": _look("#8d8d8d", "star", "dot", 1.5),
}
_SPARE = [("#b5547a", "circle"), ("#4f8f8b", "square"), ("#a65e2e", "diamond"), ("#6a7fd0", "triangle-up"),
          ("#7f9f3f", "cross"), ("#b06fc0", "pentagon")]  # fmt: skip


def look(detector: str) -> Look:
    """Return the look of a detector: fixed for the built-in ones, from the name for others."""
    if detector in _LOOKS:
        return _LOOKS[detector]
    colour, marker = _SPARE[sum(detector.encode()) % len(_SPARE)]
    return _look(colour, marker, "solid", 3 if role(detector) == "foundation" else 2)


def ordered(detectors: Iterable[str]) -> list[str]:
    """Return detectors in the order of legends: foundation, ordinary, floors; known ones first."""
    known = list(_LOOKS)
    rank = {"foundation": 0, "ordinary": 1, "floor": 2}
    return sorted(set(detectors), key=lambda name: (rank[role(name)], known.index(name) if name in known else 99, name))


def safe(text: object, most: int = 48) -> str:
    """Return text for plotly labels: shortened in its middle, and markup shown rather than obeyed."""
    return html.escape(shorten(str(text), most), quote=False)


def paper_text(text: object, most: int = 40) -> str:
    """Return text for matplotlib labels: shortened, and `$` shown rather than read as mathematics."""
    return shorten(str(text), most).replace("$", r"\$")


def label_scale(labels: ArrayLike, smallest: float) -> NDArray[np.float64]:
    """Return positions on an axis of labels: straight near zero, logarithmic beyond (asinh), so that 0 has a place.

    `smallest` is the smallest positive number of labels shown.
    """
    return np.arcsinh(np.asarray(labels, dtype=np.float64) / max(smallest, 1e-9) * 2)


def paper(width: float = 7.0, height: float = 4.2, panels: int = 1) -> tuple[PaperFigure, Sequence[Axes]]:
    """Return a printable figure in inches with its axes; plain white, no global state of matplotlib touched."""
    figure = PaperFigure(figsize=(width, height), dpi=PAPER_DPI, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(visible=True, alpha=0.25, linewidth=0.6)
        axis.set_axisbelow(b=True)
    return figure, list(axes)
