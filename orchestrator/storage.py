"""RunFolder: layout, lock and the only writer of a run folder.

The lock is `flock` on `rows.jsonl`: it goes with the process, however that ends, and leaves no file behind.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from orchestrator.errors import RunFolderError
from orchestrator.json_lines import cut_partial_line
from orchestrator.results import Cell, read_records, row_line, trace_file, write_parquet, write_scores
from trainables.trial import WindowScores
from trainables.winner import SavedWinner

ROWS = "rows.jsonl"
SPEC = "spec.yaml"
MANIFEST = "manifest.json"
JOURNAL = "optuna.journal"
LOG = "sweep.log"
RESULTS = "results.parquet"
WINNERS = "winners"

_OF_A_START = frozenset({ROWS, SPEC, LOG, f"{SPEC}.part", f"{MANIFEST}.part"})
"""What a run folder may hold before it has its manifest."""


class RunFolder:
    """An open run folder: locked, ready to append rows. Use as a context manager.

    Parameters
    ----------
    path
        The folder.
    resume
        True: it exists and is continued. False: it must not exist, or be empty.

    Raises
    ------
    RunFolderError
        The folder cannot be made, is not empty, is no run folder, is in use by another driver, or holds rows of
        a newer schema or lines that are not rows. Nothing in it is changed then.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        if resume:
            _check_is_run_folder(path)
        else:
            _make_empty_folder(path)
        self._rows = self._open_and_lock()
        try:
            self.records = read_records(self.path)
            """Rows at the time of opening, one a draw, in the order in which they were first written."""
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back."""
        os.close(self._rows)

    def append(self, row: Mapping[str, Cell], scores: WindowScores | None = None) -> None:
        """Write the scores, then the row; both are on disk when this returns.

        Raises
        ------
        RunFolderError
            The disk is full or read-only; the folder holds no half row.
        """
        try:
            if scores is not None:
                write_scores(self.path, str(row["trial"]), int(row["draw"] or 0), scores)
            cut_partial_line(self._rows)
            end = os.fstat(self._rows).st_size
            try:
                _write_all(self._rows, (row_line(row) + "\n").encode())
                os.fsync(self._rows)
            except OSError:
                os.ftruncate(self._rows, end)
                raise
        except OSError as err:
            raise cannot_write(self.path, err) from err

    def write_trace(self, trial: str, draw: int, text: str) -> None:
        """Write the full trace of a draw that failed.

        Raises
        ------
        RunFolderError
            The disk is full or read-only.
        """
        path = trace_file(self.path, trial, draw)
        try:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text.rstrip() + "\n", encoding="utf-8")
        except OSError as err:
            raise cannot_write(path, err) from err

    def make_winners(self) -> None:
        """Make the folder of the winners.

        Raises
        ------
        RunFolderError
            The disk is full or read-only.
        """
        try:
            (self.path / WINNERS).mkdir(exist_ok=True)
        except OSError as err:
            raise cannot_write(self.path, err) from err

    def write_winner(self, cell: str, winner: SavedWinner) -> None:
        """Write the winner of a cell in place of an earlier one.

        Raises
        ------
        RunFolderError
            The disk is full or read-only; what is left is overwritten by the next attempt.
        """
        folder = self.winner_folder(cell)
        part = folder.with_name(folder.name + ".part")
        try:
            shutil.rmtree(part, ignore_errors=True)
            winner.write(part)
            shutil.rmtree(folder, ignore_errors=True)
            part.replace(folder)
        except OSError as err:
            raise cannot_write(folder, err) from err

    @property
    def has_manifest(self) -> bool:
        """False if an earlier start ended before its first row."""
        return (self.path / MANIFEST).exists()

    @property
    def lacks_results(self) -> bool:
        """True if `results.parquet` is older than the rows: a driver was killed between the two."""
        results = self.path / RESULTS
        return not results.exists() or results.stat().st_mtime_ns < (self.path / ROWS).stat().st_mtime_ns

    def winner_folder(self, cell: str) -> Path:
        """Return the folder of a cell's winner; a name that no file could have is encoded."""
        return self.path / WINNERS / quote(cell, safe=" ()")

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the folder atomically."""
        path = self.path / name
        part = path.with_name(path.name + ".part")
        try:
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        except OSError as err:
            raise cannot_write(path, err) from err

    def write_manifest(self, manifest: Mapping[str, object]) -> None:
        """Write `manifest.json`."""
        self.write_text(MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")

    def write_results(self) -> Path:
        """Write `results.parquet` from the rows and return its path.

        Raises
        ------
        RunFolderError
            The disk is full or read-only.
        """
        try:
            return write_parquet(self.path)
        except OSError as err:
            raise cannot_write(self.path, err) from err

    def discard(self) -> None:
        """Remove what this start has written: it was refused before its first row."""
        for name in (RESULTS, SPEC, MANIFEST, JOURNAL, LOG, ROWS):
            (self.path / name).unlink(missing_ok=True)
        if (self.path / WINNERS).is_dir():
            (self.path / WINNERS).rmdir()

    def _open_and_lock(self) -> int:
        path = self.path / ROWS
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as err:
            raise RunFolderError(f"{self.path}: cannot write there: {err.strerror}") from err
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as err:
            os.close(descriptor)
            if err.errno in {errno.EAGAIN, errno.EACCES}:
                raise RunFolderError(f"{self.path}: in use by another sweep; wait for it, or end it first") from err
            raise RunFolderError(f"{self.path}: cannot lock: {err.strerror}") from err
        return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    """Write every byte: a nearly full disk takes a part first and fails then."""
    while data:
        data = data[os.write(descriptor, data) :]


def cannot_write(path: Path, err: OSError) -> RunFolderError:
    """Return the one message of a disk that is full or read-only."""
    why = os.strerror(err.errno) if err.errno else str(err)  # pyarrow hides its own text between two others
    return RunFolderError(
        f"{path}: cannot write: {why}; what is written is kept: free space or make it writable, then --resume the run"
    )


def is_free(path: Path) -> bool:
    """Say whether a new run may use an existing folder: it is empty, or a start ended there before its first row."""
    names = {each.name for each in path.iterdir()}
    return not names or (names <= _OF_A_START and _has_no_row(path))


def _has_no_row(path: Path) -> bool:
    rows = path / ROWS
    return rows.is_file() and rows.stat().st_size == 0


def _check_is_run_folder(path: Path) -> None:
    if not path.is_dir():
        raise RunFolderError(f"{path}: no such run folder")
    needed = (ROWS, SPEC) if _has_no_row(path) else (ROWS, SPEC, MANIFEST)
    missing = [name for name in needed if not (path / name).is_file()]
    if missing:
        raise RunFolderError(f"{path}: not a run folder: {', '.join(missing)} missing")


def _make_empty_folder(path: Path) -> None:
    try:
        if path.exists() and not (path.is_dir() and is_free(path)):
            raise RunFolderError(f"{path}: exists and is not empty; choose another --output, or --resume {path}")
        path.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise RunFolderError(f"{path}: cannot make the folder: {err.strerror}") from err
