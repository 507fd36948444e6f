"""The `detectors` part of a sweep file: which detectors run, with which fixed and searched settings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from orchestrator.problems import Problems, found, unknown
from orchestrator.space import KINDS, Dimension, kind_problem
from orchestrator.yaml_source import KeyPath, Value
from trainables.backbones import BUNDLED, PUBLISHED
from trainables.errors import DetectorError
from trainables.paths import expanded
from trainables.protocol import DetectorConfig, Labels, Scalar
from trainables.registry import config_class, detector_entry, detector_names

OWN_KEYS = ("class", "space", "sources")
"""Keys of a detector that are not settings of it."""


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """One detector of a sweep.

    Attributes
    ----------
    class_path
        The user's own `module:Class`; None for a built-in detector.
    labels, gpu
        As the registry or the class says.
    settings
        Fixed settings.
    space
        Searched settings.
    sources
        Names of the sources that it runs on; empty: on all.
    """

    class_path: str | None
    labels: Labels
    gpu: bool
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    space: Mapping[str, Dimension] = field(default_factory=dict)
    sources: tuple[str, ...] = ()

    def dump(self) -> dict[str, Value]:
        """Return the mapping that the sweep file would hold."""
        out: dict[str, Value] = {} if self.class_path is None else {"class": self.class_path}
        out.update(self.settings)
        if self.space:
            out["space"] = {name: {entry.kind: list(entry.values)} for name, entry in self.space.items()}
        if self.sources:
            out["sources"] = list(self.sources)
        return out


def read_detectors(values: Value, base: Path, problems: Problems) -> dict[str, DetectorSpec]:
    """Return the detectors of a sweep file; mistakes go into `problems` and their detectors are left out.

    `base` is the folder that settings which are paths (`./...`, `../...`) start from.
    """
    root: KeyPath = ("detectors",)
    if not isinstance(values, dict) or not values:
        problems.add(root, f"found {found(values)}; must map at least one detector to its settings (pca: {{}})")
        return {}
    specs = {}
    for name, entry in values.items():
        spec = _read_one(name, entry, base, problems)
        if spec is not None:
            specs[name] = spec
    return specs


def _read_one(name: str, entry: Value, base: Path, problems: Problems) -> DetectorSpec | None:
    path: KeyPath = ("detectors", name)
    if not isinstance(entry, dict):
        problems.add(path, f"found {found(entry)}; must be a mapping of settings, {{}} for the defaults")
        return None
    if not name.replace("_", "").replace("-", "").isalnum():
        problems.add(path, "a detector's name has letters, digits, _ and - only: it names files", at_key=True)
        return None
    class_path = entry.get("class")
    if class_path is None and name not in detector_names():
        text = unknown("detector", name, detector_names())
        problems.add(path, f"{text}; or give class: module:Class for your own", at_key=True)
        return None
    if class_path is not None and not isinstance(class_path, str):
        problems.add((*path, "class"), f"found {found(class_path)}; must be text like module:Class")
        return None
    try:
        config = config_class(name, class_path)
        detector = detector_entry(name, class_path)
    except DetectorError as err:
        problems.add((*path, "class") if class_path else path, str(err))
        return None
    settings = _settings(entry, path, config, base, problems)
    space = _space(entry.get("space", {}), path, config, settings, problems)
    _check_values(config, settings, space, path, problems)
    _check_files(config, settings, space, path, problems)
    if "backbone" in config.model_fields:
        _check_backbones(settings, space, path, problems)
    sources = _sources(entry.get("sources"), path, problems)
    return DetectorSpec(class_path, detector.labels, detector.gpu, settings, space, sources)


def _sources(value: Value, path: KeyPath, problems: Problems) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        problems.add((*path, "sources"), f"found {found(value)}; must be a list of names of sources")
        return ()
    return tuple(str(name) for name in value)


def _settings(
    entry: Mapping[str, Value], path: KeyPath, config: type[DetectorConfig], base: Path, problems: Problems
) -> dict[str, Scalar]:
    settings: dict[str, Scalar] = {}
    for key, value in entry.items():
        if key in OWN_KEYS:
            continue
        if key not in config.model_fields:
            problems.add((*path, key), unknown("parameter", key, [*config.model_fields, *OWN_KEYS]), at_key=True)
        elif isinstance(value, list | dict):
            single = _single(config, key, value)
            if single is None:
                problems.add((*path, key), f"found {found(value)}; must be a single value (to search it: space)")
            else:
                settings[key] = single
        elif isinstance(value, str) and key in config.files:
            settings[key] = str((base / expanded(value)).resolve())
        elif isinstance(value, str) and value.startswith(("./", "../")):
            settings[key] = str((base / value).resolve())
        else:
            settings[key] = value
    return settings


def _single(config: type[DetectorConfig], key: str, value: Value) -> Scalar | None:
    """Return the single value that a setting reads this as (`channels: {keep: 16}`), or None."""
    try:
        read = getattr(config.model_validate({key: value}), key)
    except ValidationError:
        return None
    return read if isinstance(read, bool | int | float | str) else None


def _space(
    values: Value,
    path: KeyPath,
    config: type[DetectorConfig],
    settings: Mapping[str, Scalar],
    problems: Problems,
) -> dict[str, Dimension]:
    root = (*path, "space")
    if not isinstance(values, dict):
        problems.add(root, f"found {found(values)}; must map parameters to dimensions (rank: {{choice: [2, 4]}})")
        return {}
    space: dict[str, Dimension] = {}
    for key, value in values.items():
        if key not in config.model_fields:
            problems.add((*root, key), unknown("parameter", key, config.model_fields), at_key=True)
            continue
        if key in settings:
            problems.add((*root, key), "is fixed above and searched here; keep one of them", at_key=True)
        dimension = _dimension(value, (*root, key), problems)
        if dimension is not None:
            space[key] = dimension
    return space


def _dimension(value: Value, path: KeyPath, problems: Problems) -> Dimension | None:
    if not isinstance(value, dict) or len(value) != 1:
        shape = ", ".join(f"{kind}: [...]" for kind in KINDS)
        problems.add(path, f"found {found(value)}; must be one of {{{shape}}}; a fixed value goes outside space")
        return None
    kind, values = next(iter(value.items()))
    wrong_kind = kind_problem(kind)
    if wrong_kind is not None:
        problems.add((*path, kind), wrong_kind, at_key=True)
        return None
    if not isinstance(values, list) or any(isinstance(item, list | dict) for item in values):
        problems.add((*path, kind), f"found {found(values)}; must be a list of single values")
        return None
    try:
        return Dimension(kind, tuple(item for item in values if not isinstance(item, list | dict)))
    except ValueError as err:
        problems.add((*path, kind), str(err))
        return None


def _check_values(
    config: type[DetectorConfig],
    settings: Mapping[str, Scalar],
    space: Mapping[str, Dimension],
    path: KeyPath,
    problems: Problems,
) -> None:
    """Construct the detector's settings with the first value of each dimension, then with each of its others."""
    first = {name: dimension.values[0] for name, dimension in space.items()}
    places: dict[str, KeyPath] = {name: (*path, "space", name, entry.kind, 0) for name, entry in space.items()}
    _construct(config, {**settings, **first}, places, space, path, problems)
    for name, entry in space.items():
        root: KeyPath = (*path, "space", name, entry.kind)
        for index, value in enumerate(entry.values[1:], start=1):
            _construct(config, {**settings, **first, name: value}, {name: (*root, index)}, space, path, problems)
        if entry.kind in {"uniform", "log_uniform"}:
            between = _between(entry)
            _construct(config, {**settings, **first, name: between}, {name: root}, space, path, problems)


