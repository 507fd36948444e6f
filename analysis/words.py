"""Words for people: names of metrics, numbers of labels, values with their intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from trainables.metrics import METRICS

Record = Mapping[str, Any]
"""A row of a frame by column name; what a cell of a frame holds is known to its maker only."""

DASH = "\N{EN DASH}"
"""Stands where there is no number."""

TITLES = {
    "average_precision": "average precision",
    "auroc": "AUROC",
    "vus_pr": "VUS-PR",
    "f1": "F1 at the deployed threshold",
    "precision": "precision at the deployed threshold",
    "recall": "recall at the deployed threshold",
    "oracle_f1": "oracle F1 (threshold chosen with test labels)",
    "event_recall": "share of faults caught",
    "composite_f1": "composite F1",
    "affiliation_precision": "affiliation precision",
    "affiliation_recall": "affiliation recall",
    "false_alarms_per_day": "false alarms a day",
    "delay_s": "delay (seconds)",
    "macro_f1": "macro-F1 over fault types",
}


def records(frame: pd.DataFrame) -> list[Record]:
    """Return the rows of a frame, each a mapping from column to value."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def absent(value: float | None) -> bool:
    """Return True for None and NaN."""
    return value is None or value != value  # noqa: PLR0124  (the definition of NaN)


def metric_title(name: str) -> str:
    """Return the name of a metric for people."""
    return TITLES.get(name, name.replace("_", " "))


def metric_meaning(name: str) -> str:
    """Return one line about a metric; empty for one this version does not know."""
    return METRICS[name].meaning if name in METRICS else ""


def shorten(text: str, most: int) -> str:
    """Return text of at most `most` characters on one line, the middle cut out if it is longer.

    Examples
    --------
    >>> shorten("abcdefghij", 7)
    'abcd…ij'
    """
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    head = (most - 1) * 2 // 3
    return f"{line[:head]}…{line[head + 1 - most :]}"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number for people: fixed digits for shares, fewer for large values, a dash for none.

    Examples
    --------
    >>> number(0.12345), number(12.345), number(12345.6), number(float("nan")) == DASH
    ('0.123', '12.3', '12,346', True)
    """
    if value is None or absent(value):
        return DASH
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}f}" if abs(value) < 10 else f"{value:.1f}"


def seconds(value: float) -> str:
    """Return a time in seconds for people: four digits, all whole ones of a long time.

    Examples
    --------
    >>> seconds(12.5), seconds(10843.2)
    ('12.5 s', '10,843 s')
    """
    return f"{value:,.0f} s" if value >= 1000 else f"{value:.4g} s"


def band(low: float, high: float, *, signed: bool = False) -> str:
    """Return an interval, or a dash for none."""
    if absent(low) or absent(high):
        return DASH
    return f"{low:+.3f} to {high:+.3f}" if signed else f"{number(low)} to {number(high)}"


def p_value(p: float) -> str:
    """Return a p-value with two digits; a dash where no test was made."""
    if absent(p):
        return DASH
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def listed(names: Iterable[str]) -> str:
    """Return names as a list in a sentence.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    short = [shorten(name, 40) for name in names]
    return short[0] if len(short) == 1 else f"{', '.join(short[:-1])} and {short[-1]}"


@dataclass(frozen=True, slots=True)
class Words:
    """Phrases that depend on the sweep.

    Attributes
    ----------
    metric
        Name of the metric that the page is about.
    unit
        What a shot is: "windows" or "events".
    many_sources
        True if a sentence must say which source it is about.
    """

    metric: str
    unit: str
    many_sources: bool

    def shots(self, shots: int) -> str:
        """Return how many labels that is."""
        if shots == 0:
            return "0 labels"
        return f"{shots} labelled {'faults' if self.unit == 'events' else 'windows'}"

    def of(self, source: object) -> str:
        """Return " on SOURCE" where there are several."""
        return f" on {shorten(str(source), 40)}" if self.many_sources else ""

    def level(self, row: Record) -> str:
        """Return a value with its interval."""
        return f"{number(row['estimate'])}{self.interval(row['low'], row['high'])}"

    @staticmethod
    def interval(low: float, high: float, *, signed: bool = False) -> str:
        """Return an interval in brackets, or that there is none."""
        return " (no interval)" if absent(low) else f" (95 % interval {band(low, high, signed=signed)})"
