"""Levels of a metric against labels: one value a draw, one interval a detector and number of shots."""

from dataclasses import asdict, dataclass, fields
from typing import Literal

import numpy as np
import pandas as pd

from analysis.intervals import Interval, collapse_rate, logit_t, student_t, trivial_f1
from analysis.roles import role
from analysis.words import absent, records
from trainables.metrics import METRICS

GROUP = ["source", "detector", "shots"]
"""A point of a learning curve; folds are averaged inside each draw."""

OVERLAP_FLAG, OVERLAP_LIMIT = 0.25, 0.5
"""Draws of K from a pool of N share K/N of their windows: above the flag it is said, above the limit the
draws are too alike to be repetitions, and no interval over draws is given."""

SEEDS_ALONE = "over training seeds: at 0 shots no labels are drawn"
TOO_ALIKE = "draws take more than half of the pool: too alike for an interval or a test over draws"

UNLIKE_TESTS = "the two were judged on different test parts"

COUNTS = {
    "support_windows": "windows",
    "support_events": "faults",
    "validation_labels": "validation_windows",
    "validation_events": "validation_faults",
    "test_windows": "test_windows",
    "test_events": "test_events",
    "prevalence": "prevalence",
    "pool_share": "pool_share",
}
"""Row column -> column of `levels`, averaged over draws (and folds, but see `SUMMED`)."""

SUMMED = ["test_windows", "test_events"]
"""Added up over folds: every fold tests other faults."""


@dataclass(frozen=True, slots=True)
class Level:
    """A mean over draws with its interval, or the reason why there is none."""

    estimate: float
    low: float | None
    high: float | None
    n: int
    method: str
    note: str


def is_share(metric: str) -> bool:
    """Return True for metrics between 0 and 1; those to be minimised are counts or seconds."""
    return sign(metric) == 1


def sign(metric: str) -> int:
    """Return 1 if higher is better, -1 if lower is."""
    return -1 if metric in METRICS and METRICS[metric].direction == "min" else 1


def draw_values(
    report: pd.DataFrame, metric: str, plan: pd.DataFrame | None = None, *, over_folds: Literal["mean", "sum"] = "mean"
) -> pd.DataFrame:
    """Return one value a draw: columns of `GROUP`, `draw` and `value`.

    Folds are averaged (or added) inside a draw. A draw that lacks a fold, or whose metric is not defined in one of
    them, is left out, so that every value rests on the same folds.

    Parameters
    ----------
    report
        Report rows that are ok.
    metric
        Name of a column.
    plan
        Planned draws (`Sweep.plan`), which name the folds that a draw must have; None: those of the rows.
    over_folds
        What becomes of the folds of a draw.
    """
    if metric not in report:  # no draw of any detector ended well
        return report.loc[:, [*GROUP, "draw"]].iloc[:0].assign(value=np.nan)
    held = report.dropna(subset=[metric])
    folds = pd.concat([part[[*GROUP, "fold"]] for part in (report, plan) if part is not None])
    count = folds.groupby(GROUP)["fold"].nunique().rename("wanted").reset_index()
    by_draw = held.groupby([*GROUP, "draw"], as_index=False).agg(value=(metric, over_folds), folds=("fold", "nunique"))
    wanted = by_draw[GROUP].merge(count, on=GROUP, how="left")["wanted"]
    kept: pd.DataFrame = by_draw.loc[by_draw["folds"].to_numpy() == wanted.to_numpy(), [*GROUP, "draw", "value"]]
    return kept


