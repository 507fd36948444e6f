"""The general interval of average precision, from score files: draws and faults resampled together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.by_fault import DrawScores, cell_scores, with_every_fold
from analysis.crossed import crossed_average_precision
from analysis.curves import OVERLAP_LIMIT
from analysis.errors import AnalysisError
from analysis.load import Sweep
from analysis.words import records
from trainables.trial import WindowScores

METRIC = "average_precision"
"""The metric for which windows can be reweighted by fault."""

MOST, LEAST = 2_000, 400
WORK = 400_000
"""Resamples times windows a draw: long test parts get fewer resamples, so that a report takes seconds."""


def general_bounds(draws: Sequence[DrawScores], opponent: Sequence[DrawScores] | None = None) -> tuple[float, float]:
    """Return the bounds over new draws *and* new faults of a level or a paired difference; NaN where none is given.

    Folds are averaged inside a draw; draws that lack a fold or a partner are left out. None is given for one
    draw, one fault, unlike windows, or draws that take more than half of the pool.
    """
    if any(draw.pool_share > OVERLAP_LIMIT for draw in (*draws, *(opponent or ()))):
        return np.nan, np.nan
    mine, theirs = _by_fold(draws), None if opponent is None else _by_fold(opponent)
    cells = [*mine.values(), *({} if theirs is None else theirs).values()]
    common = sorted(set.intersection(*(set(cell) for cell in cells))) if cells else []
    if not common or (theirs is not None and theirs.keys() != mine.keys()):
        return np.nan, np.nan
    windows = sum(len(cell[common[0]].score) for cell in mine.values())
    try:
        interval = crossed_average_precision(
            _table(mine, common),
            None if theirs is None else _table(theirs, common),
            rng=np.random.default_rng(0),
            resamples=int(np.clip(WORK // max(windows, 1), LEAST, MOST)),
        )
    except AnalysisError:  # unlike windows, or a test part without faults: the column stays empty
        return np.nan, np.nan
    if interval.low is None or interval.high is None:
        return np.nan, np.nan
    return interval.low, interval.high


Folds = dict[int, dict[int, WindowScores]]
"""Window scores by fold and draw."""


def _by_fold(draws: Sequence[DrawScores]) -> Folds:
    table: Folds = {}
    for draw in sorted(draws, key=lambda draw: draw.fold):
        table.setdefault(draw.fold, {})[draw.draw] = draw.scores
    return table


def _table(folds: Folds, draws: Sequence[int]) -> list[list[WindowScores]]:
    return [[cell[draw] for draw in draws] for cell in folds.values()]


def with_general_difference(sweep: Sweep, headlines: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the headlines with `general_low` and `general_high` of each paired difference.

    Columns are NaN for metrics other than average precision.
    """
    bounds = [
        _difference(sweep, row["source"], (row["detector"], row["shots"]), (row["opponent"], row["opponent_shots"]))
        if metric == METRIC
        else (np.nan, np.nan)
        for row in records(headlines)
    ]
    return headlines.assign(general_low=[low for low, _ in bounds], general_high=[high for _, high in bounds])


def _difference(sweep: Sweep, source: str, one: tuple[str, int], other: tuple[str, int]) -> tuple[float, float]:
    """Return the bounds of detector one minus the other, each named with its number of shots."""
    mine, theirs = (with_every_fold(cell_scores(sweep, source, *cell), sweep.plan) for cell in (one, other))
    return general_bounds(mine, theirs)
