"""What is caught of each fault type, from the score files of the report draws."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.curves import describe
from analysis.intervals import iqm
from analysis.load import Sweep
from analysis.words import records
from orchestrator.errors import RunFolderError
from orchestrator.results import read_scores
from trainables.trial import WindowScores

TYPE = ["source", "shots", "detector", "fault_type"]
OVER_TYPES = [*TYPE[:-1], "types", "n", "mean", "mean_low", "mean_high", "iqm", "iqm_low", "iqm_high", "note"]


@dataclass(frozen=True, slots=True, eq=False)
class DrawScores:
    """The score file of one report draw and what it belongs to; `pool_share` is K over the size of the pool."""

    source: str
    detector: str
    shots: int
    fold: int
    draw: int
    threshold: float
    scores: WindowScores
    pool_share: float = 0.0


def iter_scores(sweep: Sweep, problems: list[str]) -> Iterator[DrawScores]:
    """Read the score files of the report rows one by one; a missing file is named in `problems`."""
    for row in records(sweep.report.sort_values(["source", "detector", "shots", "fold", "draw"])):
        try:
            scores = read_scores(sweep.folders[row["run"]], str(row["trial"]), int(row["draw"]))
        except RunFolderError as err:
            problems.append(str(err))
            continue
        yield DrawScores(
            str(row["source"]), str(row["detector"]), int(row["shots"]), int(row["fold"]), int(row["draw"]),
            float(row["threshold"]), scores, float(row["pool_share"]),
        )  # fmt: skip


def cell_scores(sweep: Sweep, source: str, detector: str, shots: int) -> list[DrawScores]:
    """Return the score files of one detector at one number of shots; missing ones are left out."""
    rows = sweep.rows
    mine = (rows["source"] == source) & (rows["detector"] == detector) & (rows["shots"] == shots)
    return list(iter_scores(replace(sweep, rows=rows[mine]), []))


def with_every_fold(draws: Iterable[DrawScores], plan: pd.DataFrame) -> list[DrawScores]:
    """Return the draws whose planned folds (`Sweep.plan`) all have a score file; a part of a draw has no total."""
    held = list(draws)
    folds = plan.groupby(["source", "detector", "shots"])["fold"].nunique()
    count = Counter((d.source, d.detector, d.shots, d.draw) for d in held)
    return [
        d for d in held if count[d.source, d.detector, d.shots, d.draw] >= folds.get((d.source, d.detector, d.shots), 0)
    ]


def caught_events(draws: Iterable[DrawScores]) -> dict[int, dict[tuple[int, int], bool]]:
    """Return whether each fault was caught at the deployed threshold: draw -> (fold, event) -> caught."""
    found: dict[int, dict[tuple[int, int], bool]] = {}
    for d in draws:
        faulty = d.scores.label == 1
        alarm = d.scores.score.astype(np.float64) >= d.threshold
        caught = np.unique(d.scores.event[faulty & alarm])
        events = np.unique(d.scores.event[faulty])
        found.setdefault(d.draw, {}).update({(d.fold, int(event)): bool(event in caught) for event in events})
    return found


def types_caught(draws: Iterable[DrawScores]) -> pd.DataFrame:
    """Return what is caught of each fault type on each draw at the deployed threshold, folds added up.

    Returns
    -------
    pandas.DataFrame
        A row for each source, shots, detector, fault type and draw: `hits` (windows of the type at or above the
        threshold) of `windows`, `window_recall` (their share), `caught` (events with a hit) of `events`, `pool_share`.
    """
    columns = [*TYPE, "fold", "draw", "pool_share", "hits", "windows", "caught", "events"]
    counted = [
        (d.source, d.shots, d.detector, kind, d.fold, d.draw, d.pool_share, *numbers)
        for d in draws
        for kind, *numbers in _types(d.scores, d.threshold)
    ]
    frame = pd.DataFrame.from_records(counted, columns=columns)
    sums = dict.fromkeys(columns[-4:], "sum")
    by_draw = frame.groupby([*TYPE, "draw"], as_index=False).agg({"pool_share": "max", **sums})
    return by_draw.assign(window_recall=by_draw["hits"] / by_draw["windows"])


def caught_by_type(by_draw: pd.DataFrame) -> pd.DataFrame:
    """Return what was caught of each fault type, mean over draws (`types_caught`) that have every fold.

    Returns
    -------
    pandas.DataFrame
        A row for each source, shots, detector and fault type: `window_recall`, `events_caught`, `events` and
        `windows` (in the test part, all folds), `draws`.
    """
    return by_draw.groupby(TYPE, as_index=False).agg(
        window_recall=("window_recall", "mean"),
        events_caught=("caught", "mean"),
        events=("events", "max"),
        windows=("windows", "max"),
        draws=("draw", "nunique"),
    )


def over_types(by_draw: pd.DataFrame) -> pd.DataFrame:
    """Return the share of windows that alarm over fault types, as mean and as interquartile mean.

    Both are taken inside each draw (`types_caught`), then over draws: types share their draw, and are no repetitions.
    The interquartile mean is the mean of the middle half of the types, so that no single one that is impossible or
    trivial moves it.

    Returns
    -------
    pandas.DataFrame
        A row for each source, shots and detector: `types`, `n` (draws), `mean`, `mean_low`, `mean_high`, `iqm`,
        `iqm_low`, `iqm_high` (95 %, logit-t; NaN where there is none) and `note`.
    """
    found = []
    for cell, mine in by_draw.groupby(OVER_TYPES[:3]):
        table = mine.pivot_table(index="draw", columns="fault_type", values="window_recall")  # [D, types]
        table = table.dropna(axis="columns")
        share = float(mine["pool_share"].max())
        mean, middle = (describe(np.asarray(v), share) for v in (table.mean(axis=1), iqm(table)))
        note = "; ".join(dict.fromkeys(level.note for level in (mean, middle) if level.note))
        bounds = (mean.estimate, mean.low, mean.high, middle.estimate, middle.low, middle.high)
        found.append((*cell, table.shape[1], len(table), *bounds, note))
    return pd.DataFrame.from_records(found, columns=OVER_TYPES)


def _types(scores: WindowScores, threshold: float) -> Iterator[tuple[str, int, int, int, int]]:
    """Yield for each fault type: its name, windows at or above the threshold, windows, events caught, events."""
    alarm = scores.score.astype(np.float64) >= threshold
    faulty = scores.label == 1
    for kind in np.unique(scores.fault_type[faulty]):
        mine = faulty & (scores.fault_type == kind)
        events = scores.event[mine]
        yield (
            str(kind),
            int(alarm[mine].sum()),
            int(mine.sum()),
            len(np.unique(events[alarm[mine]])),
            len(np.unique(events)),
        )
