"""A cell's winner: the fitted detector in files, and a manifest of all that it takes to score with it again.

The winner is the configuration that the search chose, as fitted on the *first* report draw that ended ok. No score
of the test part has a say in that choice.
"""

import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from trainables._features import squashed_rows
from trainables._support import standardisation
from trainables.errors import SavingError, WinnerError
from trainables.protocol import Detector, TrialResources
from trainables.registry import detector_config, detector_entry, load_class
from trainables.saving import load_detector, save_detector
from trainables.winner_manifest import MANIFEST, Column, Manifest, Origin, installed

if TYPE_CHECKING:
    from trainables.data.parts import Parts
    from trainables.trial import EvaluationSettings, TrialRequest

MOST_BYTES = 512 * 2**20
"""Files travel from worker to driver in memory; an adapter of the largest MOMENT has 10 MB."""

PICKLES = (".pkl", ".pickle", ".joblib", ".pt", ".pth", ".bin", ".ckpt")
"""Suffixes of files that run code when they are loaded: refused."""

PROBE = 4
"""Reference windows that a detector must score alike before and after it was saved."""


@dataclass(frozen=True, slots=True)
class SavedWinner:
    """A winner on its way from the worker to the run folder: manifest, and bytes by file name."""

    manifest: Manifest
    files: Mapping[str, bytes]

    def without_files(self, reason: str) -> Self:
        """Return what is left where saving did not work."""
        return replace(self, manifest=self.manifest.model_copy(update={"not_saved": reason, "files": {}}), files={})

    def from_(self, origin: Origin) -> Self:
        """Return the winner with its origin."""
        return replace(self, manifest=self.manifest.model_copy(update={"origin": origin}))

    def write(self, folder: Path) -> None:
        """Write all files into a new folder, the manifest last."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        text = json.dumps(self.manifest.model_dump(mode="json"), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / MANIFEST).write_text(text + "\n", encoding="utf-8")


def describe(
    request: "TrialRequest",
    settings: "EvaluationSettings",
    parts: "Parts",
    resources: TrialResources,
    threshold: tuple[float, str],
) -> SavedWinner:
    """Return the manifest of a fitted detector, without files yet; `threshold` is its value and its rule."""
    scaler, reference, series = parts.scaler, parts.reference, parts.series
    entry, kind = detector_entry(request.detector, request.class_path), parts.held_out
    level, level_spread = standardisation(squashed_rows(reference))
    numbers = zip(scaler.columns, scaler.centre, scaler.spread, scaler.median, scaler.rules, level, level_spread,
                  strict=True)  # fmt: skip
    manifest = Manifest(
        detector=request.detector,
        class_path=request.class_path,
        settings=detector_config(request.detector, request.settings, request.class_path).model_dump(mode="json"),
        labels=entry.labels,
        seed=resources.seed,
        threads=resources.threads,
        device=resources.device,
        source=series.name,
        simulated=series.simulated,
        fold=request.fold,
        shots=request.shots,
        draw=request.draw,
        held_out=None if kind is None else f"{kind.kind}, {kind.exposure}",
        window=settings.data.window,
        step_s=series.step_s,
        timezone=settings.data.timezone,
        normalise=settings.data.normalise,
        columns=tuple(Column(**dict(zip(Column.model_fields, values, strict=True))) for values in numbers),
        dropped=(*series.dropped, *(name for name in series.columns if name not in scaler.columns)),
        threshold=threshold[0],
        threshold_rule=threshold[1],
        versions=dict(installed()),
    )
    return SavedWinner(manifest, {})


def with_files(winner: SavedWinner, detector: Detector, parts: "Parts", resources: TrialResources) -> SavedWinner:
    """Save the detector, load it again, and return the winner with its files if both score alike.

    Raises
    ------
    SavingError
        The detector cannot be saved, is too large, or scores differently when loaded again.
    """
    with tempfile.TemporaryDirectory(prefix="winner-") as name:
        folder = Path(name)
        save_detector(detector, folder)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        if folder / MANIFEST in paths:
            raise SavingError(f"the detector writes {MANIFEST}, a name that is taken")
        pickles = [path.name for path in paths if path.suffix in PICKLES]
        if pickles:
            raise SavingError(f"{', '.join(pickles)}: a pickle runs code when it is loaded; write safetensors or skops")
        size = sum(path.stat().st_size for path in paths)
        if size > MOST_BYTES:
            raise SavingError(f"its files take {size / 2**20:.0f} MB, more than {MOST_BYTES >> 20}")
        probe = parts.reference.take(np.arange(min(PROBE, len(parts.reference))))
        again = _loaded(winner.manifest, folder, resources)
        if detector.score(probe).tobytes() != again.score(probe).tobytes():
            raise SavingError("it scores differently after it was saved and loaded again; give the class save and load")
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return replace(winner, manifest=winner.manifest.model_copy(update={"files": hashes}), files=files)


def load_winner(folder: Path, manifest: Manifest, device: Literal["cpu", "cuda"] = "cpu") -> Detector:
    """Return the fitted detector of a winner.

    Raises
    ------
    WinnerError
        It was not saved, or a file is missing or damaged.
    DetectorError, WeightsError, MissingPackageError
        Its class, its backbone or a package is not to be had here.
    """
    if manifest.not_saved:
        raise WinnerError(f"{folder}: {manifest.title} was not saved: {manifest.not_saved}")
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise WinnerError(f"{path}: missing; the winner is incomplete")
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise WinnerError(f"{path}: changed since it was saved; take the winner from its run folder again")
    _check_backbone(folder, manifest)
    resources = TrialResources(seed=manifest.seed, threads=manifest.threads, device=device)
    return _loaded(manifest, folder, resources)


def _loaded(manifest: Manifest, files: Path, resources: TrialResources) -> Detector:
    cls = load_class(detector_entry(manifest.detector, manifest.class_path).path)
    config = detector_config(manifest.detector, manifest.settings, manifest.class_path)
    return load_detector(cls, files, config, resources)


def _check_backbone(folder: Path, manifest: Manifest) -> None:
    """Refuse to score with other weights than those the winner was fitted on."""
    name = manifest.settings.get("backbone")
    expected = manifest.origin.weights.get(str(name)) if manifest.origin is not None else None
    if expected is None:
        return
    from trainables.backbones import WEIGHTS_FILE, resolve  # noqa: PLC0415  (only where there is a backbone)

    with (resolve(str(name)) / WEIGHTS_FILE).open("rb") as weights:
        found = hashlib.file_digest(weights, "sha256").hexdigest()
    if found != expected:
        raise WinnerError(
            f"{folder}: the backbone {name!r} is not the one that the winner was fitted on "
            f"(SHA-256 {found[:12]}, then {expected[:12]})"
        )
