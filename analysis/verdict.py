"""The verdict in words: who is best at each number of shots, and whether a MOMENT detector is ahead anywhere."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.errors import ClaimError
from analysis.load import Sweep, require_claimable
from analysis.paired import MIN_DRAWS_FOR_CLAIM
from analysis.plots.style import number, shorten
from trainables.metrics import METRICS

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
    "false_alarms_per_day": "false alarms a day",
    "delay_s": "delay in seconds",
    "macro_f1": "macro-F1 over fault types",
}


def metric_title(name: str) -> str:
    """Return the name of a metric for people."""
    return TITLES.get(name, name.replace("_", " "))


def metric_meaning(name: str) -> str:
    """Return one line about a metric; empty for one this version does not know."""
    return METRICS[name].meaning if name in METRICS else ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of the verdict; `kind` is "claim", "none" (no difference shown), "best" or "caution"."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the page says first.

    `claims` is False when nothing may be claimed; `why_not` then says why.
    """

    headline: str
    claims: bool
    why_not: str
    statements: tuple[Statement, ...]


def reason_for_silence(sweep: Sweep) -> str:
    """Return why no claim may be made of this input at all; empty if claims are allowed."""
    done, planned = sweep.progress
    if not sweep.complete:
        return f"incomplete: {done} of {planned} draws. A running sweep claims nothing; what follows is a preview."
    if sweep.report.empty:
        return "no report draw ended well, so there is nothing to compare."
    try:
        require_claimable(sweep.report)
    except ClaimError as err:
        return f"{err}."
    return ""


def verdict(sweep: Sweep, metric: str, board: pd.DataFrame, pairs: pd.DataFrame, headlines: pd.DataFrame) -> Verdict:
    """Put the tables into words.

    Parameters
    ----------
    board, pairs, headlines
        What `leaderboard`, `comparisons.pairs` and `comparisons.headlines` returned for `metric`;
        the last two are empty when no claim may be made.
    """
    why_not = reason_for_silence(sweep)
    if why_not:
        return Verdict(_first_up(why_not), claims=False, why_not=why_not, statements=tuple(_best(board, metric)))
    statements = [
        *_challenges(headlines, board, metric),
        *_best(board, metric),
        *_losses(pairs),
        *_cautions(sweep, board),
    ]
    return Verdict(_headline(headlines, metric), claims=True, why_not="", statements=tuple(statements))


def _headline(headlines: pd.DataFrame, metric: str) -> str:
    if headlines.empty:
        return "This sweep has no pair of a MOMENT detector and an ordinary one to compare."
    won = headlines[headlines["verdict"] == "better"]
    title = metric_title(metric)
    if len(won):
        places = "; ".join(
            f"{shorten(d, 40)} at {_shots(k)}{_on(headlines, s)}"
            for s, d, k in won[["source", "detector", "shots"]].itertuples(index=False)
        )
        return f"A MOMENT detector beats every ordinary detector in {title}: {places}."
    if (headlines["verdict"] == "no claim").all():
        return (
            f"No significance claim can be made: {_why_no_claim(headlines)}. "
            f"The levels below have intervals; differences in {title} are shown without a verdict."
        )
    return f"At no number of shots is a MOMENT detector shown to beat the best ordinary detector in {title}."


def _why_no_claim(headlines: pd.DataFrame) -> str:
    few = int(headlines["n"].min())
    if few < MIN_DRAWS_FOR_CLAIM:
        return f"{few} paired draws, and below {MIN_DRAWS_FOR_CLAIM} a sign-flip test cannot reach 0.05"
    notes = [note for note in headlines["note"].unique() if note]
    return notes[0] if notes else "draws are missing or not independent enough"


