"""Backbone weights of a sweep: resolved and checked once by the driver, before anything starts."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.plan import Cell, SweepPlan
from trainables.backbones import BUNDLED, WEIGHTS_FILE, read_config, resolve
from trainables.registry import config_class


@dataclass(frozen=True, slots=True)
class ResolvedWeights:
    """A backbone as the sweep file names it.

    Attributes
    ----------
    folder
        Where config.json and model.safetensors lie.
    sha256
        Of model.safetensors.
    untrained
        True where the configuration says that the weights are random.
    """

    folder: Path
    sha256: str
    untrained: bool


def resolve_weights(plan: SweepPlan) -> Mapping[str, ResolvedWeights]:
    """Return every backbone that the cells of a plan name.

    Raises
    ------
    WeightsError
        A backbone is unknown, missing, incomplete or not to be had without a network.
    """
    names = {name for cell in plan.cells for name in backbone_names(cell)}
    return {name: _resolved(resolve(name)) for name in sorted(names)}


def worker_folders(weights: Mapping[str, ResolvedWeights]) -> dict[str, str]:
    """Return the folder of each backbone for workers; the bundled one travels with the code and is found there."""
    return {name: str(found.folder) for name, found in weights.items() if name != BUNDLED}


def backbone_names(cell: Cell) -> list[str]:
    """Return the backbones that a cell may use, sorted; none for a detector without one."""
    field = config_class(cell.detector, cell.class_path).model_fields.get("backbone")
    if field is None:
        return []
    dimension = cell.space.get("backbone")
    names = (cell.settings.get("backbone", field.default),) if dimension is None else dimension.values
    return sorted({str(name) for name in names})


def _resolved(folder: Path) -> ResolvedWeights:
    with (folder / WEIGHTS_FILE).open("rb") as weights:
        digest = hashlib.file_digest(weights, "sha256").hexdigest()
    return ResolvedWeights(folder, digest, untrained=read_config(folder).get("untrained") is True)
