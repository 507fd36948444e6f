"""Which detector beats which: paired differences on identical draws, corrected over the declared family.

Two families, both fixed by the sweep file before any score exists:

- *pairs*: every foundation detector against every ordinary one, at every number of shots;
- *headlines*: for every foundation detector and number of shots, "it beats every ordinary detector".
  Its p-value is the largest of its pairs (intersection-union test: Berger 1982, Technometrics 24:295),
  which is valid without choosing the best opponent by looking at the scores.
"""

from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd

from analysis.curves import OVERLAP_LIMIT, draw_values, sign
from analysis.load import require_claimable
from analysis.paired import compare, holm
from analysis.roles import role

ALPHA = 0.05
PAIR = ["source", "shots", "detector", "opponent"]


def pairs(report: pd.DataFrame, metric: str, short: Collection[tuple[str, str, int]] = ()) -> pd.DataFrame:
    """Compare every foundation detector with every ordinary one, draw by draw.

    An opponent without a cell at K shots competes with its score at 0 shots: it costs no labels.

    Parameters
    ----------
    report
        Report rows that are ok.
    metric
        Name of a metric column.
    short
        (source, detector, shots) of cells with missing or failed draws: compared, but nothing is claimed of them,
        because the draws that failed may be the hard ones.

    Returns
    -------
    pandas.DataFrame
        A row a pair: `PAIR`, `opponent_shots`, `mean` (detector minus opponent), `low`, `high`, `n`, `p` (paired
        t), `p_holm` (over all rows of this frame), `p_signflip`, `probability_better`, `claimable`, `verdict`
        ("better", "worse", "not separated", "no claim") and `note`.

    Raises
    ------
    ClaimError
        Selection rows, or rows with searched seeds, are among `report`.
    """
    require_claimable(report)
    values = draw_values(report, metric)
    shares = report.groupby(["source", "detector", "shots"])["pool_share"].max()
    records = [
        _pair(values, shares, short, source, shots, detector, opponent)
        for source, shots, detector in _challenges(values)
        for opponent in _opponents(values, source, shots)
    ]
    names = [*PAIR, "opponent_shots", "mean", "low", "high", "n", "p", "p_signflip", "probability_better",
             "claimable", "note"]  # fmt: skip
    frame = pd.DataFrame.from_records(records, columns=names)
    frame["p_holm"] = _adjusted(frame["p"].where(frame["claimable"].astype(bool)))
    frame["verdict"] = [
        _verdict(claimable=bool(c), p=float(p), gain=float(m) * sign(metric))
        for c, p, m in zip(frame["claimable"], frame["p_holm"], frame["mean"], strict=True)
    ]
    return frame


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
        of them), `p_holm` (over this frame), `claimable`, `verdict` ("better", "not better", "no claim").
    """
    points = levels[["source", "detector", "shots", "estimate"]].itertuples(index=False, name=None)
    estimate = {(source, detector, shots): value for source, detector, shots, value in points}
    records = []
    for (source, shots, detector), group in pair_table.groupby(["source", "shots", "detector"], sort=True):
        strength = [estimate[source, o, s] for o, s in zip(group["opponent"], group["opponent_shots"], strict=True)]
        best = group.iloc[int(np.argmax(np.array(strength) * sign(metric)))]
        ahead = bool((group["mean"] * sign(metric) > 0).all())
        claimable = bool(group["claimable"].all())
        p = (float(group["p"].max()) if ahead else 1.0) if claimable else float("nan")
        records.append(
            {"source": source, "shots": shots, "detector": detector, "p": p, "claimable": claimable,
             **best[["opponent", "opponent_shots", "mean", "low", "high", "n", "note"]].to_dict()}
        )  # fmt: skip
    names = ["source", "shots", "detector", "opponent", "opponent_shots", "mean", "low", "high", "n", "p",
             "claimable", "note"]  # fmt: skip
    frame = pd.DataFrame.from_records(records, columns=names)
    frame["p_holm"] = _adjusted(frame["p"])
    outcome = np.where(frame["p_holm"].fillna(1.0) < ALPHA, "better", "not better")
    frame["verdict"] = np.where(frame["claimable"].astype(bool), outcome, "no claim")
    return frame


def _challenges(values: pd.DataFrame) -> list[tuple[str, int, str]]:
    points = values[["source", "shots", "detector"]].drop_duplicates().sort_values(["source", "shots", "detector"])
    return [(s, int(k), d) for s, k, d in points.itertuples(index=False, name=None) if role(d) == "foundation"]


def _opponents(values: pd.DataFrame, source: str, shots: int) -> Iterable[str]:
    here = values[(values["source"] == source) & values["shots"].isin([0, shots])]
    return sorted(name for name in here["detector"].unique() if role(name) == "ordinary")


def _pair(
    values: pd.DataFrame,
    shares: "pd.Series[float]",
    short: Collection[tuple[str, str, int]],
    source: str,
    shots: int,
    detector: str,
    opponent: str,
) -> dict[str, object]:
    mine = _by_draw(values, source, detector, shots)
    theirs, opponent_shots = _by_draw(values, source, opponent, shots), shots
    if not theirs:
        theirs, opponent_shots = _by_draw(values, source, opponent, 0), 0
    result = compare(mine, theirs)
    notes = [str(warning) for warning in result.warnings]
    if result.unpaired:
        notes.append(f"draws without a partner: {', '.join(map(str, result.unpaired))}")
    overlapping = max(shares[source, detector, shots], shares[source, opponent, opponent_shots]) > OVERLAP_LIMIT
    if overlapping:
        notes.append("draws take more than half of the pool: not independent enough for a test")
    gaps = bool({(source, detector, shots), (source, opponent, opponent_shots)} & set(short))
    if gaps:
        notes.append("draws are missing or failed: the hard ones may be gone")
    claimable = result.claimable and not (result.unpaired or overlapping or gaps)
    return {
        "source": source, "shots": shots, "detector": detector, "opponent": opponent,
        "opponent_shots": opponent_shots, "mean": _number(result.mean),
        "low": _number(result.low), "high": _number(result.high), "n": result.n, "p": _number(result.p),
        "p_signflip": _number(result.p_signflip), "probability_better": _number(result.probability_better),
        "claimable": claimable, "note": "; ".join(notes),
    }  # fmt: skip


def _by_draw(values: pd.DataFrame, source: str, detector: str, shots: int) -> dict[int, float]:
    chosen = values[(values["source"] == source) & (values["detector"] == detector) & (values["shots"] == shots)]
    return dict(zip(chosen["draw"].astype(int), chosen["value"].astype(float), strict=True))


def _adjusted(p: "pd.Series[float]") -> "pd.Series[float]":
    """Apply Holm to the tests that were made; those that were not stay NaN."""
    made = p.notna()
    adjusted = pd.Series(np.nan, index=p.index)
    if made.any():
        adjusted[made] = np.asarray(holm(p[made].to_numpy()), dtype=float)
    return adjusted


def _verdict(*, claimable: bool, p: float, gain: float) -> str:
    if not claimable:
        return "no claim"
    if p < ALPHA:
        return "better" if gain > 0 else "worse"
    return "not separated"


def _number(value: float | None) -> float:
    return float(value) if value is not None and np.isfinite(value) else float("nan")
