"""Today's alerts against the detectors: faults caught and false alarms a day, at the thresholds as deployed."""

from collections.abc import Iterator
from math import floor, log2

import numpy as np
import pandas as pd

from analysis.comparisons import ALPHA, Held, Point, adjusted, compared, held_points
from analysis.curves import with_caught
from analysis.roles import is_external, role
from analysis.words import Record, Words, absent, number, p_value, records, shorten

NEEDED = {"event_recall", "false_alarms_per_day"}
COLUMNS = ["source", "alerts", "detector", "shots", "events", "caught_alerts", "caught", "caught_difference",
           "caught_low", "caught_high", "p_caught", "alarms_alerts", "alarms", "alarms_difference", "alarms_low",
           "alarms_high", "p_alarms", "n", "claimable", "constant", "note", "p_caught_holm", "p_alarms_holm", "family",
           "verdict"]  # fmt: skip


def against_alerts(allowed: pd.DataFrame, wanted: pd.DataFrame) -> pd.DataFrame:
    """Compare every detector with every row of today's alerts, draw by draw, in both things that an alert is for.

    A detector beats alerts if its means are no worse in either and one of the two differences is significant: paired
    t over draws, or the exact sign-flip test where a difference is the same on every draw. Each of the two questions
    (more faults? fewer false alarms?) is a family of its own: Holm over all pairs with labels, also those that could
    not be tested. Of its 5 % only the half on the good side makes a detector beat the alerts, so both families
    together call at most 5 % of sweeps wrongly.

    Parameters
    ----------
    allowed, wanted
        Report rows and planned draws that a claim may rest on; empty where none may be made.

    Returns
    -------
    pandas.DataFrame
        A row for each source, alerts, detector and number of shots (`COLUMNS`): faults caught and false alarms a day
        of both, differences (detector minus alerts) with 95 % intervals over draws, p and p after Holm; `family`, the
        tests of one question; `constant`, whether a difference is the same on every draw, but not 0; `verdict` is
        "beats", "behind", "trades" (better in one, worse in the other), "not separated" or "no claim".
    """
    empty = pd.DataFrame(columns=COLUMNS)
    if allowed.empty or not set(allowed.columns) >= NEEDED:
        return empty
    caught = held_points(with_caught(allowed), "caught", wanted, over_folds="sum")
    alarms = held_points(allowed, "false_alarms_per_day", wanted)
    events = _events(allowed)
    frame = pd.DataFrame.from_records(
        [
            _row(source, caught[source, name, 0], caught[key], alarms[source, name, 0], alarms[key], events[source])
            for source, name in _alerts(caught)
            for key in sorted(caught)
            if key[0] == source and not is_external(key[1]) and role(key[1]) != "floor" and source in events
        ],
        columns=COLUMNS[:-4],
    )
    if frame.empty:
        return empty
    testable = frame["shots"] > 0
    for p in ("p_caught", "p_alarms"):
        frame[f"{p}_holm"] = adjusted(frame[p].where(frame["claimable"].astype(bool)), testable)
    frame["family"] = int(testable.sum())
    frame["verdict"] = [_verdict(row) for row in records(frame)]
    return frame


def sentences(frame: pd.DataFrame, words: Words) -> Iterator[tuple[str, str]]:
    """Yield (kind, sentence) for each row of alerts: whether a detector would have beaten them, and which."""
    for (source, alerts), group in frame.groupby(["source", "alerts"], sort=True):
        first = records(group)[0]
        have = (
            f"Your alerts ({shorten(str(alerts), 40)}) catch {number(first['caught_alerts'], 1)} of "
            f"{first['events']:.0f} test faults with {number(first['alarms_alerts'], 1)} false alarms a day"
            f"{words.of(source)}."
        )
        won = [row for row in records(group) if row["verdict"] == "beats"]
        if won:
            best = max(won, key=lambda row: (row["caught"], -row["alarms"]))
            others = len(won) - 1
            more = f" {others} more rows of the table beat them, too." if others else ""
            yield "claim", f"{have} {_told(best, words)} would have beaten them.{more}"
        else:
            yield _nobody(have, records(group), words)


