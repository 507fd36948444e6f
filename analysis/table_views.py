"""Frames -> tables for people: numbers with their intervals, names with their colours."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.leaderboard import BESIDE
from analysis.plots.style import look, number, shorten
from analysis.verdict import metric_meaning, metric_title
from analysis.views import Header, TableCell, TableRow, TableView

SHORT = {
    "average_precision": "average precision", "f1": "F1 at threshold", "oracle_f1": "oracle F1", "auroc": "AUROC",
    "vus_pr": "VUS-PR", "precision": "precision", "false_alarms_per_day": "false alarms a day",
    "delay_s": "delay (s)", "macro_f1": "macro-F1 of types",
}  # fmt: skip


def leaderboard(board: pd.DataFrame, metric: str, caption: str) -> TableView:
    """Return the leaderboard of one source and number of shots."""
    extra = [name for name in BESIDE if name in board and name not in ("event_recall", metric)]
    header = [
        Header("#"), Header("detector", text=True), Header(SHORT.get(metric, metric_title(metric)), meaning=metric_meaning(metric)),
        Header("95 % interval", meaning="Over draws of labelled windows; logit-t for shares"),
        Header("draws", meaning="Report draws with a score, of those planned"),
        *(Header(SHORT.get(name, name), meaning=metric_meaning(name)) for name in extra),
        Header("faults caught", meaning="Faults with an alarm at the deployed threshold, mean over draws; in brackets the "
               "Clopper-Pearson interval of their share"),
        Header("labels spent", meaning="Labelled windows, validation included"),
        Header("labelled faults", meaning="Faults behind the labels, validation included"),
        Header("remarks", text=True),
    ]  # fmt: skip
    rows = [_board_row(row, extra, first=place == 0) for place, row in enumerate(board.to_dict("records"))]
    return TableView(caption, header, rows)


def _board_row(row: dict[str, object], extra: Sequence[str], *, first: bool) -> TableRow:
    get = _numbers(row)
    tag = "reference" if row["reference"] else "0 labels" if get("own_shots") == 0 and get("shots") > 0 else ""
    caught = f"{number(get('caught'), 1)} of {get('test_events'):.0f}"
    if np.isfinite(get("caught_low")):
        caught += f" ({get('caught_low'):.0%} to {get('caught_high'):.0%})"
    cells = [
        TableCell(f"{get('rank'):.0f}"),
        TableCell(shorten(str(row["detector"]), 48), colour=look(str(row["detector"])).colour, tag=tag),
        TableCell(number(get("estimate"))),
        TableCell(band(get("low"), get("high"))),
        TableCell(f"{get('n'):.0f} of {get('planned'):.0f}" if get("n") != get("planned") else f"{get('n'):.0f}"),
        *(TableCell(number(get(name), 1 if name in ("false_alarms_per_day", "delay_s") else 3)) for name in extra),
        TableCell(caught if np.isfinite(get("caught")) else "–"),
        TableCell(f"{get('all_windows'):.0f}"),
        TableCell(number(get("all_faults"), 1)),
        TableCell(str(row["note"]) + ("" if row["complete"] else "; draws missing or failed, see Failures")),
    ]
    return TableRow(cells, "reference" if row["reference"] else "first" if first else "")


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
    return TableView(caption, header, [_pair_row(row) for row in frame.to_dict("records")])


def _pair_row(row: dict[str, object]) -> TableRow:
    get = _numbers(row)
    free = "0 labels" if get("opponent_shots") == 0 and get("shots") > 0 else ""
    kind = str(row["verdict"]) if row["verdict"] in ("better", "worse") else ""
    return TableRow(
        [
            TableCell(shorten(str(row["detector"]), 48), colour=look(str(row["detector"])).colour),
            TableCell(f"{get('shots'):.0f}"),
            TableCell(shorten(str(row["opponent"]), 48), colour=look(str(row["opponent"])).colour, tag=free),
            TableCell(f"{get('mean'):+.3f}"),
            TableCell(band(get("low"), get("high"), signed=True)),
            TableCell(f"{get('n'):.0f}"),
            TableCell(p_value(get("p"))),
            TableCell(p_value(get("p_holm"))),
            TableCell(p_value(get("p_signflip"))),
            TableCell(number(get("probability_better"), 2)),
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
        *(Header(f"{shorten(t, 24)} ({events[t]} faults)", meaning="faults caught, and the share of their windows that alarm")
          for t in types),
    ]  # fmt: skip
    rows = []
    for name, group in caught.groupby("detector", sort=False):
        mine = group.set_index("fault_type")
        cells = [
            TableCell(f"{number(float(mine.at[t, 'events_caught']), 1)} caught, {float(mine.at[t, 'window_recall']):.0%} of windows"
                      if t in mine.index else "–")
            for t in types
        ]  # fmt: skip
        rows.append(TableRow([TableCell(shorten(str(name), 48), colour=look(str(name)).colour), *cells]))
    return TableView(caption, header, rows)


def plain(
    frame: pd.DataFrame, caption: str, columns: dict[str, str], text: Sequence[str] = (), digits: int = 3
) -> TableView:
    """Return any frame as a table: column -> heading, in that order; `text` names the columns that hold words."""
    kept = {name: heading for name, heading in columns.items() if name in frame}
    header = [Header(heading, text=name in text) for name, heading in kept.items()]
    rows = [
        TableRow([_plain_cell(name, row[name], name in text, digits) for name in kept])
        for row in frame.to_dict("records")
    ]
    return TableView(caption, header, rows)


def _plain_cell(name: str, value: object, is_text: bool, digits: int) -> TableCell:  # noqa: FBT001
    if is_text or isinstance(value, str):
        words = "" if value is None or value is pd.NA else str(value)
        return TableCell(shorten(words, 300), colour=look(words).colour if name == "detector" else "")
    amount = float("nan") if value is None else float(str(value))
    return TableCell(f"{amount:,.0f}" if amount.is_integer() else number(amount, digits))


def band(low: float, high: float, *, signed: bool = False) -> str:
    """Return an interval in words, or a dash for none."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return "–"
    return f"{low:+.3f} to {high:+.3f}" if signed else f"{number(low)} to {number(high)}"


def p_value(p: float) -> str:
    """Return a p-value with two digits; a dash where no test was made."""
    if not np.isfinite(p):
        return "–"
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


class _numbers:  # noqa: N801  (reads as a function)
    """Read numbers from a record; a missing one is NaN."""

    def __init__(self, row: dict[str, object]) -> None:
        self.row = row

    def __call__(self, name: str) -> float:
        value = self.row.get(name)
        return float("nan") if value is None else float(str(value))
