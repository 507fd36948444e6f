"""Which detector beats which: paired differences on identical draws, corrected over the declared family.

Two families, both fixed by the sweep file before any score exists:

- *pairs*: every foundation detector against every ordinary one, at every number of shots;
- *headlines*: for every foundation detector and number of shots, "it beats every ordinary detector".
  Its p-value is the largest of its pairs (intersection-union test: Berger 1982, Technometrics 24:295),
  which is valid without choosing the best opponent by looking at the scores.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal

import numpy as np
import pandas as pd

from analysis.curves import GROUP, OVERLAP_LIMIT, TOO_ALIKE, UNLIKE_TESTS, draw_values, judged_on, sign
from analysis.intervals import Caution
from analysis.load import require_claimable
from analysis.paired import MIN_DRAWS_FOR_CLAIM, Comparison, compare, compare_independent, holm
from analysis.planned import competes, points
from analysis.roles import role
from analysis.words import listed

ALPHA = 0.05
PAIR = ["source", "shots", "detector", "opponent"]


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """A detector at a number of shots: its values by draw, how many draws were planned, K over the pool, test parts.

    A test part is its fold, windows, faults and share of faulty windows (`curves.judged_on`).
    """

    detector: str
    shots: int
    by_draw: Mapping[int, float]
    planned: int
    pool_share: float
    tested: frozenset[tuple[float, ...]]

    @property
    def mean(self) -> float:
        """Mean over draws; NaN without one."""
        return fmean(self.by_draw.values()) if self.by_draw else float("nan")

    @property
    def faults(self) -> list[tuple[float, float]]:
        """Each fold and how many faults its test part has."""
        return [(fold, events) for fold, _, events, _ in sorted(self.tested)]

    @property
    def lack(self) -> str:
        """What is missing of it, in words; empty if nothing is."""
        if not self.by_draw:
            return f"{self.detector} at {self.shots} shots has no value on any draw"
        if len(self.by_draw) < self.planned:
            return (
                f"{len(self.by_draw)} of {self.planned} draws of {self.detector} have a value: "
                "the hard ones may be missing"
            )
        return ""


def pairs(report: pd.DataFrame, metric: str, plan: pd.DataFrame | None = None) -> pd.DataFrame:
    """Compare every foundation detector with every ordinary one, draw by draw.

    An opponent for which no cell was planned at K shots competes with its score at 0 shots: it costs no labels.
    Nothing is claimed of a cell with missing or failed draws, because the draws that failed may be the hard ones; it
    keeps its place in the family. Nor is anything claimed where both sides have 0 shots: their draws are training
    seeds. These pairs are no part of the family, because no score could make them a test.

    Parameters
    ----------
    report
        Report rows that are ok.
    metric
        Name of a metric column.
    plan
        Planned draws (`Sweep.plan`): who has to compare with whom; None: whoever is among the rows.

    Returns
    -------
    pandas.DataFrame
        A row a pair: `PAIR`, `opponent_shots`, `mean` (detector minus opponent), `low`, `high`, `n`, `p` (paired
        t), `p_holm`, `family` (number of tests that Holm counts), `p_signflip`, `probability_better`, `claimable`,
        `verdict` ("better", "worse", "not separated", "no claim") and `note`.

    Raises
    ------
    ClaimError
        Selection rows, or rows with searched seeds, are among `report`.
    """
    require_claimable(report)
    held = held_points(report, metric, plan)
    challenges = sorted((s, k, d) for s, d, k in held if role(d) == "foundation")
    records = [
        {"source": source, "shots": shots, **compared(held[source, detector, shots], opponent)}
        for source, shots, detector in challenges
        for opponent in _opponents(held, source, shots)
    ]
    names = [*PAIR, "opponent_shots", "mean", "low", "high", "n", "p", "p_signflip", "probability_better",
             "claimable", "note"]  # fmt: skip
    frame = pd.DataFrame.from_records(records, columns=names)
    testable = (frame["shots"] > 0) | (frame["opponent_shots"] > 0)
    frame["family"] = int(testable.sum())
    return judged(frame, testable, metric)


def judged(frame: pd.DataFrame, testable: "pd.Series[bool]", metric: str) -> pd.DataFrame:
    """Return differences with `p_holm` over the family of testable ones and with a `verdict`.

    Parameters
    ----------
    frame
        `mean` (of the first minus the second), `p` and `claimable`.
    testable
        Rows that belong to the family; the others have no p.
    metric
        Name of the metric, whose direction says which sign is better.
    """
    claimable = frame["claimable"].astype(bool)
    p_holm = adjusted(frame["p"].astype(float).where(claimable), testable)
    verdicts = [
        _verdict(claimable=bool(c), p=float(p), gain=float(m) * sign(metric))
        for c, p, m in zip(claimable, p_holm, frame["mean"], strict=True)
    ]
    return frame.assign(p_holm=p_holm, verdict=verdicts)


def headlines(pair_table: pd.DataFrame, levels: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return for every foundation detector and number of shots whether it beats every ordinary detector.

    Parameters
    ----------
    pair_table
        What `pairs` returned.
    levels
        What `curves.levels` returned for the same metric; names the best opponent, for the words only.
    metric
        Its name.

    Returns
    -------
    pandas.DataFrame
        A row a challenge: `source`, `shots`, `detector`, `opponent` (best mean), `opponent_shots`, `mean`,
        `low`, `high`, `n` (against that opponent), `p` (largest of the pairs; 1 if it is behind any
        of them), `p_holm` (over this frame), `family`, `claimable` (all of its pairs are), `note` (why not),
        `verdict` ("better", "not better", "no claim").
    """
    known = levels[[*GROUP, "estimate"]].itertuples(index=False, name=None)
    estimate = {(source, detector, shots): value for source, detector, shots, value in known}
    records = []
    for (source, shots, detector), group in pair_table.groupby(["source", "shots", "detector"], sort=True):
        opponents = zip(group["opponent"], group["opponent_shots"], strict=True)
        strength = [estimate.get((str(source), o, k), np.nan) * sign(metric) for o, k in opponents]
        best = group.iloc[int(np.argmax(np.nan_to_num(strength, nan=-np.inf)))]
        ahead = bool((group["mean"] * sign(metric) > 0).all())
        claimable = bool(group["claimable"].all())
        p = (float(group["p"].max()) if ahead else 1.0) if claimable else float("nan")
        records.append(
            {"source": source, "shots": shots, "detector": detector, "p": p, "claimable": claimable,
             "note": _notes(group), **best[["opponent", "opponent_shots", "mean", "low", "high", "n"]].to_dict()}
        )  # fmt: skip
    names = ["source", "shots", "detector", "opponent", "opponent_shots", "mean", "low", "high", "n", "p",
             "claimable", "note"]  # fmt: skip
    frame = pd.DataFrame.from_records(records, columns=names)
    frame["p_holm"] = adjusted(frame["p"], frame["shots"] > 0)
    frame["family"] = int((frame["shots"] > 0).sum())
    outcome = np.where(frame["p_holm"].fillna(1.0) < ALPHA, "better", "not better")
    frame["verdict"] = np.where(frame["claimable"].astype(bool), outcome, "no claim")
    return frame


