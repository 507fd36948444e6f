"""What the command line changes in a sweep file before it is checked: `--set` and `--data`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.errors import SpecError
from orchestrator.yaml_source import KeyPath, Value, scalar
from trainables.paths import expanded

PATH_KEYS = ("path", "incidents")
"""Keys of a data source that are files."""


def resolve_paths(values: Mapping[str, Value], base: Path) -> None:
    """Make the file paths of the data sources absolute, in place; relative ones start from `base`."""
    data = values.get("data")
    for source in data if isinstance(data, list) else [data]:
        if isinstance(source, dict):
            for key in PATH_KEYS:
                _resolve(source, key, base)


def replace_data(values: dict[str, Value], path: Path | None) -> dict[KeyPath, str]:
    """Let the sources read `path` (from the current folder) instead; return which keys the option set.

    Several sources must have been views of one table, as those of `ablations.yaml` are. A simulated source becomes
    a table, any other keeps its reader.

    Raises
    ------
    SpecError
        The file has sources that read unlike telemetry, or data that is no mapping.
    """
    if path is None:
        return {}
    data = values.setdefault("data", {})
    listed = data if isinstance(data, list) else [data]
    sources = [source for source in listed if isinstance(source, dict)]
    if not sources or len(sources) < len(listed):
        raise SpecError([f"--data {path}: needs a sweep file whose data are a mapping or a list of them"])
    if any(_telemetry(source) != _telemetry(sources[0]) for source in sources):
        raise SpecError([f"--data {path}: its {len(sources)} sources read unlike telemetry; use --set data.0.path="])
    for source in sources:
        source["path"] = str(expanded(path).absolute())
        if source.get("source", "simulated") == "simulated":
            source["source"] = "table"
            source.pop("incidents", None)
    places: list[KeyPath] = [("data", n, "path") for n in range(len(listed))] if listed is data else [("data", "path")]
    return dict.fromkeys(places, f"--data {path}")


def _telemetry(source: Mapping[str, Value]) -> list[Value]:
    """Return what decides which rows a source reads, as the sweep file says it."""
    return [source.get(key) for key in ("source", "path", "incidents", "rows", "seed", "simulator")]


def apply_overrides(values: dict[str, Value], options: Sequence[str]) -> dict[KeyPath, str]:
    """Apply `key.path=value` options in place, in order; return which option set which key path.

    A number in a key path is the place in a list (`data.0.window=64`); keys that do not exist are made, so that
    a wrong one is reported like a wrong key of the file.

    Raises
    ------
    SpecError
        An option without `=` or key, a value that is not YAML, or a key path through a single value.
    """
    origins: dict[KeyPath, str] = {}
    problems: list[str] = []
    for option in options:
        try:
            origins[_apply(values, option)] = f"--set {option}"
        except SpecError as err:
            problems += [f"--set {option}: {problem}" for problem in err.problems]
    if problems:
        raise SpecError(problems)
    return origins


def _apply(values: dict[str, Value], option: str) -> KeyPath:
    key_text, equals, value_text = option.partition("=")
    parts = key_text.strip().split(".")
    if not equals or not all(parts):
        raise SpecError(["must look like key.path=value, for example few_shot.shots=[0, 100]"])
    value = scalar(value_text)
    here: Value = values
    path: list[str | int] = []
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if isinstance(here, list) and part.isdigit() and int(part) < len(here):
            index = int(part)
            path.append(index)
            if last:
                here[index] = value
            here = here[index]
        elif isinstance(here, dict):
            path.append(part)
            here = _step(here, part, value if last else None, last=last)
        else:
            raise SpecError([f"{'.'.join(parts[:position])} is no mapping and has no {part}"])
    resolve_paths(values, Path.cwd())
    return tuple(path)


def _step(here: dict[str, Value], key: str, value: Value, *, last: bool) -> Value:
    """Set or enter a key of a mapping; a missing or empty one is made."""
    if last:
        here[key] = value
    elif here.get(key) is None:
        here[key] = {}
    return here[key]


def _resolve(source: dict[str, Value], key: str, base: Path) -> None:
    text = source.get(key)
    if isinstance(text, str) and text:
        source[key] = str((base / expanded(text)).resolve())
