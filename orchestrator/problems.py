"""Mistakes of a sweep file, collected: where each stands, what was found, what is allowed, the nearest valid name."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestrator.yaml_source import KeyPath, Positions, Value, dotted


class Problems:
    """All mistakes of one file and its command-line overrides.

    `overrides` maps a key path to the option that set it: such a value stands on the command line.
    """

    def __init__(self, positions: Positions, overrides: Mapping[KeyPath, str] | None = None) -> None:
        self._positions = positions
        self._overrides = overrides or {}
        self._found: dict[str, tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._found)

    @property
    def lines(self) -> list[str]:
        """One line a problem, in the order of the file; command-line options last."""
        return sorted(self._found, key=lambda line: self._found[line])

    def add(self, path: KeyPath, what: str, *, at_key: bool = False) -> None:
        """Note a problem of the value (or the key) at a path."""
        option = next((text for start, text in self._overrides.items() if self._was_set(path, start)), None)
        if option is not None:
            self._found.setdefault(without_keys(f"{option}  {dotted(path)}: {what}"), (10**9, len(self._found)))
            return
        place = self._positions.key(path) if at_key else self._positions.value(path)
        line = f"{self._positions.name}:{place.line}:{place.column}  {dotted(path) or 'file'}: {what}"
        self._found.setdefault(without_keys(line), (place.line, place.column))

    def _was_set(self, path: KeyPath, start: KeyPath) -> bool:
        """Say whether an option set the key, or made it on the way to a key of its own."""
        made = path not in self._positions.values and start[: len(path)] == path
        return path[: len(start)] == start or made

    def add_invalid(
        self,
        err: ValidationError,
        model: type[BaseModel],
        values: Value,
        place: Callable[[KeyPath], KeyPath | None] = lambda path: path,
    ) -> None:
        """Note everything that pydantic found in `values`.

        `place` turns a path within the values into one within the file; None leaves that problem out.
        """
        grouped: dict[KeyPath, list[ErrorDetails]] = {}
        for error in err.errors(include_url=False):
            grouped.setdefault(_real_path(error, values), []).append(error)
        for inner, errors in grouped.items():
            path = place(inner)
            if path is None or any(_is_below(other, inner) for other in grouped):
                continue  # below: another branch of a union fits the value better and says what is wrong inside
            kinds = {error["type"] for error in errors}
            if kinds == {"extra_forbidden"} and _SECRET_NAME.search(str(inner[-1])):
                self.add(path, f"{NO_SECRETS}; remove this line", at_key=True)
            elif kinds == {"extra_forbidden"}:
                self.add(path, unknown("key", str(inner[-1]), known_keys(model, inner[:-1])), at_key=True)
            elif kinds == {"missing"}:
                self.add(path, "is missing and has no default", at_key=True)
            else:
                self.add(path, _explain(errors))


NO_SECRETS = "keys and passwords do not belong in a sweep file: run `wandb login`, or set WANDB_API_KEY"

_SECRET_NAME = re.compile(r"(?:^|_)(?:api_?key|key|token|secret|password)$", re.IGNORECASE)

_WANDB_KEY = re.compile(r"(?<![0-9A-Za-z_])(?:local-)?(?:[0-9a-f]{40}|wandb_v\d+_\w{16,})(?!\w)")
"""What W&B's keys look like: 40 hexadecimal digits, after `local-` on private servers, or wandb_v1_ and more."""


def without_keys(text: str) -> str:
    """Return text with everything that looks like a W&B key taken out."""
    return _WANDB_KEY.sub("(key)", text)


def looks_like_key(text: str) -> bool:
    """Say whether a text holds what looks like a W&B key."""
    return _WANDB_KEY.search(text) is not None


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, with the nearest valid one and all valid ones."""
    names = list(known)
    near = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown {what}; {hint}known: {', '.join(names) if names else '(none)'}"


def found(value: object) -> str:
    """Return a value as a message shows it, on one line and short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys that a (nested) model has at a path; those of all branches where there are several."""
    models = [model]
    for part in path:
        if isinstance(part, int):
            continue  # an item has the keys of its list's type
        inner = [entry.model_fields[part].annotation for entry in models if part in entry.model_fields]
        models = [found_model for annotation in inner for found_model in _models_in(annotation)]
    return list(dict.fromkeys(name for entry in models for name in entry.model_fields))


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _real_path(error: ErrorDetails, values: Value) -> KeyPath:
    """Return pydantic's location without its names for the branches of a union."""
    path: list[str | int] = []
    current: object = values
    for part in error["loc"]:
        if isinstance(part, int) and isinstance(current, list):
            path.append(part)
            current = current[part] if part < len(current) else None
        elif isinstance(part, str) and isinstance(current, dict) and part in current:
            path.append(part)
            current = current[part]
    return (*path, error["loc"][-1]) if error["type"] == "missing" else tuple(path)


def _is_below(path: KeyPath, parent: KeyPath) -> bool:
    return len(path) > len(parent) and path[: len(parent)] == parent


_Words = Callable[[Mapping[str, object]], str]

_ALLOWED: Mapping[str, _Words] = {
    "literal_error": lambda ctx: f"one of {ctx['expected']}",
    "enum": lambda ctx: f"one of {ctx['expected']}",
    "greater_than": lambda ctx: f"above {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"at least {ctx['ge']}",
    "less_than": lambda ctx: f"below {ctx['lt']}",
    "less_than_equal": lambda ctx: f"at most {ctx['le']}",
    "multiple_of": lambda ctx: f"a multiple of {ctx['multiple_of']}",
    "int_type": lambda _: "a whole number",
    "int_from_float": lambda _: "a whole number",
    "int_parsing": lambda _: "a whole number",
    "float_type": lambda _: "a number",
    "float_parsing": lambda _: "a number",
    "bool_type": lambda _: "true or false",
    "bool_parsing": lambda _: "true or false",
    "string_type": lambda _: "text",
    "path_type": lambda _: "a path",
    "string_too_short": lambda ctx: f"text of at least {ctx['min_length']} character",
    "string_pattern_mismatch": lambda ctx: f"text that matches {ctx['pattern']}",
    "tuple_type": lambda _: "a list",
    "list_type": lambda _: "a list",
    "too_short": lambda ctx: f"a list of at least {ctx['min_length']}",
    "dict_type": lambda _: "a mapping of keys",
    "model_type": lambda _: "a mapping of keys",
    "model_attributes_type": lambda _: "a mapping of keys",
}
"""pydantic's type of error -> what would be right."""


def _explain(errors: list[ErrorDetails]) -> str:
    own = [str(error["ctx"]["error"]) for error in errors if error["type"] == "value_error" and "ctx" in error]
    if own:
        return "; ".join(dict.fromkeys(own))
    allowed = [
        _ALLOWED[error["type"]](error.get("ctx", {})) if error["type"] in _ALLOWED else error["msg"] for error in errors
    ]
    value = errors[0]["input"]
    near = ""
    if isinstance(value, str):
        names = [name.strip("'\" ") for text in allowed for name in text.removeprefix("one of ").split("'") if name]
        close = get_close_matches(value, names, n=1, cutoff=0.5)
        near = f"; did you mean {close[0]}?" if close else ""
    return f"found {found(value)}; must be {' or '.join(dict.fromkeys(allowed))}{near}"
