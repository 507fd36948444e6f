"""`python -m analysis.recompute RUN`: every metric from score files and thresholds, compared with the rows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from analysis.errors import AnalysisError
from orchestrator.errors import RunFolderError
from orchestrator.results import read_rows, read_scores, score_file
from trainables.metrics import METRICS, compute_metrics

STEP_S = 1.0
"""Stands in for the distance between rows, which metrics use only where no segment has two scored windows."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def recompute(run: Path, rows: pd.DataFrame | None = None, step_s: float = STEP_S) -> pd.DataFrame:
    """Return the ok rows of a run with every metric computed again from their score files.

    Parameters
    ----------
    run
        Run folder.
    rows
        Its rows, metric columns present or not; default: read them.
    step_s
        Seconds between rows of the telemetry; matters only where no segment has two scored windows.

    Raises
    ------
    AnalysisError
        Not a run folder, or a score file is missing.
    """
    try:
        found = read_rows(run) if rows is None else rows
        kept = _with_scores(run, found)
        values = [
            compute_metrics(
                read_scores(run, str(trial), int(draw)), None if pd.isna(threshold) else float(threshold), step_s
            )
            for trial, draw, threshold in kept[["trial", "draw", "threshold"]].itertuples(index=False)
        ]
    except RunFolderError as err:
        raise AnalysisError(str(err)) from err
    metrics = pd.DataFrame(values, index=kept.index, columns=list(METRICS)).astype(float)
    return kept.assign(**{name: metrics[name] for name in METRICS})


def with_metrics(run: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a run, the metrics of ok rows that hold none taken from their score files.

    Rows without a score file stay as they are.

    Raises
    ------
    AnalysisError
        A score file is damaged.
    """
    metrics = rows.reindex(columns=list(METRICS)).astype(float)
    bare = rows[metrics.isna().all(axis=1) & (rows["status"] == "ok")]
    drawn = bare[["trial", "draw"]].itertuples(index=False, name=None)
    kept = [score_file(run, str(trial), int(draw)).exists() for trial, draw in drawn]
    again = recompute(run, bare.loc[kept])
    metrics.loc[again.index] = again[list(METRICS)]
    return rows.assign(**{name: metrics[name] for name in METRICS}) if len(again) else rows


def differences(run: Path) -> Iterator[str]:
    """Yield one line for every metric of a row that its score file does not give exactly.

    A metric that no row of the run holds is not compared: older runs lack the newer ones.
    """
    rows = read_rows(run)
    again = recompute(run, rows)
    for name in rows.columns.intersection([*METRICS]):
        stored = pd.to_numeric(rows.loc[again.index, name])
        unlike = ~((stored == again[name]) | (stored.isna() & again[name].isna()))
        for index in again.index[unlike]:
            row = again.loc[index]
            yield (
                f"{row['detector']} on {row['source']}, {row['shots']} shots, {row['phase']} draw {row['draw']}: "
                f"{name} is {float(stored[index])} in the row, {float(row[name])} from the scores"
            )


def _with_scores(run: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that should have a score file; of selection draws earlier versions kept none."""
    ok, select = rows["status"] == "ok", rows["phase"] == "select"
    draws = rows.loc[ok & select, ["trial", "draw"]].itertuples(index=False, name=None)
    kept = any(score_file(run, str(trial), int(draw)).exists() for trial, draw in draws)
    return rows[ok if kept else ok & ~select]


@app.command(epilog="Example: python -m analysis.recompute runs/fewshot-20260301T060000Z")
def main(run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder.")]) -> None:
    """Check that every metric of the rows follows from the score files; exit 1 where one does not."""
    try:
        lines = list(differences(run))
    except (AnalysisError, RunFolderError) as err:
        typer.echo(str(err), err=True)
        raise typer.Exit(2) from err
    for line in lines:
        typer.echo(line)
    if lines:
        raise typer.Exit(1)
    typer.echo("every metric of every row follows from its score file")


if __name__ == "__main__":
    app()
