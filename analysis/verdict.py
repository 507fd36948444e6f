"""The verdict in words: who is best at each number of shots, and whether a MOMENT detector is ahead anywhere."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from analysis.alerts import sentences
from analysis.errors import ClaimError
from analysis.load import Sweep, require_claimable
from analysis.paired import MIN_DRAWS_FOR_CLAIM
from analysis.planned import points
from analysis.words import Record, Words, absent, band, listed, metric_title, number, p_value, records, shorten

LEAKS = (
    "windows were dealt to the parts at random (split.by: random_windows), so training saw rows and faults that are "
    "tested, and every score flatters"
)
NO_VALUE = "unknown (no value on any draw)"


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence of the verdict; `kind` is "claim", "none" (no difference shown) or "caution"."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What the page says first.

    Attributes
    ----------
    headline
        The answer in one or two sentences.
    claims
        False when nothing may be claimed; `why_not` then says why.
    statements
        What holds and what to be careful about.
    details
        A sentence for every MOMENT detector and number of shots.
    """

    headline: str
    claims: bool
    why_not: str
    statements: tuple[Statement, ...]
    details: tuple[Statement, ...] = ()


UNSEEN = " Judged on kinds of faults that were left out of everything a detector learned from."
"""Follows the headline of a sweep with `split.hold_out`."""


def reason_for_silence(sweep: Sweep) -> str:
    """Return why no claim may be made of this input at all; empty if claims are allowed."""
    done, planned = sweep.progress
    if not sweep.complete:
        return f"Incomplete: {done} of {planned} draws. A running sweep claims nothing; what follows is a preview."
    if sweep.report.empty:
        return "No report draw ended well, so there is nothing to compare."
    if sweep.leaks:
        return f"No claim is made: {LEAKS}."
    try:
        require_claimable(sweep.report)
    except ClaimError as err:
        return f"No claim is made: {err}."
    return ""


def verdict(
    sweep: Sweep,
    words: Words,
    board: pd.DataFrame,
    pairs: pd.DataFrame,
    headlines: pd.DataFrame,
    alerts: pd.DataFrame,
) -> Verdict:
    """Put the tables into words.

    Parameters
    ----------
    sweep
        The input.
    words
        Phrases for this sweep and metric.
    board, pairs, headlines, alerts
        What `leaderboard`, `comparisons.pairs`, `comparisons.headlines` and `against_alerts` returned; the last three
        are empty when no claim may be made.
    """
    why_not = reason_for_silence(sweep)
    if why_not:
        return Verdict(why_not, claims=False, why_not=why_not, statements=())
    details = tuple(_challenges(headlines, board, words))
    won = [statement for statement in details if statement.kind == "claim"]
    return Verdict(
        headline=_headline(headlines, words) + (UNSEEN if sweep.report["held_out"].notna().any() else ""),
        claims=True,
        why_not="",
        statements=(
            *won,
            *(Statement(*one) for one in sentences(alerts, words)),
            *_losses(pairs, words),
            *_cautions(sweep, board, words),
        ),
        details=details,
    )


