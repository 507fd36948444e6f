"""Where rows come from: code, data, resolved sweep file and packages, as hashes, and the hardware beside them.

The fingerprint covers what can change a number. Two runs with one fingerprint may be pooled.
"""

import hashlib
import importlib
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from orchestrator.plan import SweepPlan
from orchestrator.resources import Machine
from orchestrator.results import SCHEMA_VERSION
from orchestrator.weights import ResolvedWeights

PACKAGES = ("orchestrator", "trainables", "analysis")

VERSIONS = (
    "momentfm", "numpy", "optuna", "pandas", "peft", "ray", "scikit-learn", "scipy", "torch", "transformers",
)  # fmt: skip
"""Packages whose version can change a number."""

UNCOUNTED_KEYS = ("name", "tracking", "resources")
"""Keys of the sweep file that change no number."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Parts of a fingerprint, each a mapping from a name that people understand to a hash, version or value.

    `spec` holds the keys of the sweep file that can change a number, as `few_shot.shots`.
    """

    code: Mapping[str, str]
    data: Mapping[str, str]
    spec: Mapping[str, str]
    versions: Mapping[str, str]
    weights: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """Return the hash of all parts."""
        return _digest(json.dumps(asdict(self), sort_keys=True).encode())

    def changes(self, manifest: Mapping[str, object]) -> list[str]:
        """Return what differs from the provenance in a manifest, one line each; weights only if they were resolved."""
        before = manifest.get("provenance")
        if not isinstance(before, Mapping):
            return ["manifest.json has no provenance"]
        lines = []
        for part, now in asdict(self).items():
            if part == "weights" and not now:
                continue
            old = before.get(part)
            old = old if isinstance(old, Mapping) else {}
            lines += [
                f"{part} {name}: was {old.get(name, 'absent')}, is {now.get(name, 'absent')}"
                for name in sorted({*old, *now})
                if old.get(name) != now.get(name)
            ]
        return lines


def provenance(plan: SweepPlan, weights: Mapping[str, ResolvedWeights]) -> Provenance:
    """Return the provenance of the rows that this plan would write now."""
    root = Path(__file__).resolve().parent.parent
    values = plan.spec.dump()
    shared: dict[str, object] = {name: value for name, value in values.items() if name not in UNCOUNTED_KEYS}
    search = values["search"]
    if isinstance(search, dict):
        shared["search"] = {name: value for name, value in search.items() if name != "candidates"}
    shared["threads"] = plan.spec.resources.threads
    shared["data"] = {  # where it lies is not part of it: its content is hashed
        name: settings.data.model_dump(mode="json", exclude={"path", "incidents"})
        for name, settings in plan.settings.items()
    }
    shared["detectors"] = {name: _without_place(plan, name) for name in plan.spec.detectors}
    return Provenance(
        code={
            **{name: package_digest(root / name) for name in PACKAGES},
            **{name: _python_digest(place) for name, place in own_code(plan).items()},
        },
        data={**plan.data_digests, **{f"of {name}": said.key for name, said in plan.external.items()}},
        spec=dict(_leaves(shared)),
        versions=dict(_versions()),
        weights={name: found.sha256 for name, found in weights.items()},
    )


def _without_place(plan: SweepPlan, name: str) -> dict[str, object]:
    """Return the settings of a detector; where its file lies is not part of them, what the file says is data."""
    values: dict[str, object] = dict(plan.spec.detectors[name].dump())
    return values | {"path": None} if name in plan.external else values


def _leaves(values: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name of each key and its value as text; a path outside of the project is hashed."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, str) and Path(value).is_absolute():
            yield f"{prefix}{name}", f"path {_digest(value.encode())}"
        else:
            yield f"{prefix}{name}", json.dumps(value, sort_keys=True, default=str)


def own_code(plan: SweepPlan) -> dict[str, Path]:
    """Return the file or folder of each top-level module with detectors of the user (`class: module:Class`)."""
    found = {}
    for cell in plan.cells:
        if cell.class_path is not None:
            module = cell.class_path.partition(":")[0]
            name = module.partition(".")[0]
            if name not in PACKAGES:
                file = Path(str(importlib.import_module(module).__file__)).resolve()
                above = module.count(".") - (file.name != "__init__.py")  # folders from the file's own to the top one
                found[name] = file if above < 0 else file.parents[above]
    return found


def _python_digest(place: Path) -> str:
    """Return the hash of a Python file, or of all in a folder; what else lies there may be large."""
    state = hashlib.sha256()
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        state.update(path.relative_to(place).as_posix().encode() + b"\0")
        state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:16]


def package_digest(folder: Path) -> str:
    """Return the hash of every file of a package, weights included, caches left out."""
    state = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            state.update(path.relative_to(folder).as_posix().encode() + b"\0")
            state.update(hashlib.sha256(path.read_bytes()).digest())
    return state.hexdigest()[:16]


def manifest(
    plan: SweepPlan,
    origin: Provenance,
    machine: Machine,
    weights: Mapping[str, ResolvedWeights],
    earlier: Sequence[str] = (),
    candidates_at_first: int | None = None,
) -> dict[str, object]:
    """Return `manifest.json`: fingerprint and its parts, planned cells, seeds, hardware; no host or user names.

    `earlier` are the fingerprints of rows that the folder held before code or data changed, `candidates_at_first`
    is the length of its search before it was extended; None: now.
    """
    cells = [
        {
            "detector": cell.detector, "source": cell.source, "fold": cell.fold, "shots": cell.shots,
            "exposure": cell.exposure,
            "candidates": cell.candidates, "selection_draws": list(cell.selection_draws),
            "report_draws": list(cell.report_draws),
        }
        for cell in plan.cells
    ]  # fmt: skip
    return {
        "sweep": plan.spec.name,
        "schema_version": SCHEMA_VERSION,
        "fingerprint": origin.fingerprint,
        "earlier_fingerprints": list(earlier),
        "provenance": asdict(origin),
        "versions": dict(origin.versions),
        "hardware": {
            "cpus": machine.cpus,
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
            "gpus": [{"name": gpu.name, "memory_gb": round(gpu.total_gb, 1)} for gpu in machine.gpus],
            "system": f"{platform.system()} {platform.machine()}",
        },
        "weights": {name: {"sha256": found.sha256, "untrained": found.untrained} for name, found in weights.items()},
        "seeds": {"search": plan.spec.search.seed},
        "candidates_at_first": plan.spec.search.candidates if candidates_at_first is None else candidates_at_first,
        "rows": plan.rows,
        "cells": cells,
    }


def _versions() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    for name in VERSIONS:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue  # the baselines run without it


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