def _nobody(have: str, rows: list[Record], words: Words) -> tuple[str, str]:
    """Return what to say where no detector is shown to beat the alerts: the nearest one, and why not."""
    valued = [row for row in rows if not absent(row["caught"]) and not absent(row["alarms"])]
    if not valued:
        return "caution", f"{have} No detector has a value to hold against them."
    nearest = max(valued, key=lambda row: (row["caught"] >= row["caught_alerts"], -row["alarms"], row["caught"]))
    why = {
        "behind": "it is behind them",
        "trades": "it is better in one and worse in the other",
        "not separated": _beyond_reach(nearest) or "the differences may be chance",
        "no claim": f"no claim can be made ({nearest['note'] or 'too few independent draws'})",
    }[nearest["verdict"]]
    kind = "caution" if all(row["verdict"] == "no claim" for row in rows) else "none"
    return kind, f"{have} No detector is shown to beat them. The nearest: {_told(nearest, words)}: {why}."


def _beyond_reach(row: Record) -> str:
    """Return how many draws a difference that never varies needs, where those there are can show none over the family.

    The exact test of n equal differences has p = 2 / 2^n.
    """
    n, tests = int(row["n"]), int(row["family"])
    if not row["constant"] or 2 / 2**n * tests < ALPHA:
        return ""
    needed = floor(log2(2 * tests / ALPHA)) + 1
    return f"{n} draws cannot show a difference that never varies over {tests} tests; {needed} draws could"


def _told(row: Record, words: Words) -> str:
    tests = "" if absent(row["p_caught_holm"]) else (
        f"; p {p_value(row['p_caught_holm'])} and {p_value(row['p_alarms_holm'])} after Holm over {row['family']:.0f} "
        f"tests each, n = {row['n']:.0f} draws"
    )  # fmt: skip
    return (
        f"{shorten(row['detector'], 40)} at {words.shots(int(row['shots']))} with {number(row['caught'], 1)} faults "
        f"caught ({_signed(row, 'caught')}) and {number(row['alarms'], 1)} false alarms a day "
        f"({_signed(row, 'alarms')}{tests})"
    )


def _signed(row: Record, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    interval = "" if absent(low) else f", 95 % interval {low:+.1f} to {high:+.1f}"
    return f"{row[f'{name}_difference']:+.1f}{interval}"


def _alerts(held: Held) -> list[tuple[str, str]]:
    return sorted({(source, name) for source, name, shots in held if is_external(name) and shots == 0})


def _events(report: pd.DataFrame) -> dict[str, float]:
    """Return the test faults of each source, added over folds."""
    by_fold = report.groupby(["source", "fold"])["test_events"].max()
    return {str(source): float(count) for source, count in by_fold.groupby("source").sum().items()}


def _row(
    source: str, caught_alerts: Point, caught: Point, alarms_alerts: Point, alarms: Point, events: float
) -> dict[str, object]:
    differences: dict[str, Record] = {
        "caught": compared(caught, caught_alerts, exact=True), "alarms": compared(alarms, alarms_alerts, exact=True)
    }  # fmt: skip
    one, two = differences.values()
    return {
        "source": source, "alerts": caught_alerts.detector, "detector": caught.detector, "shots": caught.shots,
        "events": events,
        "caught_alerts": caught_alerts.mean, "caught": caught.mean,
        "alarms_alerts": alarms_alerts.mean, "alarms": alarms.mean,
        **{f"{name}_{to}": found[of] for name, found in differences.items() for to, of in _PARTS.items()},
        **{f"p_{name}": found["p_signflip" if absent(found["p"]) else "p"] for name, found in differences.items()},
        "n": one["n"], "claimable": bool(one["claimable"] and two["claimable"]),
        "constant": any(absent(found["p"]) and found["p_signflip"] != 1 for found in differences.values()),
        "note": one["note"] or two["note"],
    }  # fmt: skip


_PARTS = {"difference": "mean", "low": "low", "high": "high"}


def _verdict(row: Record) -> str:
    if not row["claimable"]:
        return "no claim"
    more, fewer = row["caught_difference"], -row["alarms_difference"]
    if np.isnan(more) or np.isnan(fewer):
        return "no claim"
    if not any(p < ALPHA for p in (row["p_caught_holm"], row["p_alarms_holm"])):
        return "not separated"
    if more >= 0 and fewer >= 0:
        return "beats"
    return "behind" if more <= 0 and fewer <= 0 else "trades"
