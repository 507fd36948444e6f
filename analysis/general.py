"""The general interval of average precision, from score files: draws and faults resampled together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.by_fault import DrawScores, cell_scores
from analysis.crossed import crossed_average_precision
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

    None is given for one draw, one fault, several folds (their test parts differ) or unlike windows.
    """
    both = [*draws, *(opponent or ())]
    if not draws or len({draw.fold for draw in both}) > 1:
        return np.nan, np.nan
    first: WindowScores = draws[0].scores
    resamples = int(np.clip(WORK // max(len(first.score), 1), LEAST, MOST))
    try:
        interval = crossed_average_precision(
            [draw.scores for draw in draws],
            None if opponent is None else [draw.scores for draw in opponent],
            rng=np.random.default_rng(0),
            resamples=resamples,
        )
    except AnalysisError:  # unlike windows, or a test part without faults: the column stays empty
        return np.nan, np.nan
    if interval.low is None or interval.high is None:
        return np.nan, np.nan
    return interval.low, interval.high


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
    mine = {draw.draw: draw for draw in cell_scores(sweep, source, *one)}
    theirs = {draw.draw: draw for draw in cell_scores(sweep, source, *other)}
    both = sorted(mine.keys() & theirs.keys())
    return general_bounds([mine[draw] for draw in both], [theirs[draw] for draw in both])
