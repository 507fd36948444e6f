"""`python -m trainables.data inspect`: print the audit of a table and write it as JSON and as a page."""

import json
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from trainables.data.inspection.inspection import Inspection, inspect_series
from trainables.data.inspection.stack import stack
from trainables.data.inspection.text import print_inspection
from trainables.data.readers import READERS, load_source
from trainables.errors import DataError, TrainablesError
from trainables.settings import DataSettings, SourceName

SIMULATED = "simulated"


def inspect(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...", help="CSV, CSV.gz or Parquet; several tables of one system are compared; or: simulated."
        ),
    ],
    incidents: Annotated[
        Path | None, typer.Option(help="CSV with start, end or duration, service, type; for a table without labels.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Reader of PATH, where it is no table; convert --help lists them.")
    ] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA zone of times without an offset; default UTC.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for NAME.inspection.json and NAME.inspection.html.")] = Path(),
) -> None:
    """Say what is in a table, what is odd about it, and what it can prove; write JSON and a page.

    \b
    python -m trainables.data inspect metrics.parquet --incidents incidents.csv
    python -m trainables.data inspect monday.csv tuesday.csv --output audit
    """  # noqa: D301  (typer's mark for lines that stay as they are)
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a file has no width: nothing is cut or wrapped there
    try:
        inspection = inspect_paths(paths, incidents, timezone, source)
        print_inspection(inspection, console)
        written = write(inspection, output)
    except TrainablesError as err:
        sys.stderr.write(f"{err}\n")
        raise typer.Exit(2) from err
    console.print(f"\nwritten: {', '.join(map(str, written))}", soft_wrap=True, highlight=False, markup=False)


def inspect_paths(
    paths: list[str], incidents: Path | None = None, timezone: str | None = None, source: str | None = None
) -> Inspection:
    """Return the audit of one table, or of several of one system together.

    Raises
    ------
    DataError
        A table cannot be read; incidents with several tables.
    """
    if incidents is not None and len(paths) > 1:
        raise DataError("--incidents goes with one table; inspect them one by one, or join them first")
    sources = [settings_of(path, incidents, timezone, source) for path in paths]
    return inspect_series(stack([load_source(source) for source in sources]), sources[0])


def write(inspection: Inspection, folder: Path) -> tuple[Path, ...]:
    """Write the audit as JSON and as a self-contained page; return the paths.

    Raises
    ------
    DataError
        The folder cannot be written to.
    """
    from trainables.data.inspection.page import render  # noqa: PLC0415  (matplotlib takes a second to import)

    stem = inspection.facts.name[:80]
    text = json.dumps(inspection.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    files = {folder / f"{stem}.inspection.json": text, folder / f"{stem}.inspection.html": render(inspection)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            path.write_text(content, encoding="utf-8")
    except OSError as err:
        raise DataError(f"{folder}: cannot be written: {err.strerror}; choose another folder with --output") from err
    return tuple(files)


def settings_of(path: str, incidents: Path | None, timezone: str | None, source: str | None) -> DataSettings:
    """Return the settings of a source as the command line names it: `simulated`, or a path and its reader.

    Raises
    ------
    DataError
        An unknown reader; incidents for simulated telemetry.
    """
    if path == SIMULATED and source is None:
        if incidents is not None:
            raise DataError("--incidents goes with a table; simulated telemetry has its labels")
        return DataSettings()
    name = source or "table"
    if name not in READERS:
        near = get_close_matches(name, READERS, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise DataError(f"--source {name}: no such reader{hint or ';'} known: {', '.join(READERS)}")
    return DataSettings(source=cast("SourceName", name), path=Path(path), incidents=incidents, timezone=timezone)
