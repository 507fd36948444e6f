"""What labels buy: labels needed for a score, and where a MOMENT detector stops paying off, from report draws."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from analysis.curves import OVERLAP_LIMIT, TOO_ALIKE, UNLIKE_TESTS, draw_values, judged_on, sign
from analysis.efficiency import LabelsNeeded, break_even, labels_needed
from analysis.intervals import Floats
from analysis.load import require_claimable
from analysis.roles import role

TARGETS = (0.5, 0.7, 0.8, 0.9)
"""Scores to be reached, fixed here and not by looking at the curves."""


Counted = Literal["windows", "faults"]
LABELS: Mapping[Counted, str] = {"windows": "all_windows", "faults": "all_faults"}
"""What can be counted -> column of `levels`: all that was spent, validation included."""


def needs(
    report: pd.DataFrame,
    levels: pd.DataFrame,
    metric: str,
    plan: pd.DataFrame | None = None,
    counted: Counted = "windows",
) -> pd.DataFrame:
    """Return how many labelled windows, or faults behind them, each detector needs to reach each of `TARGETS`.

    Only detectors with two numbers of shots or more have a curve; only draws with every point count. Where a draw of
    the `plan` (`Sweep.plan`; None: that of the rows) is missing there is no interval: it may be a hard one. Numbers of
    shots that hold as many faults are one point, that of the most shots.

    Returns
    -------
    pandas.DataFrame
        `source`, `detector`, `counted`, `target`, `estimate`, `low`, `high` (NaN: not reached, or no interval),
        `answer` (words), `reached` (share of resampled curves), `n` (draws), `note` (why there is no interval).

    Raises
    ------
    ClaimError
        Selection rows, or rows with searched seeds.
    """
    require_claimable(report)
    points = levels[[*CURVE, "shots", LABELS[counted]]].itertuples(index=False, name=None)
    spent = {(source, detector, shots): labels for source, detector, shots, labels in points}
    found = []
    curves = _curves(report, metric, plan) if sign(metric) > 0 else {}
    for (source, detector), curve in curves.items():
        labels = np.array([spent[source, detector, shots] for shots in curve.table.columns], dtype=float)
        fewest_beyond = np.append(np.minimum.accumulate(labels[:0:-1])[::-1], np.inf)
        table, labels = curve.table.to_numpy()[:, labels < fewest_beyond], labels[labels < fewest_beyond]
        fewer, more = f"{labels[0]:.0f} or fewer", f"not reached with {labels[-1]:.0f}"
        for target in TARGETS:
            row = _row(labels_needed(table, labels, target, rng=np.random.default_rng(0)), more, fewer, curve.doubt)
            found.append({"source": source, "detector": detector, "counted": counted, **row})
    return pd.DataFrame.from_records(found, columns=[*CURVE, "counted", *ANSWER])


def pays_off(report: pd.DataFrame, metric: str, plan: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return up to how many shots each MOMENT detector is ahead of each ordinary one on the same draws.

    Missing draws: as `needs`.

    Returns
    -------
    pandas.DataFrame
        `source`, `detector`, `opponent` and the columns of `needs`; labels are shots, at the points that both have.
    """
    require_claimable(report)
    curves = _curves(report, metric, plan)
    found = []
    for (source, detector), mine in curves.items():
        for (other_source, opponent), theirs in curves.items():
            if other_source != source or role(detector) != "foundation" or role(opponent) != "ordinary":
                continue
            shots = mine.table.columns.intersection(theirs.table.columns)
            draws = mine.table.index.intersection(theirs.table.index)
            if len(shots) < 2:
                continue
            one, other = (curve.table.loc[draws, shots].to_numpy() * sign(metric) for curve in (mine, theirs))
            unlike = UNLIKE_TESTS if any(mine.tested[int(k)] != theirs.tested[int(k)] for k in shots) else ""
            doubt = "; ".join(dict.fromkeys(why for why in (mine.doubt, theirs.doubt, unlike) if why))
            row = _end_of_lead(one, other, shots.to_numpy(dtype=float), doubt)
            found.append({"source": source, "detector": detector, "opponent": opponent, **row})
    return pd.DataFrame.from_records(found, columns=["source", "detector", "opponent", *ANSWER])


