"""Two commands for clusters: `check` a cluster file, write a `slurm` script (`python -m orchestrator.cluster`)."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cluster_check import check_cluster
from orchestrator.errors import OrchestratorError, SpecError
from orchestrator.new_file import write_new
from orchestrator.slurm import Job, batch_script, time_problem
from orchestrator.spec import load_spec
from trainables.errors import TrainablesError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help="Cluster files and batch scripts.")


@app.command()
def check(file: Annotated[Path, typer.Argument(help="Cluster file (YAML).")] = Path("cluster.yaml")) -> None:
    """Check a cluster file offline: no cloud library, no keys. Exit code 0 or 2."""
    try:
        notes = check_cluster(file)
    except SpecError as err:
        sys.stderr.write(f"{err}\n")
        raise typer.Exit(2) from err
    for note in notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{file}: Ray accepts it")


@app.command()
def slurm(
    spec: Annotated[Path, typer.Argument(help="Sweep file (YAML).", show_default=False)],
    output: Annotated[Path | None, typer.Option(help="The script; default: NAME.sbatch.", show_default=False)] = None,
    data: Annotated[Path | None, typer.Option(help="Read this table instead of the file's data.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY.PATH=VALUE")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="Nodes, each alike.")] = 1,
    cpus: Annotated[int, typer.Option(min=1, help="CPUs a node.")] = 8,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs a node.")] = 1,
    time: Annotated[str, typer.Option(help="Time limit; the job goes on in another turn after it.")] = "04:00:00",
    sbatch: Annotated[
        list[str] | None, typer.Option(metavar="OPTION=VALUE", help="Further option of sbatch; repeatable.")
    ] = None,
) -> None:
    """Write a batch script that runs SPEC on a Slurm cluster, requeues at the time limit and goes on. Exit 0 or 2."""
    try:
        problem = time_problem(time)
        if problem:
            raise SpecError([problem])
        name = load_spec(spec, overrides=overrides or [], data=data).name
        target = output or Path(f"{name}.sbatch")
        job = Job(name, nodes, cpus, gpus, time, tuple(sbatch or ()))
        write_new(target, batch_script(job, sys.executable, _sweep_arguments(spec, data, overrides or [])))
    except (OrchestratorError, TrainablesError) as err:
        sys.stderr.write(f"{err}\n")
        raise typer.Exit(2) from err
    typer.echo(f"{target}: submit it with sbatch {target}")


def _sweep_arguments(spec: Path, data: Path | None, overrides: list[str]) -> list[str]:
    more = [word for text in overrides for word in ("--set", text)]
    return [str(spec.resolve()), *(["--data", str(data.resolve())] if data else []), *more]
