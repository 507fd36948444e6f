"""Figures of the report: interactive variants for the page, SVG and PDF files for papers."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure as PaperFigure

from analysis.plots.page_figure import PageFigure
from analysis.views import Control, FigureView, Option
from analysis.words import shorten

Choice = tuple[str, ...]

# A fixed salt and no dates: the same rows make the same bytes.
_SVG = {"svg.hashsalt": "report", "svg.fonttype": "none", "pdf.fonttype": 42}


class FigureWriter:
    """Writes figures for papers, of a report's time a third: here, or in processes beside the report.

    Parameters
    ----------
    folder
        Folder of the report; files go to `figures` in it.
    processes
        How many are forked from this one at its first figure; a program that runs Python threads must not ask for
        any, nor a system that does not fork. 0: figures are written here.
    """

    def __init__(self, folder: Path, processes: int = 0) -> None:
        self._folder = folder
        self._pool = ProcessPoolExecutor(processes, mp_context=get_context("fork")) if processes else None
        self._pending: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait for the files that are not written yet; what went wrong with one is raised here."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            for future in self._pending:
                future.result()

    def write(self, figure: PaperFigure, stem: str) -> list[str]:
        """Write a figure as SVG and PDF, or begin to, and return the files' names below the folder."""
        (self._folder / "figures").mkdir(parents=True, exist_ok=True)
        names = [f"figures/{stem}.svg", f"figures/{stem}.pdf"]
        if self._pool is None:
            _save(figure, self._folder, names)
        else:
            self._pending.append(self._pool.submit(_save, figure, self._folder, names))
        return names


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

    def view(self, writer: FigureWriter, alt: str, caption: str) -> FigureView:
        """Have the files written and return what the page shows; pointless controls are left out."""
        files = [name for stem, paper in self.papers.items() for name in writer.write(paper, stem)]
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


def _save(figure: PaperFigure, folder: Path, names: Sequence[str]) -> None:
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
    figure.set_layout_engine("none")  # the layout is found: not again for every format
    with mpl.rc_context(_SVG):
        figure.savefig(folder / names[0], metadata={"Date": None, "Creator": None})
        figure.savefig(folder / names[1], metadata={"CreationDate": None, "Creator": None, "Producer": None})


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
