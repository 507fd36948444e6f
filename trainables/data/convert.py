"""`python -m trainables.data convert`: any source that has a reader becomes the canonical Parquet table."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, cast

import typer
from pydantic import ValidationError

from trainables.data.canonical import Written, write_canonical
from trainables.data.readers import READERS
from trainables.errors import DataError
from trainables.settings import DataSettings, SourceName


def sources_text() -> str:
    """Return one line and an example for each source, for `--help`."""
    lines = []
    for name, reader in READERS.items():
        facts = [f"streams {reader.streams}", *(["labelled"] if reader.labelled else [])]
        lines += [f"  {name}: {reader.about} [{', '.join(facts)}]"]
        lines += [f"      convert {reader.example} --to table.parquet"]
    return "\n".join(lines)


HELP = f"""Write telemetry of SOURCE, at PATH, as the canonical Parquet table.

\b
Sources (streams by recording: one in memory at a time; streams by row: large values lie in a file, times and labels in
memory; labelled: brings its own labels):
{sources_text()}

The others come unlabelled, --incidents FILE labels them: CSV with start, end or duration, service, type. What reading
changed or noticed is printed and kept in the file; so is the fact that telemetry is simulated.
"""


def convert(
    source: Annotated[str, typer.Argument(help="Name of a source, see above.")],
    to: Annotated[Path, typer.Option(help="Table to write, .parquet.")],
    path: Annotated[Path | None, typer.Argument(help="Its file or folder; none for simulated.")] = None,
    incidents: Annotated[Path | None, typer.Option(help="Incidents that label an unlabelled source.")] = None,
    timezone: Annotated[str | None, typer.Option(help="IANA zone of times that carry no offset; default UTC.")] = None,
    rows: Annotated[int | None, typer.Option(help="Rows of simulated telemetry.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of simulated telemetry.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the table if it exists.")] = False,
) -> None:
    """Convert telemetry to the canonical table; exit code 2 and one message if that is not possible."""
    try:
        data = _settings(source, path, incidents, timezone, rows, seed)
        _check_target(to, force=force)
        written = write_canonical(READERS[data.source], data, to)
    except DataError as err:
        typer.echo(str(err), err=True)
        raise typer.Exit(2) from err
    typer.echo(_summary(written, to))


def _settings(
    source: str, path: Path | None, incidents: Path | None, timezone: str | None, rows: int | None, seed: int | None
) -> DataSettings:
    if source not in READERS:
        near = get_close_matches(source, READERS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise DataError(f"unknown source {source!r}; {hint}known: {', '.join(READERS)}")
    if source != "simulated" and (rows is not None or seed is not None):
        raise DataError(f"--rows and --seed are for simulated, not for {source}")
    given = {"path": path, "incidents": incidents, "timezone": timezone, "rows": rows, "seed": seed}
    try:
        return DataSettings.model_validate(
            {"source": cast("SourceName", source)} | {key: value for key, value in given.items() if value is not None}
        )
    except ValidationError as err:
        first = err.errors()[0]
        where = "".join(f"--{part}: " for part in first["loc"])
        said = first["msg"].removeprefix("Value error, ").replace(" (or --data PATH)", "")
        raise DataError(f"{where}{said}") from err


def _check_target(to: Path, *, force: bool) -> None:
    if to.suffix.lower() not in {".parquet", ".pq"}:
        raise DataError(f"--to {to}: the table is written as Parquet; name it .parquet")
    if to.exists() and not force:
        raise DataError(f"--to {to}: exists; choose another name or add --force")
    if not to.parent.is_dir():
        raise DataError(f"--to {to}: there is no folder {to.parent}")


def _summary(written: Written, to: Path) -> str:
    kind = "simulated telemetry" if written.simulated else "telemetry"
    types = ", ".join(f"{name} {count}" for name, count in sorted(written.events.items()))
    labels = ", ".join(
        f"{written.labels[label]:,} {word}"
        for label, word in ((0, "normal"), (1, "fault"), (-1, "unlabelled"))
        if written.labels[label]
    )
    lines = [
        f"{to}: {kind}, {written.rows:,} rows x {len(written.columns):,} features, {to.stat().st_size / 1e6:.1f} MB",
        f"segments: {written.segments}; faults: {sum(written.events.values())}" + (f" ({types})" if types else ""),
        f"rows: {labels}",
        *(f"note: {note}" for note in written.notes),
    ]
    return "\n".join(lines)
