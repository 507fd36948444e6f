"""Upload what the tracker wrote offline: `python -m orchestrator.sync RUN`.

Runs that the tracker left out are made from the rows first. Uploads go in parallel, can be repeated, and keep ids,
groups and names. Exit 0: all is on the server; 1: something is left; 2: nothing was tried, the message says why.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from orchestrator.callbacks.tracked import Ledger, Written, digests
from orchestrator.callbacks.trial_view import trials_of
from orchestrator.callbacks.wandb_account import Account, account, api_key, ask, server
from orchestrator.callbacks.wandb_runs import RunWriter
from orchestrator.environment import WANDB, check
from orchestrator.errors import OrchestratorError, RunFolderError, TrackingError
from orchestrator.spec import ObjectiveSettings, WandbSettings
from orchestrator.storage import SPEC, RunFolder
from orchestrator.yaml_source import load

RETRIES = {
    "WANDB__GRAPHQL_RETRY_MAX": "6", "WANDB__GRAPHQL_RETRY_WAIT_MAX_SECONDS": "5",
    "WANDB__FILE_STREAM_RETRY_MAX": "6", "WANDB__FILE_STREAM_RETRY_WAIT_MAX_SECONDS": "5",
    "WANDB__FILE_TRANSFER_RETRY_MAX": "6", "WANDB__FILE_TRANSFER_RETRY_WAIT_MAX_SECONDS": "5",
    "WANDB_HTTP_TIMEOUT": "20", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "false",
}  # fmt: skip
"""Settings of the wandb client: give up on a server that is gone after about half a minute instead of hours."""

AT_ONCE = 200
"""Runs that one `wandb sync` is given."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class Target:
    """Where runs go."""

    project: str
    entity: str | None
    metric: str

    @property
    def settings(self) -> WandbSettings:
        """Return the same as settings of the tracker."""
        return WandbSettings(mode="offline", project=self.project, entity=self.entity)


def target_of(run: Path) -> Target:
    """Read project, entity and objective from the sweep file of a run folder; its data need not be there.

    Raises
    ------
    RunFolderError
        The sweep file of the run folder does not say it.
    """
    values, _ = load(run / SPEC)
    tracking, objective = values.get("tracking"), values.get("objective")
    found = tracking.get("wandb") if isinstance(tracking, dict) else None
    try:
        wandb = WandbSettings.model_validate(found or {})
        metric = ObjectiveSettings.model_validate(objective or {}).metric
    except ValidationError as err:
        raise RunFolderError(f"{run / SPEC}: {err.errors()[0]['msg']}") from err
    return Target(wandb.project, wandb.entity, metric)


def make_missing(folder: RunFolder, target: Target) -> int:
    """Write the runs that rows call for and that exist neither on disk nor on the server; return how many."""
    writer = RunWriter(target.settings, folder.path, "offline")
    made = sum(writer.trial(rows) for rows in trials_of(folder.records).values())
    if folder.records:
        made += writer.overview(target.metric)
    writer.close()
    return made


def upload(ledger: Ledger, waiting: Sequence[Written], parallel: int) -> list[str]:
    """Upload runs with `wandb sync`, and return what it complained about, each complaint once."""
    complaints: dict[str, None] = {}
    by_id = {entry.run_id: entry for entry in waiting}
    folders = [ledger.folder / entry.folder for entry in waiting]
    for start in range(0, len(folders), AT_ONCE):
        for line in _sync_lines(ledger.folder, folders[start : start + AT_ONCE], parallel):
            if "ERROR" not in line:
                continue
            text = line.partition("ERROR")[2].strip()
            failed = re.match(r"\[[^\]]*/([^\]/]+)\] ", text)
            if failed and (entry := by_id.get(failed[1])):  # wandb marks such a run as synced all the same
                mark = ledger.mark(entry)
                if mark is not None:
                    mark.unlink()
            complaints[re.sub(r"^\[[^\]]*\] ", "", text)] = None
    return list(complaints)


