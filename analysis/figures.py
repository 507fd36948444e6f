"""Figures of the report: interactive variants for the page, SVG and PNG files for papers."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure as PaperFigure

from analysis.plots.page_figure import PageFigure
from analysis.views import Control, FigureView, Option
from analysis.words import shorten

Choice = tuple[str, ...]

# A fixed salt and no dates: the same rows make the same bytes.
_SVG = {"svg.hashsalt": "report", "svg.fonttype": "none", "pdf.fonttype": 42}


@dataclass(slots=True)
class FigureDraft:
    """Variants of one figure, gathered before they are written.

    Attributes
    ----------
    id
        Name in the page and of its files.
    labels
        What each part of a choice is called, e.g. ("source", "metric").
    """

    id: str
    labels: Sequence[str]
    pages: dict[Choice, PageFigure] = field(default_factory=dict)
    papers: dict[str, PaperFigure] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def add(
        self,
        choice: Choice,
        page: PageFigure,
        paper: Callable[[], PaperFigure] | None = None,
        suffix: Sequence[str] = (),
    ) -> None:
        """Add a variant; `paper` makes its printable form, kept in files that end in `suffix`."""
        self.pages[choice] = page
        if paper is not None:
            self.papers[slug("-".join([self.id, *suffix]))] = paper()

    def view(self, folder: Path, alt: str, caption: str) -> FigureView:
        """Write the files below `folder`/figures and return what the page shows; pointless controls are left out."""
        files = [name for stem, paper in self.papers.items() for name in _save(paper, folder, stem)]
        parts = [list(dict.fromkeys(choice[n] for choice in self.pages)) for n in range(len(self.labels))]
        kept = [n for n, values in enumerate(parts) if len(values) > 1]
        controls = [
            Control(self.labels[n], [Option(v, shorten(self.texts.get(v, v), 60)) for v in parts[n]]) for n in kept
        ]
        store = {"|".join(choice[n] for n in kept): page for choice, page in self.pages.items()}
        return FigureView(
            id=self.id,
            alt=alt,
            caption=caption,
            store=_script_json(store),
            controls=controls,
            pictures=[name for name in files if name.endswith(".svg")],
            files=files,
        )


def slug(text: str) -> str:
    """Return a file name of at most 80 letters, digits and hyphens.

    Examples
    --------
    >>> slug("learning_curve-<Train Ticket>/../x")
    'learning_curve-train-ticket-x'
    """
    return re.sub(r"[^a-z0-9_]+", "-", text.lower()).strip("-")[:80]


def _save(figure: PaperFigure, folder: Path, stem: str) -> list[str]:
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    names = [f"figures/{stem}.svg", f"figures/{stem}.pdf"]
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
    figure.set_layout_engine("none")  # the layout is found: not again for every format
    with mpl.rc_context(_SVG):
        figure.savefig(folder / names[0], metadata={"Date": None, "Creator": None})
        figure.savefig(folder / names[1], metadata={"CreationDate": None, "Creator": None, "Producer": None})
    return names


def _script_json(store: Mapping[str, PageFigure]) -> Markup:
    """Return JSON that no content can end the script element of."""
    parts = [f"{json.dumps(key)}:{page.json()}" for key, page in store.items()]
    text = "{" + ",".join(parts) + "}"
    for character, escaped in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(character, escaped)
    return Markup(text)  # noqa: S704  (escaped just above)