def _challenges(headlines: pd.DataFrame, board: pd.DataFrame, metric: str) -> Iterator[Statement]:
    """Yield a sentence for every MOMENT detector and number of shots."""
    level = board.set_index(["source", "shots", "detector"])
    for row in headlines.to_dict("records"):
        mine = level.loc[(row["source"], row["shots"], row["detector"])]
        theirs = level.loc[(row["source"], row["shots"], row["opponent"])]
        free = " (0 labels)" if row["opponent_shots"] == 0 and row["shots"] > 0 else ""
        text = (
            f"At {_shots(row['shots'])}{_on(headlines, row['source'])}, {shorten(row['detector'], 40)} has "
            f"{metric_title(metric)} {_band(mine)}; the best ordinary detector, {shorten(row['opponent'], 40)}{free}, "
            f"{_band(theirs)}. Paired difference {row['mean']:+.3f}{_interval(row['low'], row['high'], signed=True)}, "
            f"n = {row['n']} draws: "
        )
        if row["verdict"] == "better":
            yield Statement("claim", text + f"it beats every ordinary detector (p = {row['p_holm']:.2g} after Holm over "
                            f"{int(headlines['p'].notna().sum())} comparisons).")  # fmt: skip
        elif row["verdict"] == "no claim":
            yield Statement("caution", text + f"no significance claim ({row['note'] or _why_no_claim(headlines)}).")
        elif row["p_holm"] < 1 and row["mean"] != 0:
            yield Statement("none", text + f"not significant (p = {row['p_holm']:.2g} after Holm).")
        else:
            yield Statement("none", text + "not ahead of every ordinary detector.")


def _best(board: pd.DataFrame, metric: str) -> Iterator[Statement]:
    """Yield the best detector at each number of shots, with the reference it must be read against."""
    for (source, shots), group in board.groupby(["source", "shots"], sort=True):
        first = group.sort_values("rank").iloc[0]
        floor = group[group["role"] == "floor"]["estimate"]
        beside = f"; a detector without skill gets up to {number(float(floor.max()))}" if len(floor) else ""
        yield Statement(
            "best",
            f"Best at {_shots(int(shots))}{_on(board, source)}: {shorten(first['detector'], 40)} with "
            f"{metric_title(metric)} {_band(first)}{beside}.",
        )


def _losses(pairs: pd.DataFrame) -> Iterator[Statement]:
    """Yield where ordinary detectors are significantly ahead."""
    lost = pairs[pairs["verdict"] == "worse"]
    for (source, shots, detector), group in lost.groupby(["source", "shots", "detector"], sort=True):
        yield Statement(
            "none",
            f"At {_shots(int(shots))}{_on(pairs, source)}, {shorten(str(detector), 40)} is significantly behind "
            f"{', '.join(shorten(o, 40) for o in group['opponent'])} (Holm over {int(pairs['p'].notna().sum())} pairs).",
        )


def _cautions(sweep: Sweep, board: pd.DataFrame) -> Iterator[Statement]:
    for source, group in board.groupby("source"):
        events = round(float(group["test_events"].max()))
        yield Statement(
            "caution",
            f"The intervals{_on(board, source)} are over draws of labelled windows, given this one test part with "
            f"{events} faults: they say how much the labels drawn matter, not how another {events} faults would come out.",
        )
    if sweep.gaps:
        yield Statement("caution", f"{len(sweep.gaps)} planned report draws have no score; they are named under Failures, "
                        "and no claim rests on their cells.")  # fmt: skip


def _band(row: "pd.Series[float]") -> str:
    return f"{number(float(row['estimate']))}{_interval(row['low'], row['high'])}"


def _interval(low: float, high: float, *, signed: bool = False) -> str:
    if pd.isna(low) or pd.isna(high):
        return " (no interval)"
    return (
        f" (95 % interval {low:+.3f} to {high:+.3f})" if signed else f" (95 % interval {number(low)} to {number(high)})"
    )


def _on(frame: pd.DataFrame, source: object) -> str:
    """Name the source where there are several."""
    return f" on {shorten(str(source), 40)}" if frame["source"].nunique() > 1 else ""


def _shots(shots: int) -> str:
    return "0 labels" if shots == 0 else f"{shots} labelled windows"


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]
