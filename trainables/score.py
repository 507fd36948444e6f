"""Score new telemetry with a saved winner: `python -m trainables.score RUN --detector NAME --shots K --data FILE`.

Exit code 0 if every row got its answer, 2 if the input is bad: nothing is written then.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from trainables.choose_winner import choose, find_winners, listing
from trainables.errors import TrainablesError, WinnerError
from trainables.scoring import NewTelemetry, ScoredTelemetry, chunks, read_telemetry, score_telemetry
from trainables.winner import load_winner
from trainables.winner_manifest import Manifest, installed

KINDS = (".csv", ".parquet")
"""Suffixes that can be written."""

OWN_CHANNELS = "the largest errors that the score is made of"
DEVIATIONS = (
    "furthest from the reference over the last 8 steps, in its standard deviations; "
    "they describe the window, not what the detector looked at"
)

EXAMPLES = """
Examples:

\b
  python -m trainables.score runs/NAME
      lists the winners of a run
\b
  python -m trainables.score runs/NAME --detector random_forest --shots 100 --data telemetry.csv --out scores.csv
      a score, an alarm and the channels behind it for every row
\b
  python -m trainables.score winners/CELL --data telemetry.parquet --out scores.parquet
      the same with the folder of one winner, which may have been copied to another machine
"""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command(epilog=EXAMPLES)
def main(
    run: Annotated[Path, typer.Argument(help="Run folder, or the folder of one winner in it.")],
    detector: Annotated[str | None, typer.Option(help="Name of the detector, as in the sweep file.")] = None,
    shots: Annotated[int | None, typer.Option(help="Labelled windows it was fitted on.")] = None,
    source: Annotated[str | None, typer.Option(help="Source, where the sweep had several.")] = None,
    fold: Annotated[int | None, typer.Option(help="Fold, where the sweep had several.")] = None,
    data: Annotated[Path | None, typer.Option(help="New telemetry: CSV, CSV.gz or Parquet.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "--output", help="Where to write; .csv or .parquet. Default: print CSV.")
    ] = None,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of timestamps without an offset. Default: as in the sweep.")
    ] = None,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where torch computes.")] = "cpu",
) -> None:
    """Score every row of new telemetry with a winner of a sweep; without --data list the winners."""
    try:
        found = find_winners(run)
        if data is None:
            typer.echo(listing(found))
            return
        _check_output(out)
        chosen = choose(found, detector, shots, source, fold)
        telemetry = read_telemetry(data, chosen.manifest, timezone)
        fitted = load_winner(chosen.folder, chosen.manifest, device)
        scored = score_telemetry(fitted, chosen.manifest, telemetry, on_chunk=_with_progress(telemetry))
        write_rows(scored.rows, out)
    except TrainablesError as err:
        typer.echo(str(err), err=True)
        raise typer.Exit(2) from err
    for line in (*_facts(chosen.manifest, telemetry, scored, data), *([f"{out} written"] if out else [])):
        typer.echo(line, err=out is None)


def write_rows(rows: pd.DataFrame, path: Path | None) -> None:
    """Write scored rows as CSV or Parquet, by the suffix; None is CSV on standard output.

    Raises
    ------
    WinnerError
        The file cannot be written.
    """
    if path is not None and path.suffix == ".parquet":
        _write(path, lambda part: rows.to_parquet(part, index=False))
        return
    times = _iso(rows["timestamp"].dt.tz_localize(None).to_numpy())
    plain = rows.assign(timestamp=times, alarm=rows["alarm"].map({True: "true", False: "false"}))
    if path is None:
        plain.to_csv(sys.stdout, index=False)
    else:
        _write(path, lambda part: plain.to_csv(part, index=False))


def _iso(times: NDArray[np.datetime64]) -> NDArray[np.str_]:
    """Return UTC times as text, no finer than they are."""
    units: tuple[Literal["s", "ms", "us", "ns"], ...] = ("s", "ms", "us", "ns")
    unit = next(unit for unit in units if (times == times.astype(f"datetime64[{unit}]")).all())
    return np.char.add(np.datetime_as_string(times, unit=unit), "Z")


def _write(path: Path, write: Callable[[Path], None]) -> None:
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        part.replace(path)
    except OSError as err:
        raise WinnerError(f"{path}: cannot write: {err.strerror}") from err


def _check_output(out: Path | None) -> None:
    """Refuse an output that could not be written before anything is computed."""
    if out is None:
        return
    if out.suffix not in KINDS:
        raise WinnerError(f"{out}: unknown kind of file {out.suffix!r}; write {' or '.join(KINDS)}")
    if not out.absolute().parent.is_dir():
        raise WinnerError(f"{out}: there is no folder {out.parent}")
    if out.exists():
        raise WinnerError(f"{out}: exists and is not overwritten; remove it or choose another name")


def _with_progress(telemetry: NewTelemetry) -> Iterable[int]:
    console = Console(stderr=True)
    positions = chunks(telemetry.windows)
    if not console.is_terminal or len(positions) < 2:
        return positions
    return track(positions, "scoring", console=console)


def _facts(manifest: Manifest, telemetry: NewTelemetry, scored: ScoredTelemetry, data: Path) -> list[str]:
    """Return what people want to know of a scoring, one line each."""
    rows, series = scored.rows, telemetry.series
    count = int((rows["reason"] == "").sum())
    alarms = int(rows["alarm"].sum())
    lines = [
        f"{manifest.title}, fitted on draw {manifest.draw}" + (" of simulated telemetry" if manifest.simulated else ""),
        f"{data}: {len(rows):,} rows, one every {series.step_s:g} s",
        *telemetry.notes,
        *_version_notes(manifest),
        f"{count:,} rows scored, {len(rows) - count:,} not scored; {alarms:,} alarms",
        f"alarm: score >= {manifest.threshold:.6g} ({manifest.threshold_rule})",
        f"channels: {OWN_CHANNELS if scored.own_channels else DEVIATIONS}",
    ]
    if count:
        each = scored.seconds / count
        lines.append(
            f"{each:.2g} s a step: scores {series.step_s / each:,.0f}x faster than the data arrives "
            f"(a step every {series.step_s:g} s)"
        )
    return lines


def _version_notes(manifest: Manifest) -> list[str]:
    here = dict(installed())
    other = [
        f"{name} {then}, here {here.get(name, 'absent')}"
        for name, then in manifest.versions.items()
        if here.get(name) != then
    ]
    return [f"Fitted with {'; '.join(other)}: scores may differ."] if other else []


if __name__ == "__main__":
    app()