def note(ledger: Ledger, waiting: Sequence[Written], target: Target, owner: Account, key: str) -> int:
    """Note the runs that arrived, and return how many did; one whose artifacts did not is left."""
    arrived = 0
    for entry in waiting:
        mark = ledger.mark(entry)
        if mark is None:
            continue
        if entry.artifacts and committed(entry.run_id, target, owner, key) < entry.artifacts:
            mark.unlink()  # the client says nothing when a file of an artifact cannot be uploaded
            continue
        ledger.note_upload(entry)
        arrived += 1
    return arrived


def committed(run_id: str, target: Target, owner: Account, key: str) -> int:
    """Ask the server how many artifacts of a run are complete."""
    query = (
        "query RunOutputArtifacts($entity: String!, $project: String!, $run: String!) {"
        " project(name: $project, entityName: $entity) { run(name: $run) {"
        " outputArtifacts(first: 1000) { edges { node { id state } } } } } }"
    )
    names = {"entity": target.entity or owner.entity, "project": target.project, "run": run_id}
    run = (ask(query, names, key).get("project") or {}).get("run") or {}
    edges = (run.get("outputArtifacts") or {}).get("edges", [])
    return sum(edge["node"]["state"] == "COMMITTED" for edge in edges)


def _missing(folder: RunFolder) -> int:
    ledger = Ledger(folder.path)
    trials = trials_of(folder.records).items()
    return sum(ledger.lacks(f"{ledger.group}-{trial}", digests(rows)) for trial, rows in trials)


def _sync_lines(place: Path, folders: Sequence[Path], parallel: int) -> Iterator[str]:
    own = {"WANDB_DIR": str(place.parent), "WANDB_CACHE_DIR": str(place)}  # where wandb puts its logs
    command = [sys.executable, "-m", "wandb", "sync", "--yes", "--include-online", "-n", str(parallel)]
    with subprocess.Popen(  # noqa: S603  (our own interpreter, paths of our own)
        [*command, *map(str, folders)],
        env={**RETRIES, **os.environ, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        if process.stdout is not None:
            yield from process.stdout


def _checked_account(target: Target) -> tuple[Account, str]:
    key = api_key()
    if key is None:
        raise TrackingError(f"no key for {server()}: run `wandb login`, or set WANDB_API_KEY")
    owner = account(key)
    if target.entity and target.entity not in owner.entities:
        known = ", ".join(owner.entities)
        raise TrackingError(f"tracking.wandb.entity: the key may not write to {target.entity!r}; it may to: {known}")
    return owner, key


@app.command(epilog="Example: python -m orchestrator.sync runs/fewshot-20260301T060000Z")
def sync(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of a sweep that has ended.")],
    parallel: Annotated[int, typer.Option(min=1, max=64, help="Runs uploaded at the same time.")] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be uploaded, upload nothing.")] = False,
) -> None:
    """Upload the W&B runs of a sweep; those that the tracker left out are made from the rows first."""
    try:
        code = _sync(run, parallel, dry_run=dry_run)
    except OrchestratorError as err:
        sys.stderr.write(f"{err}\n")
        raise typer.Exit(2) from err
    raise typer.Exit(code)


def _sync(run: Path, parallel: int, *, dry_run: bool) -> int:
    check(WANDB)
    with RunFolder(run, resume=True) as folder:
        target = target_of(run)
        if not dry_run:
            owner, key = _checked_account(target)
            made = make_missing(folder, target)
        ledger = Ledger(run)
        waiting = ledger.waiting()
        where = f"{server()}, project {target.project}, group {ledger.group}"
        if dry_run:
            typer.echo(
                f"{len(waiting)} runs on disk would go to {where}; {_missing(folder)} more would be made from rows"
            )
            return 0
        typer.echo(f"{len(waiting)} runs to upload to {where}" + (f" ({made} made from the rows now)" if made else ""))
        if not waiting:
            return 0
        complaints = upload(ledger, waiting, parallel)
        arrived = note(ledger, waiting, target, owner, key)
    typer.echo(f"{arrived} uploaded, {len(waiting) - arrived} left")
    if arrived == len(waiting):
        return 0
    for complaint in complaints:
        sys.stderr.write(f"{complaint}\n")
    sys.stderr.write(f"nothing is lost: run it again: python -m orchestrator.sync {run}\n")
    return 1


if __name__ == "__main__":
    app()
