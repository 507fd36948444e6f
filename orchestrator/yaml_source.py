"""YAML text to plain values, with the line and column of every key and value.

Stricter than PyYAML, because a sweep that runs for a day should not start on a misread file: a key given
twice, a tab, an anchor or tag, and the plain words yes, no, on and off (booleans in YAML 1.1, words in 1.2)
are refused, each with its place. More lenient in one point: `1e-4` is a number. Dates stay text.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.tokens import AliasToken, AnchorToken, DirectiveToken, TagToken

from orchestrator.errors import SpecError

Value = bool | int | float | str | None | list["Value"] | dict[str, "Value"]
KeyPath = tuple[str | int, ...]

MAX_BYTES = 1_000_000
"""A sweep file is a page or two; a table given by mistake should not be parsed for minutes."""

_TAG = "tag:yaml.org,2002:"
_SWITCH_WORDS = re.compile(r"^(?:yes|no|on|off)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands: line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Positions:
    """Places of every key path of one file; what stands nowhere is placed at its nearest parent."""

    name: str
    keys: Mapping[KeyPath, Place]
    values: Mapping[KeyPath, Place]

    def key(self, path: KeyPath) -> Place:
        """Place of a key (of an item, in a list)."""
        return self._nearest(path, self.keys)

    def value(self, path: KeyPath) -> Place:
        """Place of a value."""
        return self._nearest(path, self.values)

    def _nearest(self, path: KeyPath, wanted: Mapping[KeyPath, Place]) -> Place:
        if path in wanted:
            return wanted[path]
        for end in range(len(path) - 1, 0, -1):
            if path[:end] in self.keys:
                return self.keys[path[:end]]
        return Place(1, 1)


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2: what is not listed below is text."""


_NUMBER = r"(?:(?:0|[1-9][0-9_]*)(?:\.[0-9_]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(?:0|[1-9][0-9_]*)", list("-+0123456789")),  # 010 is 8 in YAML 1.1 and 10 in 1.2: text here
    "float": (rf"[-+]?{_NUMBER}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", list("-+.0123456789")),
}
_Loader.yaml_implicit_resolvers = {}
for _kind, (_pattern, _first) in _SCALARS.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", re.compile(f"^(?:{_pattern})$"), _first)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes whatever `_Loader` would not read back as the same text."""


_Dumper.yaml_implicit_resolvers = {first: list(rows) for first, rows in _Loader.yaml_implicit_resolvers.items()}
_Dumper.add_implicit_resolver(f"{_TAG}bool", _SWITCH_WORDS, list("yYnNoO"))


def dump(values: dict[str, Value]) -> str:
    """Return values as YAML text that `parse` reads back as the same."""
    text: str = yaml.dump(
        values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120
    )
    return text


def load(path: Path) -> tuple[dict[str, Value], Positions]:
    """Read a YAML file whose top level is a mapping.

    Raises
    ------
    SpecError
        Every problem of the file, one line each (`file:line:column  key path: what is wrong`). A file that is
        not YAML at all yields the first problem only: what follows cannot be told.
    """
    return parse(_text(path), str(path))


def parse(text: str, name: str) -> tuple[dict[str, Value], Positions]:
    """Read YAML text; `name` stands for the file in messages.

    Raises
    ------
    SpecError
        As `load`.
    """
    _refuse_tabs(text, name)
    try:
        _refuse_indirection(text, name)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as err:
        raise SpecError([_syntax_problem(err, name)]) from err
    except yaml.YAMLError as err:
        raise SpecError([f"{name}:1:1  not YAML: {' '.join(str(err).split())}"]) from err
    if root is None or (isinstance(root, ScalarNode) and not root.value):
        raise SpecError([f"{name}:1:1  the file is empty; a sweep file needs at least name, few_shot and detectors"])
    if not isinstance(root, MappingNode):
        kind = "a list" if isinstance(root, SequenceNode) else "a single value"
        raise SpecError([f"{name}:{_at(root)}  the top level is {kind}; it must be a mapping of keys (name: ...)"])
    walk = _Walk(name)
    values = walk.mapping(root, ())
    if walk.problems:
        raise SpecError(walk.problems)
    return values, Positions(name, walk.keys, walk.values)


