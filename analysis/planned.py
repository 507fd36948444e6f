"""What a sweep planned: the report draws of each cell, which of them lack a score, and who competes where."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.words import Record

Names = Mapping[tuple[int, str], str]
"""(position of the run, detector) -> the name that tells runs apart."""

CELL = ["source", "detector", "shots", "fold"]
"""Columns that name a cell; `fold` last, because folds are averaged inside a draw."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A planned report draw without a score: never run, or not ok."""

    source: str
    detector: str
    shots: int
    fold: int
    draw: int
    status: str
    reason: str


def _cells(manifests: Sequence[Mapping[str, object]], names: Names) -> Iterator[tuple[tuple[object, ...], Record]]:
    """Yield every planned cell: its key in the order of `CELL`, and what the manifest says of it."""
    for run, manifest in enumerate(manifests):
        cells = manifest.get("cells")
        for cell in cells if isinstance(cells, list) else []:
            told = {**cell, "detector": names.get((run, cell["detector"]), cell["detector"])}
            yield tuple(told[name] for name in CELL), told


def planned_draws(manifests: Sequence[Mapping[str, object]], names: Names) -> pd.DataFrame | None:
    """Return the report draws that manifests plan (`CELL`, `draw`, `exposure`); None if one does not list its cells."""
    if not all(isinstance(manifest.get("cells"), list) for manifest in manifests):
        return None
    records = [
        (*key, draw, cell.get("exposure")) for key, cell in _cells(manifests, names) for draw in cell["report_draws"]
    ]
    return pd.DataFrame.from_records(records, columns=[*CELL, "draw", "exposure"]).drop_duplicates()


Points = Collection[tuple[str, str, int]]
"""(source, detector, shots) of points of learning curves."""


def points(plan: pd.DataFrame) -> frozenset[tuple[str, str, int]]:
    """Return the points of learning curves that planned draws make, whether they came out well or not."""
    names = plan[CELL[:3]].drop_duplicates().itertuples(index=False, name=None)
    return frozenset((str(source), str(detector), int(shots)) for source, detector, shots in names)


def competes(wanted: Points, point: tuple[str, str, int], shots: int) -> bool:
    """Return True if a point is what its detector has to show at a number of shots.

    That is its own cell of that many shots or, where none was planned, the one of 0 shots: it costs no labels. A
    cell that was planned and failed is not replaced.
    """
    source, detector, own = point
    return own == shots or (own == 0 and (source, detector, shots) not in wanted)


def judged_draws(rows: pd.DataFrame, planned: pd.DataFrame | None) -> pd.DataFrame:
    """Return the planned draws (columns of `CELL` and `draw`) of the folds that levels and claims rest on.

    Without a plan these are the draws with a report row of any status. Where kinds of faults are held out, the folds
    that saw them are left out: the plan says which they are, or else (manifests of before) the rows that ended ok.
    """
    wanted = rows.loc[rows["phase"] == "report", [*CELL, "draw"]].drop_duplicates() if planned is None else planned
    told = rows.dropna(subset=["exposure"]).drop_duplicates(["source", "fold"])[["source", "fold", "exposure"]]
    both = wanted.merge(told.rename(columns={"exposure": "by_rows"}), on=["source", "fold"], how="left")
    exposure = both["by_rows"] if planned is None else both["exposure"].fillna(both["by_rows"])
    return both.loc[exposure != "seen", [*CELL, "draw"]]


NO_WINNER = "no configuration of the search ran on all selection draws, so there was none to report"


def dead_cells(rows: pd.DataFrame, manifests: Sequence[Mapping[str, object]], names: Names) -> set[tuple[object, ...]]:
    """Return the cells whose search is over without a configuration that worked: they will never report."""
    dead: set[tuple[object, ...]] = set()
    reported = set(rows.loc[rows["phase"] == "report", CELL].itertuples(index=False, name=None))
    by_cell = dict(iter(rows[rows["phase"] == "select"].groupby(CELL)))
    for key, cell in _cells(manifests, names):
        tried, draws = by_cell.get(key), cell.get("selection_draws")
        if key in reported or tried is None or not draws:
            continue
        good = tried[tried["status"] == "ok"].groupby("trial")["draw"].nunique()
        if tried["trial"].nunique() >= int(cell.get("candidates") or 0) and not (good >= len(draws)).any():
            dead.add(key)
    return dead


def find_gaps(rows: pd.DataFrame, planned: pd.DataFrame | None, dead: Collection[tuple[object, ...]] = ()) -> list[Gap]:
    """Name every planned report draw without an ok row; without a plan, every row that is not ok."""
    key = [*CELL, "draw"]
    report = rows.loc[rows["phase"] == "report", [*key, "status", "reason"]]
    good = report.loc[report["status"] == "ok", key]
    bad = report[report["status"] != "ok"].drop_duplicates(key, keep="last")
    wanted = bad[key] if planned is None else planned
    missing = wanted.merge(good.drop_duplicates(), on=key, how="left", indicator=True)
    missing = missing.loc[missing["_merge"] == "left_only", key].merge(bad, on=key, how="left")
    hopeless = [tuple(cell) in dead for cell in missing[CELL].itertuples(index=False, name=None)]
    missing.loc[hopeless, ["status", "reason"]] = ["failed", NO_WINNER]
    missing["status"] = missing["status"].fillna("missing")
    missing["reason"] = missing["reason"].fillna("")
    ordered = missing.sort_values(key)
    return [
        Gap(str(r["source"]), str(r["detector"]), int(r["shots"]), int(r["fold"]), int(r["draw"]),
            str(r["status"]), str(r["reason"]))
        for r in ordered.to_dict("records")
    ]  # fmt: skip