def with_caught(report: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with `caught`: events of their fold caught at the deployed threshold, to be added over folds."""
    recall = report["event_recall"].astype(float) if "event_recall" in report else np.nan
    return report.assign(caught=(recall * report["test_events"].astype(float)).round(9))  # k / n * n can miss k


def judged_on(report: pd.DataFrame) -> dict[tuple[str, str, int], frozenset[tuple[float, ...]]]:
    """Return what each point was judged on: (fold, windows, events, prevalence) of every test part among its rows."""
    names = ["fold", *SUMMED, "prevalence"]
    found: dict[tuple[str, str, int], set[tuple[float, ...]]] = {}
    for row in records(report[[*GROUP, *names]]):
        part = tuple(-1.0 if absent(row[name]) else round(float(row[name]), 9) for name in names)
        found.setdefault((row["source"], row["detector"], row["shots"]), set()).add(part)
    return {point: frozenset(parts) for point, parts in found.items()}


def levels(report: pd.DataFrame, metric: str, plan: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a row for each point of the learning curves; arguments as for `draw_values`.

    Returns
    -------
    pandas.DataFrame
        `GROUP`, `estimate`, `low`, `high`, `n`, `method`, `note`, and the means of `COUNTS`;
        `all_windows` and `all_faults` are all labels spent, validation included.
        `low` and `high` are NaN where no interval is given; `note` says why.
    """
    values = draw_values(report, metric, plan)
    counts = _counts(report.merge(values[[*GROUP, "draw"]], on=[*GROUP, "draw"]))
    points = values.groupby(GROUP, as_index=False).agg(values=("value", list))
    frame = points.merge(counts.rename(columns=COUNTS), on=GROUP, how="left")
    bounded = is_share(metric)
    found = [
        asdict(describe(np.array(numbers), share, bounded=bounded))
        for numbers, share in zip(frame["values"], frame["pool_share"], strict=True)
    ]
    collapsed = [
        "" if role(name) == "floor" else collapses(metric, np.array(numbers), prevalence)
        for name, numbers, prevalence in zip(frame["detector"], frame["values"], frame["prevalence"], strict=True)
    ]
    described = pd.DataFrame(found, index=frame.index, columns=[field.name for field in fields(Level)])
    frame = pd.concat([frame[GROUP], described, frame[list(COUNTS.values())]], axis=1)
    frame = frame.astype({"estimate": float, "low": float, "high": float})
    frame["note"] = _remarks(frame.assign(collapsed=collapsed), report if plan is None else plan)
    frame["all_windows"] = frame["windows"] + frame["validation_windows"]
    frame["all_faults"] = frame["faults"] + frame["validation_faults"]
    return frame


def _remarks(frame: pd.DataFrame, wanted: pd.DataFrame) -> list[str]:
    """Return the notes of the points, with what their interval is over at 0 shots, and with the draws they lack."""
    planned = wanted.groupby(GROUP)["draw"].nunique()
    notes = []
    for low, n, note, collapsed, *point in frame[["low", "n", "note", "collapsed", *GROUP]].itertuples(index=False):
        draws = int(planned.get(tuple(point), 0))
        seeds = SEEDS_ALONE if point[-1] == 0 and np.isfinite(low) else ""
        lack = f"{n} of {draws} draws have a value" if n < draws else ""
        notes.append("; ".join(part for part in (note, collapsed, seeds, lack) if part))
    return notes


def collapses(metric: str, values: np.ndarray, prevalence: float) -> str:
    """Return on how many draws [D] a score is no better than that of always alarming; empty if on none.

    For average precision and F1. Where training sometimes gives nothing, no interval of the mean covers.
    """
    floor = {"average_precision": prevalence, "f1": trivial_f1(prevalence)}.get(metric)
    if floor is None or absent(floor):
        return ""
    rate = collapse_rate(values, floor)
    if not rate.estimate or rate.low is None or rate.high is None:
        return ""
    draws = f"{round(rate.estimate * rate.n)} of {rate.n} draws"
    return f"no better than always alarming on {draws} (Wilson: {rate.low:.0%} to {rate.high:.0%} of draws)"


def _counts(report: pd.DataFrame) -> pd.DataFrame:
    """Return the means of `COUNTS` over draws at each point, folds averaged or summed."""
    numbers = report.astype(dict.fromkeys(COUNTS, float))
    how = {name: "sum" if name in SUMMED else "mean" for name in COUNTS}
    by_draw = numbers.groupby([*GROUP, "draw"], as_index=False).agg(how)
    return by_draw.groupby(GROUP, as_index=False)[list(COUNTS)].mean()


def describe(values: np.ndarray, pool_share: float = 0.0, *, bounded: bool = True) -> Level:
    """Return the mean of draw values and its interval, or why there is none.

    Parameters
    ----------
    values
        One value a draw [D].
    pool_share
        K over the size of the support pool, 0 to 1.
    bounded
        True for metrics between 0 and 1 (logit-t), False for others (t).
    """
    interval: Interval = logit_t(values) if bounded else student_t(values)
    notes = [str(warning) for warning in interval.warnings]
    low, high = _finite(interval.low), _finite(interval.high)
    if pool_share > OVERLAP_LIMIT:
        low = high = None
        notes.append(f"each draw takes {pool_share:.0%} of the pool: draws are too alike for an interval")
    elif pool_share > OVERLAP_FLAG:
        notes.append(f"each draw takes {pool_share:.0%} of the pool: draws overlap, the interval is too narrow")
    if low is not None and high is not None and high <= low:
        low = high = None
    return Level(float(np.mean(values)), low, high, len(values), interval.method, "; ".join(notes))


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
