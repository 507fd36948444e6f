"""Kinds of faults that nobody labelled: a detector on the same test windows, with and without the kind in training."""

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.curves import OVERLAP_LIMIT, SEEDS_ALONE, TOO_ALIKE, describe, draw_values, is_share
from analysis.load import Sweep
from analysis.paired import compare

EVERY = "every kind"
"""Name of the mean over kinds; one that several rotations test counts more."""

LEFT_OUT = "left out, draws are missing"
"""Begins the note of a mean that rests on some of the kinds."""

KEY = ["source", "shots", "detector", "held_out"]


def generalisation(sweep: Sweep, metric: str) -> pd.DataFrame:
    """Return what a detector loses on a kind of fault that it never saw.

    Two detectors of the same draw number are paired: one drew its shots from a support part without the kind, the
    other from all of it; both are judged on the same test windows (faults of the kind, and fault-free time).
    Detectors without labels differ only by what the unlabelled reference holds.

    Returns
    -------
    pandas.DataFrame
        A row for each source, number of shots, detector and kind (and `EVERY`, the mean over kinds inside a draw):
        `KEY`, `unseen`, `unseen_low`, `unseen_high`, `seen`, `seen_low`, `seen_high`, `difference` (unseen minus
        seen), `low`, `high`, `n`, `test_events`, `note`. `EVERY` rests on the kinds that have every draw in both
        exposures; its note names the others. Not corrected for their number: for looking, the claims of the page
        rest on comparisons between detectors.
    """
    held = pd.concat([sweep.report, sweep.seen]).dropna(subset=["held_out"])
    columns = [*KEY, "unseen", "unseen_low", "unseen_high", "seen", "seen_low", "seen_high", "difference", "low",
               "high", "n", "test_events", "note"]  # fmt: skip
    planned = sweep.plan.groupby(["source", "shots", "detector"])["draw"].nunique()
    records = []
    for (source, shots, detector), cell in held.groupby(["source", "shots", "detector"], sort=True):
        kinds = sorted(held.loc[held["source"] == source, "held_out"].unique())
        of_kind = {kind: cell[cell["held_out"] == kind] for kind in kinds}
        records += [(source, shots, detector, kind, *_pair(rows, metric)) for kind, rows in of_kind.items()]
        if len(kinds) > 1:
            draws = int(planned.get((source, shots, detector), 0))
            complete = [kind for kind in kinds if _is_complete(of_kind[kind], metric, draws)]
            lacking = [kind for kind in kinds if kind not in complete]
            note = f"{LEFT_OUT}: {', '.join(lacking)}" if lacking else ""
            records.append(
                (source, shots, detector, EVERY, *_pair(cell[cell["held_out"].isin(complete)], metric, note))
            )
    return pd.DataFrame.from_records(records, columns=columns)


def _is_complete(rows: pd.DataFrame, metric: str, draws: int) -> bool:
    """Return True if every planned draw has a value in both exposures."""
    return all(len(_by_draw(rows[rows["exposure"] == exposure], metric)) >= draws for exposure in ("unseen", "seen"))


def _pair(rows: pd.DataFrame, metric: str, note: str = "") -> tuple[object, ...]:
    unseen, seen = (_by_draw(rows[rows["exposure"] == exposure], metric) for exposure in ("unseen", "seen"))
    result = compare(unseen, seen)
    events = rows[rows["exposure"] == "unseen"].groupby("draw")["test_events"].sum()
    notes = [note] * bool(note) + [str(warning) for warning in result.warnings]
    share = float(rows["pool_share"].max()) if len(rows) else 0.0
    if share > OVERLAP_LIMIT:
        notes.append(TOO_ALIKE)
        result = replace(result, low=None, high=None)
    if (rows["shots"] == 0).any() and result.low is not None:
        notes.append(SEEDS_ALONE)
    if result.unpaired:
        notes.append(f"draws without a partner: {', '.join(map(str, result.unpaired))}")
    return (
        *_level(unseen, metric, share), *_level(seen, metric, share),
        _number(result.mean), _number(result.low), _number(result.high), result.n,
        float(events.max()) if len(events) else np.nan, "; ".join(notes),
    )  # fmt: skip


def _by_draw(rows: pd.DataFrame, metric: str) -> dict[int, float]:
    values = draw_values(rows, metric)
    return dict(zip(values["draw"].astype(int), values["value"].astype(float), strict=True))


def _level(values: dict[int, float], metric: str, pool_share: float) -> tuple[float, float, float]:
    if not values:
        return np.nan, np.nan, np.nan
    level = describe(np.array(list(values.values())), pool_share, bounded=is_share(metric))
    return level.estimate, _number(level.low), _number(level.high)


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)