CURVE = ["source", "detector"]
ANSWER = ["target", "estimate", "low", "high", "answer", "reached", "n", "note"]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Values of a detector [draws x shots] over the draws that have every point.

    `doubt` says why not to resample them; `tested` is what the detector was judged on at each number of shots.
    """

    table: pd.DataFrame
    doubt: str
    tested: Mapping[int, frozenset[tuple[float, ...]]]


def _curves(report: pd.DataFrame, metric: str, plan: pd.DataFrame | None) -> dict[tuple[str, str], Curve]:
    """Return the curves of all detectors with two numbers of shots or more."""
    values = draw_values(report, metric, plan)
    shares = report.groupby(CURVE)["pool_share"].max().to_dict()
    tested = judged_on(report)
    wanted = dict(iter((report if plan is None else plan).groupby(CURVE)))
    found = {}
    for (source, detector), group in values.groupby(CURVE):
        table = group.pivot_table(index="draw", columns="shots", values="value").dropna()
        if table.shape[1] >= 2:
            doubts = [*_lacks(table, wanted.get((source, detector)))]
            doubts += [TOO_ALIKE] if shares[source, detector] > OVERLAP_LIMIT else []
            found[str(source), str(detector)] = Curve(
                table,
                "; ".join(doubts),
                {k: parts for (s, d, k), parts in tested.items() if (s, d) == (source, detector)},
            )
    return found


def _lacks(table: pd.DataFrame, wanted: pd.DataFrame | None) -> Iterator[str]:
    """Yield what a curve [draws x shots] lacks of the planned draws."""
    if wanted is None:
        return
    points = sorted(set(wanted["shots"]) - set(table.columns))
    if points:
        yield f"no value at {', '.join(map(str, points))} shots"
    draws = wanted["draw"].nunique()
    if len(table) < draws:
        yield f"{len(table)} of {draws} draws have every point, and the hard ones may be missing"


def _end_of_lead(one: Floats, other: Floats, shots: Floats, doubt: str) -> dict[str, object]:
    """Return where the lead of one over the other [draws x shots] ends; a lead that grows has no end."""
    answer = break_even(one, other, shots, rng=np.random.default_rng(0))
    row = _row(answer, f"still ahead at {shots[-1]:.0f}", "never ahead", doubt)
    if not answer.n:
        return row
    lead = (one - other).mean(axis=0)
    if lead[-1] > max(lead[0], 0.0):  # break_even takes a lead to shrink with labels
        start = "ahead" if lead[0] > 0 else "behind"
        end = "further ahead" if lead[0] > 0 else "ahead"
        words = f"no end: {start} at {shots[0]:.0f}, {end} at {shots[-1]:.0f}"
        return row | {"estimate": None, "low": None, "high": None, "reached": None, "answer": words}
    return row


def _row(answer: LabelsNeeded, never: str, always: str, doubt: str) -> dict[str, object]:
    """Return an answer with its words: a number with its interval, or one of the two ends; no interval in doubt."""

    def words(labels: float | None) -> str:
        if labels is None:
            return never
        return always if labels <= answer.fewest else f"{labels:.0f}"

    text = words(answer.estimate) if answer.n else "unknown"
    if doubt:
        answer = replace(answer, low=None, high=None, reached=np.nan)
    elif answer.has_interval:
        low, high = words(answer.low), words(answer.high)
        text += f" (95 % interval: {low} to {high})" if low != high else " (both ends of the 95 % interval too)"
    return {
        "target": answer.target, "estimate": answer.estimate, "low": answer.low, "high": answer.high, "answer": text,
        "reached": answer.reached, "n": answer.n, "note": f"no interval: {doubt}" if doubt else "",
    }  # fmt: skip
