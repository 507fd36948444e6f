"""Build the W&B workspace and report of a sweep: `python -m orchestrator.dashboard RUN [--dry-run]`.

The specification is written to `wandb/dashboard.json` in any case. With a key it is saved on the server, where it
replaces an earlier one of the same sweep. Exit 0: done; 2: not done, the message says why.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.callbacks.tracked import FOLDER, Ledger
from orchestrator.callbacks.wandb_account import account, api_key, server
from orchestrator.environment import WANDB, WORKSPACES, check
from orchestrator.errors import OrchestratorError
from orchestrator.results import read_manifest
from orchestrator.storage import SPEC
from orchestrator.sync import target_of
from orchestrator.yaml_source import load

SPECIFICATION = "dashboard.json"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(epilog="Example: python -m orchestrator.dashboard runs/fewshot-20260301T060000Z --dry-run")
def dashboard(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a sweep.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write the specification, send nothing.")] = False,
) -> None:
    """Build the W&B workspace and report of a sweep, or bring them up to date."""
    try:
        check(WANDB | WORKSPACES)
        _dashboard(run, dry_run=dry_run)
    except OrchestratorError as err:
        sys.stderr.write(f"{err}\n")
        raise typer.Exit(2) from err


def _dashboard(run: Path, *, dry_run: bool) -> None:
    from orchestrator.callbacks import dashboard as views  # noqa: PLC0415  (seconds to import)

    read_manifest(run)  # says what is wrong if this is no run folder
    target = target_of(run)
    key = None if dry_run else api_key()
    entity = target.entity or (account(key).entity if key else "")
    project = views.project_id(entity, target.project, key) if key else None
    searched = searched_settings(run)
    subject = views.Subject(entity, target.project, Ledger(run).group, target.metric, searched, project)
    made = {"workspace": views.workspace(subject), "report": views.report(subject)}
    path = run / FOLDER / SPECIFICATION
    path.parent.mkdir(exist_ok=True)
    shown = {
        kind: {"title": view.title, "name": view.name, "spec": json.loads(view.spec)} for kind, view in made.items()
    }
    path.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    typer.echo(f"specification: {path}")
    if key is None:
        why = "dry run" if dry_run else f"no key for {server()}: run `wandb login`, or set WANDB_API_KEY"
        typer.echo(f"nothing sent ({why})")
        return
    for kind, view in made.items():
        typer.echo(f"{kind} {view.title!r} {views.save(view, subject, key)} in {entity}/{target.project}")


def searched_settings(run: Path) -> dict[str, bool]:
    """Return the searched settings of the sweep file -> True if the scale of one is logarithmic."""
    values, _ = load(run / SPEC)
    detectors = values.get("detectors")
    searched: dict[str, bool] = {}
    for settings in detectors.values() if isinstance(detectors, dict) else []:
        space = settings.get("space") if isinstance(settings, dict) else None
        for name, dimension in space.items() if isinstance(space, dict) else []:
            searched[name] = isinstance(dimension, dict) and any(kind.startswith("log") for kind in dimension)
    return searched


if __name__ == "__main__":
    app()
