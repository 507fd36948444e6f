"""What the tracker has written of a run folder: `wandb/tracked.jsonl`, one line a finished W&B run.

A line says which rows a W&B run holds, so that a resumed sweep adds only what is new, and so that
`python -m orchestrator.sync` makes and uploads exactly what is missing.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from orchestrator.callbacks.base import Row
from orchestrator.json_lines import cut_partial_line, whole_lines
from orchestrator.results import row_line

FOLDER = "wandb"
LEDGER = "tracked.jsonl"

SYNCED = ".wandb.synced"
"""End of the name of the mark that `wandb sync` leaves beside a run which it has uploaded."""


@dataclass(frozen=True, slots=True)
class Written:
    """A W&B run, or a later part of one, that was written to its end.

    Attributes
    ----------
    run_id
        Its id, the same whenever the trial is written.
    folder
        Name of its folder in `wandb/`.
    uploaded
        True if it is on the server.
    content
        Draw -> digest of the row; the overview run has one entry.
    artifacts
        How many artifacts it has.
    """

    run_id: str
    folder: str
    uploaded: bool
    content: Mapping[str, str]
    artifacts: int = 0


class Ledger:
    """The lines of `tracked.jsonl`; the last one of a folder counts, a line without its end does not.

    Parameters
    ----------
    run
        The run folder.
    """

    def __init__(self, run: Path) -> None:
        self.folder = run / FOLDER
        self._path = self.folder / LEDGER
        lines = whole_lines(self._path) if self._path.exists() else []
        entries = [Written(**json.loads(line)) for line in lines]
        self._written = {entry.folder: entry for entry in entries}
        self.group = entries[0].run_id.rpartition("-")[0] if entries else _group(run)
        """Name of the sweep in W&B: the run folder's, also after the folder was moved."""

    def lacks(self, run_id: str, content: Mapping[str, str]) -> bool:
        """Say whether a run holds less than this content: draw -> digest of the row."""
        held = self._content(run_id, uploaded=False)
        return any(held.get(key) != digest for key, digest in content.items())

    def uploaded(self, run_id: str) -> dict[str, str]:
        """Return what the server holds of a run: draw -> digest of the row."""
        return self._content(run_id, uploaded=True)

    def clear(self, run_id: str) -> None:
        """Remove offline folders of a run that were not uploaded: what is written next replaces them."""
        for folder in self.folder.glob(f"offline-run-*-{run_id}"):
            entry = self._written.get(folder.name)
            if entry is None or not entry.uploaded:
                shutil.rmtree(folder)

    def add(self, entry: Written) -> None:
        """Append a line."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+", encoding="utf-8") as file:
            cut_partial_line(file.fileno())
            file.write(json.dumps(asdict(entry)) + "\n")
        self._written[entry.folder] = entry

    def waiting(self) -> list[Written]:
        """Return the runs that are written and not uploaded, in the order of writing."""
        return [entry for entry in self._written.values() if not entry.uploaded and self._exists(entry)]

    def mark(self, entry: Written) -> Path | None:
        """Return the mark of `wandb sync` on a run, if there is one."""
        return next((self.folder / entry.folder).glob(f"*{SYNCED}"), None)

    def note_upload(self, entry: Written) -> None:
        """Note that a run is on the server."""
        self.add(replace(entry, uploaded=True))

    def _content(self, run_id: str, *, uploaded: bool) -> dict[str, str]:
        content: dict[str, str] = {}
        for entry in self._written.values():
            if entry.run_id == run_id and (entry.uploaded or (not uploaded and self._exists(entry))):
                content |= entry.content
        return content

    def _exists(self, entry: Written) -> bool:
        return (self.folder / entry.folder).is_dir()


def digests(rows: Sequence[Row]) -> dict[str, str]:
    """Return draw -> digest of its row."""
    return {str(row["draw"]): _digest(row_line(row)) for row in rows}


def files_digest(files: Sequence[Path]) -> str:
    """Return a digest of files by place, size and time of change; their content is not read."""
    return _digest(repr([(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(files)]))


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _group(run: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run.resolve().name)[-100:].strip("-.") or "sweep"
