"""`winner.json`: what a saved detector is, what it expects of telemetry, and where it comes from."""

from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from trainables.data.scaling import Normalise, Scaler
from trainables.errors import WinnerError
from trainables.protocol import Labels, Scalar
from trainables.settings import MissingRule

MANIFEST = "winner.json"
"""Lies beside the detector's own files."""

UNSAVED = "the class declares that it is not to be saved (unsaved = True)"
"""Why there are no files although nothing went wrong."""

VERSIONS = ("numpy", "scikit-learn", "skops", "torch", "transformers", "peft", "momentfm")
"""Packages on which a winner's numbers rest."""


class Column(BaseModel):
    """One channel, and how its raw values v become what the detector sees: (v - centre) / spread.

    Attributes
    ----------
    median
        Of the reference, raw; stands in for missing values where `missing` says so.
    missing
        `hold` repeats the last value of the segment, and is the median before the first; `median`; `zero`.
    level, level_spread
        Mean and standard deviation of arcsinh of the scaled values over the reference.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    centre: float
    spread: float
    median: float
    missing: MissingRule
    level: float
    level_spread: float


class Origin(BaseModel):
    """Where a winner comes from; what the worker that fits it cannot know.

    Attributes
    ----------
    sweep, trial, fingerprint
        As in the rows.
    weights
        Backbone name -> SHA-256 of its file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sweep: str
    trial: str
    fingerprint: str
    weights: Mapping[str, str]


class Manifest(BaseModel):
    """`winner.json`.

    Attributes
    ----------
    detector, class_path, settings
        What to construct; `class_path` is None for a built-in detector.
    labels
        What the detector has seen of the labels.
    seed, threads, device
        Resources it was fitted with.
    source, simulated, fold, shots, draw
        Which telemetry and labels it was fitted on.
    held_out
        Kind of fault that the fold is judged on and whether it could be learned from ("cpu, unseen"); else None.
    window, step_s
        Steps of a window, seconds of a step.
    timezone
        Zone of timestamps without an offset, None for UTC.
    normalise, columns, dropped
        Scaling of each channel, in the order in which the detector expects them; columns of the table that carried
        nothing on the reference (constant or empty) and are not used.
    threshold, threshold_rule
        An alarm is ``score >= threshold``.
    versions
        Packages that fitted it.
    files
        SHA-256 of each file of the detector.
    not_saved
        Why there are no files; empty if there are.
    origin
        See `Origin`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    detector: str
    class_path: str | None
    settings: Mapping[str, Scalar]
    labels: Labels
    seed: int
    threads: int
    device: Literal["cpu", "cuda"]
    source: str
    simulated: bool
    fold: int
    shots: int
    draw: int
    held_out: str | None
    window: int
    step_s: float
    timezone: str | None
    normalise: Normalise
    columns: tuple[Column, ...]
    dropped: tuple[str, ...]
    threshold: float
    threshold_rule: str
    versions: Mapping[str, str]
    files: Mapping[str, str] = {}
    not_saved: str = ""
    origin: Origin | None = None

    @property
    def title(self) -> str:
        """What people call this winner."""
        return f"{self.detector} at {self.shots} shots ({self.source}, fold {self.fold})"

    @property
    def scaler(self) -> Scaler:
        """The scaling, for a table that has just these columns, in this order."""
        return Scaler(
            kept=np.arange(len(self.columns)),
            columns=tuple(column.name for column in self.columns),
            centre=np.asarray([column.centre for column in self.columns]),
            spread=np.asarray([column.spread for column in self.columns]),
            median=np.asarray([column.median for column in self.columns]),
            rules=tuple(column.missing for column in self.columns),
            missing=np.zeros(len(self.columns), dtype=np.int64),
            fitted_on=np.empty(0, dtype=np.int64),
        )


def read_manifest(folder: Path) -> Manifest:
    """Read `winner.json` of a winner's folder.

    Raises
    ------
    WinnerError
        Missing, damaged, or of a newer format.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as err:
        raise WinnerError(f"{path}: cannot be read: {err.strerror}") from err
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise WinnerError(f"{path}: damaged, or written by another version: {where}: {first['msg']}") from err


def installed() -> list[tuple[str, str]]:
    """Return the packages of `VERSIONS` that are installed, with their versions."""
    found = []
    for name in VERSIONS:
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue  # ordinary detectors run without it
    return found
