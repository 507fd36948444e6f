"""A finding: what a careful colleague would say about a table, where, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Severity = Literal["severe", "warning", "note"]
SEVERITIES: Final[tuple[Severity, ...]] = ("severe", "warning", "note")
"""severe: results would mislead; warning: know it before you believe a number; note: taken care of, or cosmetic."""

SHOWN = 6
"""Names that a sentence lists before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about a table.

    Attributes
    ----------
    severity
        See `SEVERITIES`.
    kind
        Name of the kind of finding, stable, for programs.
    what
        What was seen, with numbers; one or two sentences.
    remedy
        What to do about it.
    columns
        All columns concerned.
    times
        All stretches concerned, (first, last) as ISO 8601 in UTC.
    yaml
        Lines for the sweep file, as a mapping from the top level; empty where nothing is to be changed there.
    """

    severity: Severity
    kind: str
    what: str
    remedy: str
    columns: tuple[str, ...] = ()
    times: tuple[tuple[str, str], ...] = ()
    yaml: str = ""


def listed(names: Sequence[str], shown: int = SHOWN) -> str:
    """Return the first names and how many more there are."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def moment(stamp: np.datetime64) -> str:
    """Return a time as ISO 8601 in UTC, to the second."""
    return f"{np.datetime_as_string(stamp, unit='s')}Z"


def span(timestamps: NDArray[np.datetime64], start: int, stop: int) -> tuple[str, str]:
    """Return the first and the last time of rows start..stop - 1."""
    return moment(timestamps[start]), moment(timestamps[stop - 1])


def rounded(value: float, digits: int) -> str:
    """Return a number to so many digits, written out: 1,100 and not 1.1e+03."""
    return f"{float(f'{value:.{digits}g}'):,.12g}"


def duration(seconds: float) -> str:
    """Return a duration in the unit that reads best."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{rounded(seconds / size, 3)} {unit}"
    return f"{rounded(seconds, 3)} s"


def drop_line(columns: Sequence[str]) -> str:
    """Return the line of a sweep file that leaves columns out."""
    return f"data: {{drop: [{', '.join(quoted(name) for name in columns)}]}}"


def quoted(text: str) -> str:
    """Return a name as YAML takes it inside a list in flow style."""
    return "'" + text.replace("'", "''") + "'"
