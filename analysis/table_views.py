"""Frames -> tables for people: numbers with their intervals, names with their colours."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.leaderboard import BESIDE
from analysis.plots.style import look, ordered
from analysis.views import Header, TableCell, TableRow, TableView
from analysis.words import (
    DASH,
    Record,
    Words,
    absent,
    band,
    metric_meaning,
    metric_title,
    number,
    p_value,
    records,
    shorten,
)

SHORT = {
    "average_precision": "average precision", "f1": "F1 at threshold", "oracle_f1": "oracle F1", "auroc": "AUROC",
    "vus_pr": "VUS-PR", "false_alarms_per_day": "false alarms a day",
    "delay_s": "delay (s)", "macro_f1": "macro-F1 of types",
}  # fmt: skip

CAUGHT = (
    "Faults with an alarm at the deployed threshold, mean over draws; in brackets the Clopper-Pearson interval of "
    "their share, over faults"
)


def named(detector: str, tag: str = "") -> TableCell:
    """Return the name of a detector with its colour."""
    return TableCell(shorten(detector, 48), colour=look(detector).colour, tag=tag)


def summary(frame: pd.DataFrame, words: Words) -> TableView:
    """Return the verdict as a table: the best of each kind at each number of shots."""
    header = [
        Header("labels", text=True),
        Header("best of all", text=True),
        Header("best MOMENT detector", text=True),
        Header("best ordinary detector", text=True),
        Header("paired difference", meaning="best MOMENT minus best ordinary detector, with its 95 % interval"),
        Header("p", meaning="That the MOMENT detector beats every ordinary one, after Holm over all such tests"),
        Header("verdict", text=True),
    ]
    return TableView(
        f"Best at each number of labels, {metric_title(words.metric)} with 95 % interval over draws",
        header,
        [_summary_row(row, words) for row in records(frame)],
    )


def _summary_row(row: Record, words: Words) -> TableRow:
    difference = DASH if absent(row["mean"]) else f"{row['mean']:+.3f}{_bracketed(row['low'], row['high'])}"
    outcome = row["verdict"] if isinstance(row["verdict"], str) else "no comparison"
    return TableRow(
        [
            TableCell(f"{words.shots(row['shots'])}{words.of(row['source'])}"),
            *(_best(row, name) for name in ("best", "moment", "ordinary")),
            TableCell(difference),
            TableCell(p_value(float("nan") if row["p_holm"] is None else row["p_holm"])),
            TableCell(
                {"better": "MOMENT ahead", "not better": "MOMENT not shown to be ahead"}.get(outcome, outcome),
                "better prose" if outcome == "better" else "prose",
            ),
        ]
    )


def _best(row: Record, name: str) -> TableCell:
    if not row[name]:
        return TableCell("none")
    interval = _bracketed(row[f"{name}_low"], row[f"{name}_high"], signed=False)
    cell = named(row[name])
    return TableCell(f"{cell.text} {number(row[f'{name}_estimate'])}{interval}", "prose", cell.colour)


def _bracketed(low: float, high: float, *, signed: bool = True) -> str:
    return "" if absent(low) else f" ({band(low, high, signed=signed)})"


def leaderboard(board: pd.DataFrame, metric: str, caption: str) -> TableView:
    """Return the leaderboard of one source and number of shots."""
    extra = [name for name in BESIDE if name in board and name not in ("event_recall", metric)]
    header = [
        Header("#", meaning="rank"),
        Header("detector", text=True),
        Header(SHORT.get(metric, metric_title(metric)), meaning=metric_meaning(metric)),
        Header("95 % interval", meaning="Over draws of labelled windows; logit-t for shares"),
        Header(
            "over labels and faults", meaning="95 % crossed bootstrap over draws and faults: how other faults would do"
        ),
        Header("draws", meaning="Report draws with a score, of those planned"),
        Header("faults caught", meaning=CAUGHT),
        *(Header(SHORT.get(name, name), meaning=metric_meaning(name)) for name in extra),
        Header("labels spent", meaning="Labelled windows, validation included"),
        Header("faults labelled", meaning="Faults behind the labels, validation included"),
        Header("remarks", text=True),
    ]
    rows = [_board_row(row, extra, first=place == 0) for place, row in enumerate(records(board))]
    if not any(row.cells[-1].text for row in rows):
        header.pop()
        rows = [TableRow(row.cells[:-1], row.kind) for row in rows]
    return TableView(caption, header, rows)


def _board_row(row: Record, extra: Sequence[str], *, first: bool) -> TableRow:
    tag = "reference" if row["reference"] else "0 labels" if row["own_shots"] == 0 and row["shots"] > 0 else ""
    caught = f"{number(row['caught'], 1)} of {row['test_events']:.0f}"
    if np.isfinite(row["caught_low"]):
        caught += f" ({row['caught_low']:.0%} to {row['caught_high']:.0%})"
    low, high = row["low"], row["high"]
    remarks = [] if row["complete"] else ["draws missing, failed or without a value, see Failures"]
    if np.isfinite(low) and row["note"]:
        remarks.append(str(row["note"]))
    cells = [
        TableCell(f"{row['rank']:.0f}"),
        named(row["detector"], tag),
        TableCell(number(row["estimate"])),
        TableCell(band(low, high) if np.isfinite(low) else why_no_interval(str(row["note"]))),
        TableCell(band(row["general_low"], row["general_high"])),
        TableCell(f"{row['n']:.0f} of {row['planned']:.0f}" if row["n"] != row["planned"] else f"{row['n']:.0f}"),
        TableCell(caught if np.isfinite(row["caught"]) else DASH),
        *(_beside(row, name) for name in extra),
        TableCell(f"{row['all_windows']:.0f}"),
        TableCell(number(row["all_faults"], 1)),
        TableCell("; ".join(remarks)),
    ]
    return TableRow(cells, "reference" if row["reference"] else "first" if first else "")


def _beside(row: Record, name: str) -> TableCell:
    """Return a metric beside the one that ranks, with its draws where it is not defined on all of them."""
    text = number(row[name], 1 if name in ("false_alarms_per_day", "delay_s") else 3)
    partly = 0 < row[f"{name}_n"] < row["planned"]
    return TableCell(f"{text} ({row[f'{name}_n']:.0f} of {row['planned']:.0f} draws)" if partly else text)


def why_no_interval(note: str) -> str:
    """Return the reason why there is no interval, short enough for a table."""
    reasons = {"equal": "no variance observed", "single": "one draw", "alike": "draws too alike"}
    return next((brief for word, brief in reasons.items() if word in note), "none")


def matrix(frame: pd.DataFrame, caption: str) -> TableView:
    """Return the paired comparisons of one source as a matrix: MOMENT detectors by ordinary ones."""
    opponents = ordered(frame["opponent"])
    columns = [Header(shorten(name, 32), text=True) for name in opponents]
    header = [Header("MOMENT detector", text=True), Header("shots"), *columns]
    pair = {(row["detector"], row["shots"], row["opponent"]): row for row in records(frame)}
    rows = [
        TableRow(
            [named(name), TableCell(f"{shots:.0f}"), *(_matrix_cell(pair.get((name, shots, o))) for o in opponents)]
        )
        for shots in sorted(frame["shots"].unique(), reverse=True)
        for name in ordered(frame.loc[frame["shots"] == shots, "detector"])
    ]
    return TableView(caption, header, rows)


def _matrix_cell(row: Record | None) -> TableCell:
    if row is None or absent(row["mean"]):
        return TableCell(DASH)
    said = str(row["verdict"])
    return TableCell(f"{row['mean']:+.3f} {said}", said if said in ("better", "worse") else "")


def pairs(frame: pd.DataFrame, caption: str) -> TableView:
    """Return the paired comparisons of one source."""
    header = [
        Header("MOMENT detector", text=True), Header("shots"), Header("against", text=True), Header("difference"),
        Header("95 % interval"), Header("pairs", meaning="Draws on which both have a score"),
        Header("p (paired t)"), Header("p after Holm", meaning="Corrected over all tests of the table"),
        Header("p (sign-flip)", meaning="Exact sign-flip test, not corrected"),
        Header("P(better)", meaning="Share of draws on which it is ahead, ties counted half"),
        Header("verdict", text=True), Header("remarks", text=True),
    ]  # fmt: skip
    return TableView(caption, header, [_pair_row(row) for row in records(frame)])


def _pair_row(row: Record) -> TableRow:
    free = "0 labels" if row["opponent_shots"] == 0 and row["shots"] > 0 else ""
    kind = str(row["verdict"]) if row["verdict"] in ("better", "worse") else ""
    return TableRow(
        [
            named(row["detector"]),
            TableCell(f"{row['shots']:.0f}"),
            named(row["opponent"], free),
            TableCell(DASH if absent(row["mean"]) else f"{row['mean']:+.3f}"),
            TableCell(band(row["low"], row["high"], signed=True)),
            TableCell(f"{row['n']:.0f}"),
            TableCell(p_value(row["p"])),
            TableCell(p_value(row["p_holm"])),
            TableCell(p_value(row["p_signflip"])),
            TableCell(number(row["probability_better"], 2)),
            TableCell(str(row["verdict"]), kind),
            TableCell(str(row["note"])),
        ]
    )


def fault_types(caught: pd.DataFrame, caption: str) -> TableView:
    """Return what each detector catches of each fault type, for one source and number of shots."""
    types = sorted(caught["fault_type"].unique())
    events = caught.groupby("fault_type")["events"].max()
    header = [
        Header("detector", text=True),
        *(Header(f"{shorten(t, 24)} ({events[t]} faults)", meaning="faults caught; share of their windows that alarm")
          for t in types),
    ]  # fmt: skip
    rows = []
    for name, group in caught.groupby("detector", sort=False):
        mine = {row["fault_type"]: row for row in records(group)}
        rows.append(TableRow([named(str(name)), *(_caught(mine.get(kind)) for kind in types)]))
    return TableView(caption, header, rows)


def _caught(row: Record | None) -> TableCell:
    if row is None:
        return TableCell(DASH)
    return TableCell(f"{number(row['events_caught'], 1)} caught, {row['window_recall']:.0%} of windows")


def delays(frame: pd.DataFrame, caption: str) -> TableView:
    """Return how soon faults are noticed, for one source and number of shots, the detector that is soonest first."""
    order = {name: place for place, name in enumerate(ordered(frame["detector"]))}
    ranked = frame.assign(place=frame["detector"].map(order)).sort_values(["median_s", "place"])
    header = [
        Header("detector", text=True),
        Header("half of the faults caught within", text=True, meaning="Faults without an alarm count as never caught"),
        Header("caught at all", meaning="Share of faults with an alarm before they end, mean over draws"),
        Header("false alarms a day", meaning="At the same threshold: what always alarms is soonest"),
        Header("faults"), Header("draws"), Header("longest fault (s)"),
    ]  # fmt: skip
    rows = [
        TableRow(
            [
                named(row["detector"]),
                TableCell(str(row["answer"])),
                TableCell(f"{row['caught']:.0%}"),
                TableCell(number(row["alarms"], 1)),
                TableCell(f"{row['faults']:.0f}"),
                TableCell(f"{row['draws']:.0f}"),
                TableCell(f"{row['longest_fault_s']:,.0f}"),
            ]
        )
        for row in records(ranked)
    ]
    return TableView(caption, header, rows)


def plain(
    frame: pd.DataFrame, caption: str, columns: dict[str, str], text: Sequence[str] = (), digits: int = 3
) -> TableView:
    """Return any frame as a table: column -> heading, in that order; `text` names the columns that hold words."""
    kept = {name: heading for name, heading in columns.items() if name in frame}
    header = [Header(heading, text=name in text) for name, heading in kept.items()]
    rows = [TableRow([_plain_cell(name, row[name], name in text, digits) for name in kept]) for row in records(frame)]
    return TableView(caption, header, rows)


def _plain_cell(name: str, value: object, is_text: bool, digits: int) -> TableCell:
    if is_text or isinstance(value, str):
        words = "" if value is None or value is pd.NA else str(value)
        return TableCell(shorten(words, 300), colour=look(words).colour if name == "detector" else "")
    amount = float("nan") if value is None else float(str(value))
    return TableCell(f"{amount:,.0f}" if amount.is_integer() else number(amount, digits))
