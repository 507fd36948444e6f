"""The leaderboard: every detector at every number of shots, with what each number rests on."""

import numpy as np
import pandas as pd

from analysis.curves import GROUP, draw_values, levels, sign, with_caught
from analysis.intervals import clopper_pearson
from analysis.load import Sweep
from analysis.planned import Points, competes, points
from analysis.roles import REFERENCES, base_name, role

BESIDE = ("f1", "oracle_f1", "event_recall", "false_alarms_per_day", "delay_s", "vus_pr", "auroc", "macro_f1")
"""Metrics that have a column of their own, where the rows have them; the one that ranks is also the `estimate`."""

FEW_EVENTS = 20
"""Below this many test events the interval that matters for "caught" is over events, not over draws."""


def leaderboard(sweep: Sweep, metric: str) -> pd.DataFrame:
    """Return a row for each source, number of shots and detector, best first.

    Detectors without a planned cell at a number of shots (among them the reference rows) stand there with their
    score at 0 shots, since it costs no labels; `own_shots` is where they were measured.

    Returns
    -------
    pandas.DataFrame
        `source`, `shots`, `rank`, `detector`, `role`, `reference` (True for the four reference rows), `own_shots`,
        `estimate`, `low`, `high`, `n`, `planned`, `method`, `note`, counts (`curves.COUNTS`), means of `BESIDE`
        (each with `_n`, the draws on which it is defined),
        `caught`, `caught_low`, `caught_high` (events at the deployed threshold, Clopper-Pearson below
        `FEW_EVENTS` test events) and `complete` (False if a planned draw is missing, failed, or
        without a value of the metric).
    """
    plan = sweep.plan
    table = levels(sweep.report, metric, plan)
    for name in BESIDE:
        if name in sweep.metrics:
            table = table.merge(_means(sweep.report, name, plan), on=["source", "detector", "shots"], how="left")
    table["planned"] = _planned(sweep, table)
    table["complete"] = _complete(sweep, table)
    table = table.merge(_caught(sweep.report, plan), on=["source", "detector", "shots"], how="left")
    table = pd.concat([table, _caught_bounds(table)], axis=1)
    table["role"] = [role(name) for name in table["detector"]]
    table["reference"] = [base_name(name) in REFERENCES for name in table["detector"]]
    table = table.rename(columns={"shots": "own_shots"})
    return _per_shots(table, points(plan), lower_is_better=sign(metric) < 0)


def _means(report: pd.DataFrame, metric: str, plan: pd.DataFrame) -> pd.DataFrame:
    return (
        draw_values(report, metric, plan)
        .groupby(["source", "detector", "shots"], as_index=False)
        .agg(**{metric: ("value", "mean"), f"{metric}_n": ("value", "size")})
    )


def _planned(sweep: Sweep, table: pd.DataFrame) -> list[int]:
    """Return the number of draws planned for each row of the table; those with a row where no plan is known."""
    rows = sweep.rows[sweep.rows["phase"] == "report"] if sweep.planned is None else sweep.planned
    counts = rows.groupby(["source", "detector", "shots"])["draw"].nunique()
    return [int(counts.get((s, d, k), 0)) for s, d, k in _keys(table)]


def _complete(sweep: Sweep, table: pd.DataFrame) -> list[bool]:
    short = {(gap.source, gap.detector, gap.shots) for gap in sweep.gaps}
    return [
        key not in short and n >= planned
        for key, n, planned in zip(_keys(table), table["n"], table["planned"], strict=True)
    ]


def _keys(table: pd.DataFrame) -> list[tuple[str, str, int]]:
    return list(table[["source", "detector", "shots"]].itertuples(index=False, name=None))


def _caught(report: pd.DataFrame, plan: pd.DataFrame) -> pd.DataFrame:
    """Return events caught at the deployed threshold: added over folds, mean over the draws that have every fold."""
    by_draw = draw_values(with_caught(report), "caught", plan, over_folds="sum")
    return by_draw.groupby(GROUP, as_index=False).agg(caught=("value", "mean"))


def _caught_bounds(table: pd.DataFrame) -> pd.DataFrame:
    """Return the interval of events caught, over events."""
    bounds = [
        _bounds(number, events) if np.isfinite(number) and 0 < events < FEW_EVENTS else (np.nan, np.nan)
        for number, events in zip(table["caught"], table["test_events"], strict=True)
    ]
    return pd.DataFrame(bounds, columns=["caught_low", "caught_high"], index=table.index)


def _bounds(caught: float, events: float) -> tuple[float, float]:
    interval = clopper_pearson(round(caught), round(events))
    return float(interval.low or 0.0), float(interval.high if interval.high is not None else 1.0)


def _per_shots(table: pd.DataFrame, wanted: Points, *, lower_is_better: bool) -> pd.DataFrame:
    """Repeat detectors without a cell at a number of shots with their score at 0 shots, and rank."""
    parts = []
    for _source, group in table.groupby("source"):
        keys = list(group[["source", "detector", "own_shots"]].itertuples(index=False, name=None))
        for shots in sorted(group["own_shots"].unique()):
            here = group[[competes(wanted, key, shots) for key in keys]]
            part = here.sort_values(["estimate", "detector"], ascending=[lower_is_better, True])
            parts.append(part.assign(shots=shots, rank=range(1, len(part) + 1)))
    first = ["source", "shots", "rank", "detector", "role", "reference", "own_shots"]
    frame = pd.concat(parts, ignore_index=True) if parts else table.assign(shots=[], rank=[])
    return frame[[*first, *(name for name in frame.columns if name not in first)]]