def scalar(text: str) -> Value:
    """Read the value of a `--set key=value` option as YAML.

    Raises
    ------
    SpecError
        Not one YAML value; the message names no place, the caller knows it.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as err:
        raise SpecError([f"{text!r} is not a YAML value"]) from err
    walk = _Walk("")
    value = None if root is None else walk.value(root, ())
    if walk.problems:
        raise SpecError([problem.split("  ", 1)[-1].removeprefix(": ") for problem in walk.problems])
    return value


def dotted(path: KeyPath) -> str:
    """Return a key path as messages show it: `few_shot.shots[1]`."""
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except FileNotFoundError as err:
        raise SpecError([f"{path}: no such file"]) from err
    except IsADirectoryError as err:
        raise SpecError([f"{path}: is a folder; give the sweep file in it, or --resume for a run folder"]) from err
    except OSError as err:
        raise SpecError([f"{path}: cannot be read: {err.strerror}"]) from err
    if len(raw) > MAX_BYTES:
        raise SpecError([f"{path}: {len(raw):,} bytes; a sweep file has at most {MAX_BYTES:,} (is this the data?)"])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        line = raw[: err.start].count(b"\n") + 1
        raise SpecError([f"{path}:{line}: not UTF-8 text (byte {err.start}); is this a YAML file?"]) from err
    if "\0" in text:
        raise SpecError([f"{path}:{text[: text.index(chr(0))].count(chr(10)) + 1}: binary file, not YAML"])
    return text


def _refuse_tabs(text: str, name: str) -> None:
    problems = []
    for number, line in enumerate(text.splitlines(), start=1):
        indent = line[: len(line) - len(line.lstrip())]
        if "\t" in indent and line.strip() and not line.lstrip().startswith("#"):
            problems.append(f"{name}:{number}:{indent.index(chr(9)) + 1}  tab in the indentation; use spaces")
    if problems:
        raise SpecError(problems)


def _refuse_indirection(text: str, name: str) -> None:
    words = {AnchorToken: "anchor &", AliasToken: "alias *", TagToken: "tag !", DirectiveToken: "directive %"}
    problems = []
    for token in yaml.scan(text, Loader=_Loader):
        if type(token) in words:
            what = words[type(token)]
            place = f"{token.start_mark.line + 1}:{token.start_mark.column + 1}"
            problems.append(f"{name}:{place}  {what} is not supported; write the value out, or quote it if it is text")
    if problems:
        raise SpecError(problems)


def _syntax_problem(err: yaml.MarkedYAMLError, name: str) -> str:
    mark = err.problem_mark or err.context_mark
    place = f"{mark.line + 1}:{mark.column + 1}" if mark is not None else "1:1"
    problem = err.problem or "cannot be parsed"
    if "\\t" in problem:
        return f"{name}:{place}  not YAML: tab; use spaces"
    context = f" ({err.context})" if err.context else ""
    return f"{name}:{place}  not YAML: {problem}{context}"


def _at(node: Node) -> str:
    return f"{node.start_mark.line + 1}:{node.start_mark.column + 1}"


class _Walk:
    """Turns nodes into values and notes where each stands and what is wrong with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys: dict[KeyPath, Place] = {}
        self.values: dict[KeyPath, Place] = {}
        self.problems: list[str] = []

    def value(self, node: Node, path: KeyPath) -> Value:
        self.values[path] = _place(node)
        if isinstance(node, MappingNode):
            return self.mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._item(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key_node, value_node, key in self._checked_keys(node, path):
            self.keys[(*path, key)] = _place(key_node)
            values[key] = self.value(value_node, (*path, key))
        return values

    def _checked_keys(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[Node, Node, str]]:
        first: dict[str, Node] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, ScalarNode):
                self._refuse(key_node, path, "a key must be a word, found a list or mapping")
            elif _is_plain(key_node) and (key_node.tag != f"{_TAG}str" or _SWITCH_WORDS.match(key)):
                self._refuse(
                    key_node,
                    path,
                    f'key {key or "(empty)"} is not text in YAML; if you mean the word, quote it: "{key}":',
                )
            elif key in first:
                seen = first[key].start_mark.line + 1
                self._refuse(key_node, (*path, key), f"given twice; first on line {seen}. Keep one of them")
            else:
                first[key] = key_node
                yield key_node, value_node, key

    def _item(self, node: Node, path: KeyPath) -> Value:
        self.keys[path] = _place(node)
        return self.value(node, path)

    def _scalar(self, node: Node, path: KeyPath) -> Value:
        text = str(node.value)
        if _is_plain(node) and _SWITCH_WORDS.match(text):
            truth = "true" if text.lower() in {"yes", "on"} else "false"
            self._refuse(
                node, path, f'{text} is read differently by YAML versions; write {truth}, or "{text}" for text'
            )
            return None
        match node.tag.removeprefix(_TAG):
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text.replace("_", ""))
            case "float":
                return self._float(node, path)
            case _:
                return text

    def _float(self, node: Node, path: KeyPath) -> float:
        text = str(node.value).replace("_", "").lower()
        number = float(text.replace(".inf", "inf").replace(".nan", "nan"))
        if not math.isfinite(number):
            self._refuse(node, path, f"{node.value} is not a finite number")
        return number

    def _refuse(self, node: Node, path: KeyPath, what: str) -> None:
        where = f"{dotted(path)}: " if path else ""
        self.problems.append(f"{self.name}:{_at(node)}  {where}{what}")


def _place(node: Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _is_plain(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.style is None
