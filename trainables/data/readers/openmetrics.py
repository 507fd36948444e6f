"""OpenMetrics and Prometheus text with timestamps, as `promtool tsdb dump-openmetrics` writes it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trainables.data.assemble import RawColumns
from trainables.data.readers.files import UNREADABLE, files_of, opened_text, path_of
from trainables.data.readers.reader import Reader, Say
from trainables.data.readers.samples import Kind, Samples
from trainables.data.readers.timestamps import Clock
from trainables.errors import DataError
from trainables.settings import DataSettings

PIECE_SAMPLES = 50_000
"""Samples of a file that are in memory together."""

_SUFFIXES = (".txt", ".prom", ".om", ".openmetrics", ".metrics", ".txt.gz", ".prom.gz", ".om.gz")
_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][\w:]*)\s*(?:\{(?P<labels>(?:[^\"}]|\"(?:\\.|[^\"\\])*\")*)\})?"
    r"\s+(?P<value>\S+)(?:\s+(?P<time>[-+\d.eE]+))?(?:\s+#.*)?\s*"
)
_LABEL = re.compile(r'\s*([a-zA-Z_]\w*)\s*=\s*"((?:\\.|[^"\\])*)"\s*(?:,|$)')
_ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give the samples of all files as one table; `# TYPE` says what counts up, else the name does."""
    root = path_of(data)
    samples = Samples(str(root))
    for path in files_of(root, _SUFFIXES, "OpenMetrics text"):
        try:
            with opened_text(path) as lines:
                types = _types(lines)
            with opened_text(path) as lines:
                _add(samples, path, lines, types)
        except UNREADABLE as err:
            raise DataError(f"{path}: cannot be read as text: {err}") from err
    yield samples.wide(say)


READER = Reader(
    about="OpenMetrics or Prometheus text with timestamps (promtool tsdb dump-openmetrics), a file or a folder",
    example="openmetrics dump.txt --incidents incidents.csv",
    recordings=recordings,
    labelled=False,
)


def _types(lines: Iterable[str]) -> dict[str, str]:
    """Return the type of each metric family; a later declaration counts for earlier samples, too."""
    declared = (line.split() for line in lines if line.startswith("#"))
    return {words[2]: words[3] for words in declared if len(words) == 4 and words[1] == "TYPE"}


def _add(samples: Samples, path: Path, lines: Iterable[str], types: dict[str, str]) -> None:
    clocks: dict[tuple[str, str], Clock] = {}
    found: dict[tuple[str, str], _Piece] = {}
    held = 0
    for number, line in enumerate(lines, start=1):
        if line.startswith("#") or not line.strip():
            continue
        name, labels, time, value = _parsed(line, f"{path}: line {number}")
        piece = found.setdefault((name, labels), _Piece())
        piece.lines.append(number)
        piece.times.append(time)
        piece.values.append(value)
        held += 1
        if held == PIECE_SAMPLES:
            _add_pieces(samples, path, found, types, clocks)
            found, held = {}, 0
    _add_pieces(samples, path, found, types, clocks)


def _add_pieces(
    samples: Samples,
    path: Path,
    found: dict[tuple[str, str], "_Piece"],
    types: dict[str, str],
    clocks: dict[tuple[str, str], Clock],
) -> None:
    """Hand on the samples that were read since the last time."""
    _declare(samples, types, {name for name, _ in found})
    for (name, labels), piece in found.items():
        if name.endswith("_created") and _base(name, types) in types:
            continue  # the time at which a counter began, not a measurement
        clock = clocks.setdefault((name, labels), Clock(None, str(path)))
        stamps = clock.utc(np.asarray(piece.times), lambda row: f"line {piece.lines[row]}")  # noqa: B023
        samples.add(name, _labels(labels, path), stamps.astype(np.int64), np.asarray(piece.values))


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some samples of one series, and the lines in which they stand."""

    lines: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


def _parsed(line: str, place: str) -> tuple[str, str, float, float]:
    """Return name, labels, time and value of a sample."""
    match = _SAMPLE.fullmatch(line)
    if match is None:
        raise DataError(f'{place}: {line.strip()[:60]!r} is not a sample: name{{label="value"}} value timestamp')
    if match["time"] is None:
        raise DataError(
            f"{place}: the sample has no timestamp: this is the state of one moment; "
            "promtool tsdb dump-openmetrics writes samples with their times"
        )
    try:
        return match["name"], match["labels"] or "", float(match["time"]), float(match["value"])
    except ValueError as err:
        raise DataError(f"{place}: {err}") from err


def _declare(samples: Samples, types: dict[str, str], names: set[str]) -> None:
    for name in names:
        kind = types.get(name) or types.get(_base(name, types))
        if kind in {"histogram", "summary"}:
            counts: Kind = "counter" if name.endswith(("_bucket", "_sum", "_count")) else "gauge"
            samples.declare(name, counts)
        elif kind in {"counter", "gauge", "gaugehistogram", "info", "stateset"}:
            samples.declare(name, "counter" if kind == "counter" else "gauge")


def _base(name: str, types: dict[str, str]) -> str:
    """Return the name of the metric family that a sample belongs to."""
    base = re.sub(r"_(total|bucket|sum|count|created|gsum|gcount|info)$", "", name)
    return base if base in types else f"{base}_total"


def _labels(text: str, path: Path) -> dict[str, str]:
    labels: dict[str, str] = {}
    place = 0
    while place < len(text.rstrip()):
        match = _LABEL.match(text, place)
        if match is None:
            raise DataError(f'{path}: labels {{{text}}} are not of the form name="value", ...')
        labels[match[1]] = re.sub(r'\\[\\"n]', lambda escape: _ESCAPES[escape[0]], match[2])
        place = match.end()
    return labels
