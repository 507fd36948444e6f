"""Show the rows of a sweep in TensorBoard: `python -m orchestrator.tensorboard RUN`.

The event files in `tensorboard/` of the run folder are made from its rows, finished or in mid-sweep; made again, they
follow the rows. Exit 0: done; 2: not done, the message says why.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from analysis.errors import AnalysisError
from analysis.load import load_sweep
from orchestrator.environment import TENSORBOARD, check
from orchestrator.errors import OrchestratorError, RunFolderError
from orchestrator.results import read_manifest, read_records

FOLDER = "tensorboard"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Example: python -m orchestrator.tensorboard runs/fewshot-20260301T060000Z")
def tensorboard(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a sweep, ended or in mid-sweep.")],
) -> None:
    """Write event files for TensorBoard to RUN/tensorboard, or bring them up to date with the rows."""
    try:
        check(TENSORBOARD)
        _tensorboard(run)
    except (OrchestratorError, AnalysisError) as err:
        sys.stderr.write(f"{err}\n")
        raise typer.Exit(2) from err


def _tensorboard(run: Path) -> None:
    read_manifest(run)  # says what is wrong if this is no run folder
    sweep, rows = load_sweep([run]), read_records(run)
    from orchestrator.callbacks import event_files, tensorboard_runs  # noqa: PLC0415  (tensorboardX imports torch)

    trials, curves = tensorboard_runs.trial_runs(rows), tensorboard_runs.curve_runs(sweep)
    folder = run / FOLDER
    try:
        written = event_files.update(folder, {**trials, **curves, **tensorboard_runs.columns(rows, sweep.objective)})
    except OSError as err:
        raise RunFolderError(f"{folder}: cannot write: {err.strerror or err}") from err
    typer.echo(f"{len(trials)} trials, {len(curves)} learning curves, {written} files written: {folder}")
    typer.echo(f"look at them: tensorboard --logdir {folder}")


if __name__ == "__main__":
    app()