Held = Mapping[tuple[str, str, int], Point]
"""By source, detector and shots."""


def held_points(
    report: pd.DataFrame, metric: str, plan: pd.DataFrame | None = None, *, over_folds: Literal["mean", "sum"] = "mean"
) -> Held:
    """Return every point that was planned, with the values it has (`over_folds`: see `draw_values`)."""
    wanted = report if plan is None else plan
    planned = wanted.groupby(GROUP)["draw"].nunique()
    shares = report.groupby(GROUP)["pool_share"].max()
    tested = judged_on(report)
    scored = {
        key: dict(zip(group["draw"].astype(int), group["value"].astype(float), strict=True))
        for key, group in draw_values(report, metric, plan, over_folds=over_folds).groupby(GROUP)
    }
    return {
        key: Point(
            detector=key[1],
            shots=key[2],
            by_draw=scored.get(key, {}),
            planned=int(planned[key]),
            pool_share=float(shares.get(key, 0.0)),
            tested=tested.get(key, frozenset()),
        )
        for key in sorted(points(wanted))
    }


def _opponents(held: Held, source: str, shots: int) -> Iterator[Point]:
    """Yield the ordinary detectors of a source, each as it competes at a number of shots."""
    for key, point in held.items():
        if key[0] == source and role(point.detector) == "ordinary" and competes(held.keys(), key, shots):
            yield point


