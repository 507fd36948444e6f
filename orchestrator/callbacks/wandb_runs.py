"""What a W&B run says: one run a trial, made from its rows alone, and one overview run of the whole sweep."""

import csv
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from orchestrator.callbacks.base import Row
from orchestrator.callbacks.tracked import FOLDER, Ledger, Written, digests, files_digest
from orchestrator.callbacks.trial_view import cell_of, configuration, name_of, step_of, summarised, tags_of
from orchestrator.callbacks.wandb_account import Mode
from orchestrator.spec import WandbSettings

if TYPE_CHECKING:
    import wandb


FINISH_SECONDS = 10.0
"""Longest that the end of an online run waits for its upload; what is left is on disk for `orchestrator.sync`."""

ARTIFACT_MB, ARTIFACTS_MB = 64, 512
"""Bounds of one uploaded folder or report, and of the winners together; an adapter has a few MB."""

OVERVIEW = "overview"


class RunWriter:
    """Writes W&B runs of a run folder, one at a time, and notes each in the ledger.

    Parameters
    ----------
    settings
        Project and entity.
    run
        The run folder; local files go to its `wandb/`.
    mode
        "offline" needs neither key nor network.
    """

    def __init__(self, settings: WandbSettings, run: Path, mode: Mode) -> None:
        self._settings = settings
        self._run = run
        self._mode: Mode = mode
        self.ledger = Ledger(run)

    def trial(self, rows: Sequence[Row]) -> bool:
        """Write the run of a trial: one step a draw, those draws alone that the server does not hold yet.

        Returns
        -------
        bool
            False if it was written before and nothing is new.
        """
        run_id = f"{self.ledger.group}-{rows[0]['trial']}"
        content = digests(rows)
        if not self.ledger.lacks(run_id, content):
            return False
        sent = self.ledger.uploaded(run_id)
        new = [row for row in rows if sent.get(str(row["draw"])) != content[str(row["draw"])]]
        phase = str(rows[0]["phase"])
        name = f"{cell_of(rows[0])} {name_of(rows[0])}"
        run = self._open(run_id, phase, name, configuration(rows[0]), tags_of(rows[0]))
        run.define_metric("*", step_metric="draw")
        for row in new:
            run.log(step_of(row))
        run.summary.update(summarised(rows))
        self._close(run, content, failed=all(row["status"] != "ok" for row in rows))
        return True

    def overview(self, metric: str) -> bool:
        """Write the overview run: learning curves of a metric, leaderboard, report, sweep file, manifest, winners.

        Returns
        -------
        bool
            False if it was written before and nothing is new.
        """
        run_id = f"{self.ledger.group}-{OVERVIEW}"
        content = {OVERVIEW: files_digest(overview_files(self._run))}
        if not self.ledger.lacks(run_id, content):
            return False
        wandb = load_wandb()
        run = self._open(run_id, OVERVIEW, f"{self.ledger.group} overview", {"phase": OVERVIEW}, [OVERVIEW])
        run.define_metric("curve/*", step_metric="labelled_windows")
        for point in curve_points(self._run, metric):
            run.log(point)
        artifacts = 0
        board = _read_table(self._run / "report" / "tables" / "leaderboard.csv")
        if board:
            columns = list(board[0])
            table = wandb.Table(columns=columns, data=[[_number(row[name]) for name in columns] for row in board])
            run.log({"leaderboard": table})
            artifacts += 1  # a table is kept as one
        report = self._run / "report" / "index.html"
        if report.exists() and report.stat().st_size < ARTIFACT_MB * 2**20:
            run.log({"report": wandb.Html(str(report), inject=False)})
        self._log_files(run, "record", "sweep", [self._run / name for name in RECORD] + [report])
        kept, left_out = winners_within(self._run)
        for folder in kept:
            self._log_files(run, f"winner-{folder.name}", "winner", sorted(folder.rglob("*")))
        run.summary.update({"winners": len(kept), "winners_left_out": ", ".join(left_out)})
        self._close(run, content, failed=False, artifacts=artifacts + 1 + len(kept))
        return True

    def close(self) -> None:
        """End wandb's own process."""
        module = sys.modules.get("wandb")
        if module is not None:
            module.teardown()

    def _open(
        self, run_id: str, job_type: str, name: str, config: Mapping[str, object], tags: Sequence[str]
    ) -> "wandb.Run":
        wandb = load_wandb()
        place = str(self._run.resolve() / FOLDER)
        os.environ |= {"WANDB_DATA_DIR": place, "WANDB_CACHE_DIR": place}  # files of artifacts and logs, else in $HOME
        self.ledger.clear(run_id)
        wandb.setup(wandb.Settings(silent=True))
        return wandb.init(
            project=self._settings.project,
            entity=self._settings.entity,
            group=self.ledger.group,
            job_type=job_type,
            id=run_id,
            name=name[:128],
            config=dict(config),
            tags=[tag[:64] for tag in tags],
            dir=str(self._run),
            mode=self._mode,
            resume="allow" if self._mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                program="orchestrator.sweep",
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                init_timeout=30,
                finish_timeout=FINISH_SECONDS,
                finish_timeout_raises=True,
            ),
        )

    def _close(self, run: "wandb.Run", content: Mapping[str, str], *, failed: bool, artifacts: int = 0) -> None:
        online = self._mode == "online"
        entry = Written(run.id, Path(run.dir).parent.name, uploaded=online, content=content, artifacts=artifacts)
        try:
            run.finish(exit_code=int(failed))
        except TimeoutError:
            self.ledger.add(replace(entry, uploaded=False))
            raise
        self.ledger.add(entry)

    def _log_files(self, run: "wandb.Run", name: str, kind: str, files: Sequence[Path]) -> None:
        wandb = load_wandb()
        artifact = wandb.Artifact(f"{self.ledger.group}-{name}"[-128:], type=kind)
        for path in files:
            if path.is_file():
                inside = path.relative_to(self._run).as_posix()
                artifact.add_file(str(path), name=inside, skip_cache=True, policy="mutable")
        run.log_artifact(artifact)


