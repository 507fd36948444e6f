"""`python -m analysis.report RUN [RUN ...]`: rows and score files -> index.html, report.md, figures, CSV and LaTeX."""

import gc
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from analysis.errors import AnalysisError
from analysis.figures import FigureWriter
from analysis.findings import Findings, find
from analysis.load import load_sweep
from analysis.page import make_page

TEMPLATES = Path(__file__).parent / "templates"

PROCESSES = 2 if sys.platform == "linux" else 0
"""They write figures for `python -m analysis.report`; elsewhere forking is not safe, or not there."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def build_report(runs: Sequence[Path], *, output: Path | None = None, mixed: bool = False, processes: int = 0) -> Path:
    """Build the report of one run, or of several together, and return the path of its `index.html`.

    Parameters
    ----------
    runs
        Run folders.
    output
        Folder of the report; default `report/` in the run, or `report-of-N-runs/` in the first of several.
        Its `index.html`, `report.md`, `tables.tex`, `figures/` and `tables/` are replaced, nothing else.
    mixed
        Compare runs although their fingerprints differ.
    processes
        Processes that write figure files beside this one, see `figures.FigureWriter`.

    Raises
    ------
    AnalysisError
        Not a run folder, no rows, unlike runs, or the folder cannot be written.
    """
    found = find(load_sweep(runs, mixed=mixed))
    folder = output or runs[0] / ("report" if len(runs) == 1 else f"report-of-{len(runs)}-runs")
    try:
        _clear(folder)
        with FigureWriter(folder, processes) as writer:
            page = make_page(found, writer)
            write_tables(found, folder / "tables")
            for name, text in render(page_values={"page": page}).items():
                (folder / name).write_text(text, encoding="utf-8")
    except BrokenProcessPool as err:
        raise AnalysisError(f"{folder}: a process that wrote figures was ended from outside; is memory short?") from err
    except OSError as err:
        raise AnalysisError(f"{folder}: cannot write the report: {err.strerror or err}") from err
    return folder / "index.html"


def write_tables(found: Findings, folder: Path) -> None:
    """Write every table as CSV, full precision."""
    folder.mkdir(parents=True, exist_ok=True)
    levels = [frame.assign(metric=name) for name, frame in found.levels.items()]
    frames = {
        "levels": pd.concat(levels, ignore_index=True),
        "leaderboard": found.board,
        "pairs": found.pairs,
        "headlines": found.headlines,
        "separation": found.separation,
        "ablations": found.ablations,
        "labels_needed": found.needs,
        "break_even": found.pays_off,
        "unseen_kinds": found.generalisation,
        "fault_types": found.caught,
        "over_fault_types": found.over_types,
        "delays": found.delays,
        "caught_in_time": found.caught_in_time,
        "worst": found.worst,
        "alerts": found.alerts,
        "search_not_for_claims": found.candidates,
        "optimism": found.optimism,
        "importance_not_for_claims": found.importances,
        "cost": found.costs,
        "failures": found.failures,
    }
    for name, frame in frames.items():
        frame.to_csv(folder / f"{name}.csv", index=False)


def render(page_values: Mapping[str, object]) -> dict[str, str]:
    """Return file name -> text: the page, its Markdown twin, its tables in LaTeX; what comes from data is escaped."""
    html = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    plain = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=False,  # noqa: S701  (Markdown: every text goes through its own filter)
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    plain.filters |= {"md": markdown_text, "tex": latex_text}
    return {
        "index.html": html.get_template("index.html.j2").render(
            css=_own("report.css"), js=_own("report.js"), plotly=Markup(get_plotlyjs()), **page_values  # noqa: S704
        ),
        "report.md": plain.get_template("report.md.j2").render(**page_values),
        "tables.tex": plain.get_template("tables.tex.j2").render(**page_values),
    }  # fmt: skip


def markdown_text(text: object) -> str:
    r"""Return text on one line with everything escaped that Markdown or HTML would obey.

    Examples
    --------
    >>> markdown_text("a | <b> [x](y) moment_lora")
    'a \\| &lt;b&gt; \\[x\\](y) moment_lora'
    """
    line = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\|`*\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", line)


_TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
       "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
)  # fmt: skip


def latex_text(text: object) -> str:
    r"""Return text on one line with everything escaped that LaTeX would obey.

    Examples
    --------
    >>> latex_text("moment_lora 95 % of $x^2$")
    'moment\\_lora 95 \\% of \\$x\\textasciicircum{}2\\$'
    """
    return " ".join(str(text).split()).translate(_TEX)


def _own(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704  (a file of this package)


def _clear(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("figures", "tables"):
        shutil.rmtree(folder / name, ignore_errors=True)


@app.command(epilog="Example: python -m analysis.report runs/fewshot-20260301T060000Z")
def main(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders; several are compared in one report.")
    ],
    output: Annotated[Path | None, typer.Option(help="Folder of the report; default: report/ in the run.")] = None,
    mixed: Annotated[bool, typer.Option("--mixed", help="Compare runs whose code, data or weights differ.")] = False,
) -> None:
    """Rebuild the report of a sweep from its rows and score files: index.html, report.md, tables.tex, figures."""
    gc.set_threshold(100_000)  # rows and figures are many small things that all stay: looking for garbage costs a tenth
    try:
        index = build_report(runs, output=output, mixed=mixed, processes=PROCESSES)
    except AnalysisError as err:
        typer.echo(str(err), err=True)
        raise typer.Exit(2) from err
    typer.echo(str(index))


if __name__ == "__main__":
    app()
