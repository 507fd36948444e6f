"""Files that commands write for people: never over one that is there."""

from pathlib import Path

from orchestrator.errors import SpecError


def refuse_existing(target: Path) -> None:
    """Refuse a file that is there, or whose folder is not.

    Raises
    ------
    SpecError
        Says which of both, and what to do.
    """
    if target.exists():
        raise _exists(target)
    if not target.parent.is_dir():
        raise SpecError([f"{target}: there is no folder {target.parent}; make it, or choose another with --output"])


def write_new(target: Path, text: str) -> None:
    """Write a file that is not there.

    Raises
    ------
    SpecError
        It exists, or cannot be written.
    """
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as err:
        raise _exists(target) from err
    except OSError as err:
        raise SpecError([f"{target}: cannot be written: {err.strerror}; choose another place with --output"]) from err


def _exists(target: Path) -> SpecError:
    return SpecError([f"{target}: exists and is not overwritten; choose another name with --output"])