def load_wandb() -> ModuleType:
    """Import wandb: seconds, and not at all when it is disabled; it sends no reports about itself."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb  # noqa: PLC0415

    return wandb


RECORD = ("spec.yaml", "manifest.json", "results.parquet")
"""Files of the run folder that say what ran and what came out."""


def curve_points(run: Path, metric: str) -> Iterator[dict[str, float]]:
    """Yield the learning curves of the report, one point a number of shots, with the ends of the intervals."""
    levels = [level for level in _read_table(run / "report" / "tables" / "levels.csv") if level["metric"] == metric]
    for shots in sorted({int(level["shots"]) for level in levels}):
        point: dict[str, float] = {"labelled_windows": shots}
        for level in levels:
            if int(level["shots"]) == shots:
                name = f"curve/{level['source']}/{level['detector']}"
                ends = {"": level["estimate"], "/low": level["low"], "/high": level["high"]}
                point |= {name + end: float(value) for end, value in ends.items() if value}
        yield point


def overview_files(run: Path) -> list[Path]:
    """Return the files that the overview run shows."""
    single = [run / name for name in RECORD] + [run / "report" / "index.html"]
    tables = [run / "report" / "tables" / name for name in ("levels.csv", "leaderboard.csv")]
    winners = [path for path in (run / "winners").rglob("*") if path.is_file()]
    return [path for path in [*single, *tables, *winners] if path.is_file()]


def winners_within(run: Path) -> tuple[list[Path], list[str]]:
    """Return the folders of winners that are small enough to upload, and the names of the others."""
    kept: list[Path] = []
    left_out: list[str] = []
    total = 0
    for folder in sorted(path for path in (run / "winners").glob("*") if path.is_dir()):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size > ARTIFACT_MB * 2**20 or total + size > ARTIFACTS_MB * 2**20:
            left_out.append(folder.name)
        else:
            total += size
            kept.append(folder)
    return kept, left_out


def _read_table(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _number(text: str) -> float | str | None:
    try:
        return float(text) if text else None
    except ValueError:
        return text