def _check_files(
    config: type[DetectorConfig],
    settings: Mapping[str, Scalar],
    space: Mapping[str, Dimension],
    path: KeyPath,
    problems: Problems,
) -> None:
    """Refuse settings that name no file, and files that a search would choose."""
    for key in config.files:
        if key in space:
            problems.add((*path, "space", key), "names a file and cannot be searched", at_key=True)
        elif not settings.get(key):
            problems.add(path, f"needs {key}: {config.model_fields[key].description}", at_key=True)
        elif not Path(str(settings[key])).is_file():
            problems.add((*path, key), f"{settings[key]}: no such file")


def _check_backbones(
    settings: Mapping[str, Scalar], space: Mapping[str, Dimension], path: KeyPath, problems: Problems
) -> None:
    """Refuse backbones that are neither known names nor folders; nothing is resolved or downloaded here."""
    named: dict[KeyPath, Scalar] = {}
    if "backbone" in settings:
        named[*path, "backbone"] = settings["backbone"]
    if "backbone" in space:
        root: KeyPath = (*path, "space", "backbone", space["backbone"].kind)
        named |= {(*root, index): value for index, value in enumerate(space["backbone"].values)}
    known = (BUNDLED, *PUBLISHED)
    for place, name in named.items():
        if isinstance(name, str) and name not in known and not expanded(name).is_dir():
            hint = "no such folder; " if Path(name).is_absolute() else "a folder starts with ./ or /; "
            problems.add(place, f"found {found(name)}; {hint}{unknown('backbone', name, known)}")


def _between(dimension: Dimension) -> float:
    """Return a value inside a range that is no whole number, to find out whether the setting takes fractions."""
    low, high = (float(end) for end in dimension.values if isinstance(end, int | float))
    inside = low + 0.37 * (high - low)
    return inside if not inside.is_integer() else low + 0.41 * (high - low)


def _construct(
    config: type[DetectorConfig],
    values: Mapping[str, Scalar],
    tried: Mapping[str, KeyPath],
    space: Mapping[str, Dimension],
    path: KeyPath,
    problems: Problems,
) -> None:
    """Note what is wrong with one set of values; `tried` says where the searched values on trial stand."""

    def place(inner: KeyPath) -> KeyPath | None:
        name = str(inner[0]) if inner else ""
        if name in space:
            return tried.get(name)  # None: another dimension, checked in its own turn
        return (*path, *inner)

    plain: dict[str, Value] = dict(values)
    try:
        config.model_validate_json(json.dumps(plain), strict=True)
    except ValidationError as err:
        problems.add_invalid(err, config, plain, place)