def summary(board: pd.DataFrame, headlines: pd.DataFrame) -> pd.DataFrame:
    """Return the best of each kind at each number of shots, and their paired difference.

    Returns
    -------
    pandas.DataFrame
        A row for each source and number of shots: `best`, `moment`, `ordinary` (names; empty if there is none),
        each with `_estimate`, `_low` and `_high`; `mean`, `low`, `high`, `n`, `p_holm`, `verdict` and
        `opponent` of that MOMENT detector (from `headlines`).
    """
    rows = []
    test = {(r["source"], r["shots"], r["detector"]): r for r in records(headlines)}
    for (source, shots), group in board.groupby(["source", "shots"], sort=True):
        ranked = group.sort_values("rank")
        row: dict[str, object] = {"source": source, "shots": shots}
        for name, some in (
            ("best", ranked),
            ("moment", ranked[ranked["role"] == "foundation"]),
            ("ordinary", ranked[ranked["role"] == "ordinary"]),
        ):
            row |= _first(name, some)
        challenge = test.get((source, shots, row["moment"]), {})
        row |= {
            name: challenge.get(name) for name in ("opponent", "mean", "low", "high", "n", "p", "p_holm", "verdict")
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _first(name: str, ranked: pd.DataFrame) -> dict[str, object]:
    if ranked.empty:
        return {name: "", f"{name}_estimate": None, f"{name}_low": None, f"{name}_high": None}
    row = ranked.iloc[0]
    return {name: row["detector"], **{f"{name}_{part}": row[part] for part in ("estimate", "low", "high")}}


def _headline(headlines: pd.DataFrame, words: Words) -> str:
    title = metric_title(words.metric)
    if headlines.empty:
        return "There is no pair of a MOMENT detector and an ordinary detector to compare."
    won = headlines[headlines["verdict"] == "better"]
    if len(won):
        places = [
            f"{shorten(r['detector'], 40)} at {words.shots(r['shots'])}{words.of(r['source'])}" for r in records(won)
        ]
        return f"A MOMENT detector beats every ordinary detector in {title}: {'; '.join(places)}. Nowhere else."
    if (headlines["verdict"] == "no claim").all():
        return (
            f"No significance claim can be made: {_why_no_claim(headlines)}. Levels and differences in "
            f"{title} are shown without a verdict."
        )
    return (
        "Nothing significant: at no number of shots is a MOMENT detector shown to beat the ordinary detectors in "
        f"{title}."
    )


def _why_no_claim(headlines: pd.DataFrame) -> str:
    few = int(headlines["n"].max())
    if 0 < few < MIN_DRAWS_FOR_CLAIM:
        return f"{few} paired draws, and below {MIN_DRAWS_FOR_CLAIM} an exact test cannot reach 0.05"
    notes = [str(note) for note in headlines["note"].unique() if note]
    return notes[0] if notes else "draws are missing or not independent enough"


def _challenges(headlines: pd.DataFrame, board: pd.DataFrame, words: Words) -> Iterator[Statement]:
    """Yield a sentence for every MOMENT detector and number of shots."""
    level = {(r["source"], r["own_shots"], r["detector"]): words.level(r) for r in records(board)}
    for row in records(headlines):
        mine = level.get((row["source"], row["shots"], row["detector"]), NO_VALUE)
        theirs = level.get((row["source"], row["opponent_shots"], row["opponent"]), NO_VALUE)
        free = " (0 labels)" if row["opponent_shots"] == 0 and row["shots"] > 0 else ""
        text = (
            f"At {words.shots(row['shots'])}{words.of(row['source'])}, {shorten(row['detector'], 40)} has "
            f"{metric_title(words.metric)} {mine}; the best ordinary detector, "
            f"{shorten(row['opponent'], 40)}{free}, {theirs}. {_difference(row, words)}"
        )
        yield _outcome(text, row)


def _difference(row: Record, words: Words) -> str:
    if absent(row["mean"]):
        return "No paired difference: "
    interval = words.interval(row["low"], row["high"], signed=True)
    return f"Paired difference {row['mean']:+.3f}{interval}{_general(row)}, n = {row['n']} draws: "


def _general(row: Record) -> str:
    """Return the interval over other faults too, where there is one, with a warning if it holds zero."""
    if absent(row["general_low"]):
        return ""
    warning = ": not shown for other faults" if row["general_low"] <= 0 <= row["general_high"] else ""
    return f" (over labels and faults {band(row['general_low'], row['general_high'], signed=True)}{warning})"


def _outcome(text: str, row: Record) -> Statement:
    tests = row["family"]
    if row["verdict"] == "better":
        return Statement(
            "claim",
            f"{text}it beats every ordinary detector (largest p of its pairs {p_value(row['p'])}, "
            f"{p_value(row['p_holm'])} after Holm over {tests} comparisons).",
        )
    if row["verdict"] == "no claim":
        return Statement("caution", f"{text}no significance claim ({row['note'] or 'too few independent draws'}).")
    if row["p"] == 1:
        return Statement("none", f"{text}not ahead of every ordinary detector.")
    return Statement(
        "none", f"{text}not significant (p = {p_value(row['p_holm'])} after Holm over {tests} comparisons)."
    )


def _losses(pairs: pd.DataFrame, words: Words) -> Iterator[Statement]:
    """Yield where ordinary detectors are significantly ahead."""
    lost = pairs[pairs["verdict"] == "worse"]
    tests = int(pairs["family"].max()) if len(pairs) else 0
    seen: dict[tuple[str, int, str], list[str]] = {}
    for row in records(lost):
        seen.setdefault((row["source"], row["shots"], row["detector"]), []).append(row["opponent"])
    for (source, shots, detector), opponents in sorted(seen.items()):
        yield Statement(
            "none",
            f"At {words.shots(shots)}{words.of(source)}, {shorten(detector, 40)} is significantly behind "
            f"{listed(opponents)} (p < 0.05 after Holm over {tests} pairs).",
        )


def _useless_alarms(group: pd.DataFrame, where: str) -> Iterator[Statement]:
    """Yield a warning where scores rank faults well but no detector's threshold catches half of them."""
    able = group[group["role"] != "floor"]
    if able.empty or not {"oracle_f1", "f1"} <= {*able} or able["caught"].isna().all():
        return
    best = able.sort_values("caught").dropna(subset=["caught"]).iloc[-1]
    oracle = able["oracle_f1"].max()
    if best["caught"] < best["test_events"] / 2 and oracle > 2 * able["f1"].max():
        yield Statement(
            "caution",
            f"At the deployed thresholds{where} no detector catches more than {number(best['caught'], 1)} of "
            f"{best['test_events']:.0f} faults, though scores rank better than that (oracle F1 up to "
            f"{number(oracle)}): "
            "the threshold rule is what fails, not only the detectors.",
        )


def _cautions(sweep: Sweep, board: pd.DataFrame, words: Words) -> Iterator[Statement]:
    for source, group in board.groupby("source"):
        events = round(float(group["test_events"].max()))
        yield Statement(
            "caution",
            f"The intervals{words.of(source)} are over draws of labelled windows, given the {events} "
            f"faults tested: they say how much the choice of labels matters, not how other faults would come out.",
        )
        yield from _useless_alarms(group, words.of(source))
    shown = set(board[["source", "detector", "own_shots"]].itertuples(index=False, name=None))
    empty = [key for key in sorted(points(sweep.plan)) if key not in shown]
    if empty:
        names = listed(f"{detector} at {words.shots(shots)}{words.of(source)}" for source, detector, shots in empty)
        yield Statement(
            "caution", f"Planned, but without a value on any draw: {names}. They are in no ranking and no comparison."
        )
    if sweep.gaps:
        yield Statement(
            "caution",
            f"{len(sweep.gaps)} planned report draws have no score; they are named under Failures, and no claim rests "
            "on their cells.",
        )
