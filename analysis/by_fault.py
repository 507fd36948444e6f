"""What is caught of each fault type, from the score files of the report draws."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.load import Sweep
from analysis.words import records
from orchestrator.errors import RunFolderError
from orchestrator.results import read_scores
from trainables.trial import WindowScores


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


def caught_by_type(draws: Iterable[DrawScores]) -> pd.DataFrame:
    """Return what was caught of each fault type at the deployed threshold, by draws that have every fold.

    Returns
    -------
    pandas.DataFrame
        A row for each source, shots, detector and fault type: `window_recall` (share of the type's windows
        at or above the threshold, mean over draws), `events_caught` (events with at least one such window,
        mean over draws), `events` and `windows` (in the test part, all folds), `draws`.
    """
    columns = ["source", "shots", "detector", "fault_type", "fold", "draw", "hits", "windows", "caught", "events"]
    counted = [
        (d.source, d.shots, d.detector, kind, d.fold, d.draw, *numbers)
        for d in draws
        for kind, *numbers in _types(d.scores, d.threshold)
    ]
    frame = pd.DataFrame.from_records(counted, columns=columns)
    key = ["source", "shots", "detector", "fault_type"]
    by_draw = frame.groupby([*key, "draw"], as_index=False)[["hits", "windows", "caught", "events"]].sum()
    by_draw["window_recall"] = by_draw["hits"] / by_draw["windows"]
    return by_draw.groupby(key, as_index=False).agg(
        window_recall=("window_recall", "mean"),
        events_caught=("caught", "mean"),
        events=("events", "max"),
        windows=("windows", "max"),
        draws=("draw", "nunique"),
    )


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