def compared(mine: Point, theirs: Point, *, paired: bool = True, exact: bool = False) -> dict[str, object]:
    """Return the difference of two points and why nothing may be claimed of it, if so.

    `paired`: both met the same draws and the same test part, and are compared draw by draw; else by Welch's t.
    `exact`: a claim can rest on `p_signflip`, which needs no variance (counts of faults are often all equal).
    """
    result = (compare if paired else compare_independent)(mine.by_draw, theirs.by_draw)
    reasons = [*_reasons(mine, theirs, result, paired=paired)]
    if TOO_ALIKE in reasons:
        result = replace(result, low=None, high=None, p=None, p_signflip=None)
    warnings = result.warnings if mine.by_draw and theirs.by_draw else ()
    return {
        "detector": mine.detector, "opponent": theirs.detector, "opponent_shots": theirs.shots,
        "mean": _number(result.mean), "low": _number(result.low), "high": _number(result.high), "n": result.n,
        "p": _number(result.p), "p_signflip": _number(result.p_signflip),
        "probability_better": _number(result.probability_better),
        "claimable": (result.n >= MIN_DRAWS_FOR_CLAIM if exact else result.claimable) and not reasons,
        "note": "; ".join([*reasons, *(str(one) for one in warnings if not exact or one is Caution.NO_CLAIM)]),
    }  # fmt: skip


def _reasons(mine: Point, theirs: Point, result: Comparison, *, paired: bool) -> Iterator[str]:
    """Yield why nothing may be claimed of a pair, whatever its numbers."""
    yield from (lack for lack in (mine.lack, theirs.lack) if lack)
    both = bool(mine.by_draw and theirs.by_draw)
    if both and result.unpaired:
        yield f"draws without a partner: {', '.join(map(str, result.unpaired))}"
    if max(mine.pool_share, theirs.pool_share) > OVERLAP_LIMIT:
        yield TOO_ALIKE
    if mine.shots == theirs.shots == 0:
        yield "at 0 shots draws differ by the training seed alone, and a seed is no independent repetition"
    if paired and both and mine.tested != theirs.tested:
        yield UNLIKE_TESTS
    if not paired and both and mine.faults != theirs.faults:
        before, after = (sum(events for _, events in point.faults) for point in (theirs, mine))
        yield f"other faults are tested: {before:.0f} before, {after:.0f} after"


def _notes(group: pd.DataFrame) -> str:
    """Return why no claim can be made of a detector against all its opponents; empty if one can."""
    silent = group[~group["claimable"].astype(bool)]
    reasons: dict[str, list[str]] = {}
    for opponent, note in zip(silent["opponent"], silent["note"], strict=True):
        reasons.setdefault(note, []).append(opponent)
    if len(reasons) == 1 and len(silent) == len(group):
        return next(iter(reasons))
    return "; ".join(f"against {listed(opponents)}: {note}" for note, opponents in reasons.items())


def adjusted(p: "pd.Series[float]", family: "pd.Series[bool]") -> "pd.Series[float]":
    """Apply Holm over the family; a test of it that could not be made counts as p = 1 and stays NaN."""
    corrected = holm(p[family].fillna(1.0).to_numpy())
    return pd.Series(corrected, index=p.index[family]).reindex(p.index).where(p.notna())


def _verdict(*, claimable: bool, p: float, gain: float) -> str:
    """Return "better", "worse", "not separated" or "no claim"; p is corrected, a gain is what the metric calls good."""
    if not claimable:
        return "no claim"
    if p < ALPHA:
        return "better" if gain > 0 else "worse"
    return "not separated"


def _number(value: float | None) -> float:
    return float(value) if value is not None and np.isfinite(value) else float("nan")
