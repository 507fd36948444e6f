"""What the search saw: selection rows, for looking at, never for claims; and how much they flatter."""

import numpy as np
import pandas as pd

from analysis.curves import sign
from analysis.load import Sweep
from analysis.selection import expected_optimism

MOST_DRAWN = 300
"""Configurations of a figure beside the winners: more cannot be told apart, and make the page slow."""

NOT_FOR_CLAIMS = "Selection draws on the validation part: the search saw them. Not for claims."


def candidates(sweep: Sweep, metric: str) -> pd.DataFrame:
    """Return the configurations that the search tried, one row each.

    Returns
    -------
    pandas.DataFrame
        `source`, `detector`, `shots`, `fold`, `trial`, `param.*`, `value` (mean over selection draws), `draws`,
        `residual` (standard deviation over the draws of what neither the configuration nor the draw explains),
        `winner` (True for the configuration that ran on the report draws).
    """
    chosen = sweep.selection.dropna(subset=[metric]) if metric in sweep.selection else sweep.selection.iloc[:0]
    parameters = parameter_columns(chosen)
    key = ["source", "detector", "shots", "fold", "trial"]
    if chosen.empty:
        return pd.DataFrame(columns=[*key, *parameters, "value", "draws", "residual", "winner"])
    by_draw = chosen.groupby([*key[:-1], "draw"])[metric].transform("mean")
    chosen = chosen.assign(residual=chosen[metric] - by_draw)
    grouped = chosen.groupby(key, as_index=False)
    frame = grouped.agg(
        value=(metric, "mean"),
        draws=("draw", "nunique"),
        residual=("residual", "std"),
        **{p: (p, "first") for p in parameters},
    )
    frame["winner"] = _won(frame, sweep.report, parameters)
    return frame[[*key, *parameters, "value", "draws", "residual", "winner"]]


def optimism(tried: pd.DataFrame, levels: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return how much the search flatters its winner, a row a searched cell.

    Selection mean minus report mean, the other way round for a metric to be minimised: above 0 the search promised
    more than fresh draws confirm.

    The difference holds both luck (the best of many is partly the luckiest) and the step from validation to test.
    `luck` is what it would be by luck alone, if all configurations were equal: mean over folds of
    `expected_optimism`, for the spread of scores over draws that draws do not share; NaN with a single selection draw.
    """
    cell = ["source", "detector", "shots"]
    if tried.empty:
        return pd.DataFrame(columns=[*cell, "configurations", "selection_mean", "report_mean", "optimism", "luck"])
    winners = tried[tried["winner"].astype(bool)].groupby(cell, as_index=False)
    frame = winners.agg(selection_mean=("value", "mean")).merge(
        tried.groupby(cell, as_index=False).agg(configurations=("trial", "nunique")), on=cell
    )
    report = levels[[*cell, "estimate"]].rename(columns={"estimate": "report_mean"})
    frame = frame.merge(report, on=cell, how="inner")
    frame["optimism"] = (frame["selection_mean"] - frame["report_mean"]) * sign(metric)
    luck = {key: _luck(mine) for key, mine in tried.groupby(cell)}
    return frame.assign(luck=[luck[key] for key in frame[cell].itertuples(index=False, name=None)])


def _luck(tried: pd.DataFrame) -> float:
    """Return the optimism about a cell that its folds would show if their configurations differed by luck alone."""
    found = []
    for _, fold in tried.groupby("fold"):
        whole = fold[fold["draws"] == fold["draws"].max()]  # the others were raced out
        m, draws = len(whole), int(whole["draws"].max())
        if draws < 2:
            return float("nan")
        # a draw's mean over m configurations takes the share 1 / m of each residual with it
        sd = np.sqrt((whole["residual"] ** 2).mean() * m / max(m - 1, 1))
        found.append(expected_optimism(float(sd), draws=draws, configurations=m))
    return float(np.mean(found))


def parameter_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns of searched or fixed parameters that take more than one value."""
    names = [name for name in rows.columns if name.startswith("param.")]
    return [name for name in names if len(rows[name].dropna().unique()) > 1]


def thinned(tried: pd.DataFrame, direction: int) -> pd.DataFrame:
    """Return what figures draw of the configurations, worst first: all, or winners and `MOST_DRAWN` from worst to best.

    `direction` is 1 if higher values are better, -1 if lower.
    """
    ranked = tried.assign(good=tried["value"] * direction).sort_values("good", kind="stable").drop(columns="good")
    even = np.unique(np.linspace(0, len(ranked) - 1, min(len(ranked), MOST_DRAWN)).round().astype(int))
    kept = ranked["winner"].to_numpy(dtype=bool, copy=True)
    kept[even] = True
    thin: pd.DataFrame = ranked[kept]
    return thin


def is_number(values: "pd.Series[float]") -> bool:
    """Return True for a parameter that has an axis of numbers; flags and words have one of categories."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def is_wide(values: "pd.Series[float]") -> bool:
    """Return True for positive numbers that span nearly a decade, such as learning rates: shown logarithmically."""
    held = values.dropna()
    return is_number(values) and len(held) > 0 and bool(held.min() > 0 and held.max() / held.min() >= 8)


def _won(tried: pd.DataFrame, report: pd.DataFrame, parameters: list[str]) -> "pd.Series[bool]":
    """Mark the configurations whose parameters equal those of the report rows of their cell."""
    key = ["source", "detector", "shots", "fold", *parameters]
    winners = {_key(values) for values in report.reindex(columns=key).itertuples(index=False, name=None)}
    return pd.Series([_key(v) in winners for v in tried[key].itertuples(index=False, name=None)], index=tried.index)


def _key(values: tuple[object, ...]) -> tuple[object, ...]:
    """Make missing values equal to each other."""
    return tuple(None if isinstance(v, float) and np.isnan(v) else v for v in values)
