"""What a reader must know about the input, in sentences: mixtures, and what cannot be shown."""

import pandas as pd

from analysis.errors import AnalysisError
from analysis.planned import CELL
from analysis.words import listed
from trainables.metrics import METRICS


def fingerprint_notes(rows: pd.DataFrame, *, mixed: bool) -> list[str]:
    """Return a sentence if rows were made by unlike code, data or weights.

    Raises
    ------
    AnalysisError
        They are of several runs, and `mixed` does not allow it.
    """
    prints = rows["fingerprint"].dropna().unique()
    if len(prints) <= 1:
        return []
    text = (
        f"rows carry {len(prints)} fingerprints ({', '.join(sorted(map(str, prints)))}): code, data or weights differ"
    )
    if len(rows["run"].unique()) > 1 and not mixed:
        raise AnalysisError(f"{text}; such runs are not comparable; add --mixed to compare them all the same")
    return [f"Mixed input: {text}."]


def schema_notes(rows: pd.DataFrame) -> list[str]:
    """Return a sentence if rows were written by versions that may mean different things by a column."""
    versions = sorted(rows["schema_version"].fillna(0).astype(int).unique())
    if len(versions) <= 1:
        return []
    told = listed(map(str, versions))
    return [f"Mixed input: rows of schema versions {told}: a column may not mean the same in all of them."]


def computing_notes(rows: pd.DataFrame) -> list[str]:
    """Return a sentence for each mixture of devices or of precisions inside a cell, naming its cells."""
    ok = rows[rows["status"] == "ok"]
    mixtures: dict[tuple[str, ...], list[str]] = {}
    for (source, detector, shots), cell in ok.groupby(CELL[:3]):
        for name in ("device", "dtype"):
            kinds = tuple(sorted({value for value in cell.get(name, ()) if isinstance(value, str)}))  # older rows: none
            if len(kinds) > 1:
                mixtures.setdefault(kinds, []).append(f"{detector} at {shots} shots on {source}")
    return [f"Draws of {listed(cells)} were computed in {' and '.join(kinds)}." for kinds, cells in mixtures.items()]


def search_notes(rows: pd.DataFrame) -> list[str]:
    """Return a sentence if the search left rows and none of its scores."""
    chosen = rows[(rows["phase"] == "select") & (rows["status"] == "ok")]
    if chosen.empty or chosen.reindex(columns=list(METRICS)).notna().any(axis=None):
        return []
    return ["Selection rows hold no metric and have no score files: the search cannot be shown."]
