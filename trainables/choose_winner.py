"""Which of a run's winners is meant: by detector, shots, source and fold."""

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from trainables.errors import WinnerError
from trainables.winner_manifest import MANIFEST, Manifest, read_manifest

WINNERS = "winners"
"""Folder of a run that holds a folder for each winner."""


@dataclass(frozen=True, slots=True)
class Found:
    """A winner in its folder."""

    folder: Path
    manifest: Manifest


def find_winners(run: Path) -> list[Found]:
    """Return the winners of a run folder, or the one whose folder this is, by source, fold, shots and detector.

    Raises
    ------
    WinnerError
        Not a folder, no winner in it, or a damaged manifest.
    """
    if not run.is_dir():
        raise WinnerError(f"{run}: no such folder; give a run folder, or the folder of a winner")
    if (run / MANIFEST).exists():
        return [Found(run, read_manifest(run))]
    folders = sorted(path.parent for path in (run / WINNERS).glob(f"*/{MANIFEST}") if path.parent.suffix != ".part")
    if not folders:
        raise WinnerError(f"{run}: no winners in it; a run has one for each cell whose first report draw is done")
    found = [Found(folder, read_manifest(folder)) for folder in folders]
    return sorted(found, key=lambda one: (one.manifest.source, one.manifest.fold, one.manifest.shots))


def choose(found: list[Found], detector: str | None, shots: int | None, source: str | None, fold: int | None) -> Found:
    """Return the one winner that is meant.

    Raises
    ------
    WinnerError
        None or several are; what there is to choose from is named.
    """
    left = _only(found, "detector", detector)
    left = _only(left, "shots", shots)
    left = _only(left, "source", source)
    left = _only(left, "fold", fold)
    if len(left) == 1:
        return left[0]
    options = {"--detector": "detector", "--shots": "shots", "--source": "source", "--fold": "fold"}
    open_ = {option: _values(left, name) for option, name in options.items() if len(_values(left, name)) > 1}
    wanted = "; ".join(f"{option} ({', '.join(map(str, values))})" for option, values in open_.items())
    raise WinnerError(f"{len(left)} winners fit; choose by {wanted}\n{listing(left)}")


def listing(found: list[Found]) -> str:
    """Return one line for each winner."""
    lines = ["detector\tshots\tsource\tfold\tdraw\tnote"]
    for one in found:
        said = one.manifest
        note = f"not saved: {said.not_saved}" if said.not_saved else said.held_out or ""
        lines.append(f"{said.detector}\t{said.shots}\t{said.source}\t{said.fold}\t{said.draw}\t{note}")
    rows = [line.split("\t") for line in lines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    )


def _only(found: list[Found], name: str, value: str | int | None) -> list[Found]:
    """Return the winners that have this value; the nearest is named where none has it."""
    if value is None:
        return found
    left = [one for one in found if getattr(one.manifest, name) == value]
    if left:
        return left
    values = _values(found, name)
    if isinstance(value, int):
        near = [str(min((int(other) for other in values), key=lambda other: abs(other - value)))]
    else:
        near = get_close_matches(value, [str(other) for other in values], n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise WinnerError(f"no winner with --{name} {value}; {hint}there is:\n{listing(found)}")


def _values(found: list[Found], name: str) -> list[str | int]:
    return sorted({getattr(one.manifest, name) for one in found})
