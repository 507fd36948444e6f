"""Where a new run goes: refuse what is in the way before anything starts, leave nothing behind if nothing started."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import OrchestratorError, RunFolderError
from orchestrator.storage import is_free
from trainables.errors import TrainablesError


def new_run(name: str, output: Path | None) -> Path:
    """Return the folder of a new run, absolute, not made yet; without `output` it is runs/NAME-TIME.

    Raises
    ------
    RunFolderError
        It exists and is not empty, is a file, or its name is none.
    """
    if output is None:
        return (Path("runs") / f"{name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}").absolute()
    try:
        there, filled = output.exists(), output.is_dir() and not is_free(output)
    except OSError as err:
        raise RunFolderError(f"--output {output}: {err.strerror}; give a new or empty folder") from err
    if there and not output.is_dir():
        raise RunFolderError(f"--output {output}: is a file; give a new or empty folder")
    if filled:
        raise RunFolderError(f"--output {output}: is not empty; give a new folder, or --resume {output} to go on in it")
    return output.absolute()


@contextmanager
def made(run_dir: Path) -> Iterator[None]:
    """Make the folder for the block; if the block refuses to start and leaves it empty, take it away again.

    Raises
    ------
    RunFolderError
        The disk is read-only or full, or the place is not ours.
    """
    new = [folder for folder in (run_dir, *run_dir.parents) if not folder.exists()]
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        probe = run_dir / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as err:
        raise RunFolderError(
            f"{run_dir}: cannot be written: {err.strerror}; choose another place with --output"
        ) from err
    try:
        yield
    except (OrchestratorError, TrainablesError):
        for folder in new:
            if any(folder.iterdir()):
                break
            folder.rmdir()
        raise
