"""What the page consists of: plain values that the templates print, without any calculation left in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from analysis.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Header:
    """A column: its name, whether it holds text, and what it means (shown on hover)."""

    name: str
    text: bool = False
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class TableCell:
    """Text of a cell; `kind` is a style, `colour` the dot of a detector, `tag` a remark behind it."""

    text: str
    kind: str = ""
    colour: str = ""
    tag: str = ""


@dataclass(frozen=True, slots=True)
class TableRow:
    """Cells in the order of the headers; `kind` is a style ("reference", "first")."""

    cells: Sequence[TableCell]
    kind: str = ""


@dataclass(frozen=True, slots=True)
class TableView:
    """A table of the page."""

    caption: str
    header: Sequence[Header]
    rows: Sequence[TableRow]


@dataclass(frozen=True, slots=True)
class Option:
    """One choice of a control."""

    value: str
    text: str


@dataclass(frozen=True, slots=True)
class Control:
    """A drop-down beside a figure."""

    label: str
    options: Sequence[Option]


@dataclass(frozen=True, slots=True)
class FigureView:
    """A figure of the page.

    `store` is JSON (safe inside a script element): the choices of the controls, joined by "|", -> data and layout.
    `pictures` are the SVG files, `files` all files, relative to the page.
    """

    id: str
    alt: str
    caption: str
    store: Markup
    controls: Sequence[Control] = ()
    pictures: Sequence[str] = ()
    files: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page; `folded` tables are shown on demand."""

    id: str
    short: str
    title: str
    text: Sequence[str] = ()
    figures: Sequence[FigureView] = ()
    tables: Sequence[TableView] = ()
    folded: Sequence[TableView] = ()

    @property
    def all_tables(self) -> list[TableView]:
        """Tables in the order of the page."""
        return [*self.tables, *self.folded]


@dataclass(frozen=True, slots=True)
class Fact:
    """A number of the header."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Page:
    """The whole report."""

    title: str
    subtitle: str
    banners: Sequence[str]
    verdict: Verdict
    summary: TableView
    facts: Sequence[Fact]
    sections: Sequence[Section]
    footer: str
