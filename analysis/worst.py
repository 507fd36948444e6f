"""Where to look first: the worst of the missed faults and of the false alarms of a draw, from its score file."""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.by_fault import DrawScores
from analysis.roles import role

MISSED, FALSE = "missed fault", "false alarm"
COLUMNS = ["source", "detector", "shots", "fold", "draw", "what", "share", "fault_type", "start", "end"]
MOST = 3
"""Of each detector and kind: enough to look at, and no table of them all."""


def worst(draws: Iterable[DrawScores]) -> pd.DataFrame:
    """Return the worst missed faults and false alarms of each draw, the worst first, at most `MOST` of each.

    Detectors that do not look at the data (random, always_alarm) are left out.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`, of which `what` is `MISSED` or `FALSE` and `share` says how bad, 0 to 1, whatever the scale of the
        scores: of a missed fault the share of fault-free windows that score higher than any of its own, of a false
        alarm the share of faulty windows that score lower than its highest. A false alarm is a run of alarming
        windows without a silent or faulty one between them.
    """
    frame = pd.DataFrame(
        [
            (d.source, d.detector, d.shots, d.fold, d.draw, *one)
            for d in draws
            if role(d.detector) != "floor"
            for one in (*_missed(d), *_false_alarms(d))
        ],
        columns=COLUMNS,
    )
    ranked = frame.sort_values(["what", "share"], ascending=False, kind="stable")
    return ranked.groupby(COLUMNS[: COLUMNS.index("share")], sort=False).head(MOST).reset_index(drop=True)


One = tuple[str, float, str, str, str]


def _missed(draw: DrawScores) -> Iterator[One]:
    scores = draw.scores
    faulty = scores.label == 1
    for event in np.unique(scores.event[faulty]):
        mine = faulty & (scores.event == event)
        highest = scores.score[mine].max()
        if float(highest) < draw.threshold:
            yield MISSED, _share(scores.score[~faulty] > highest), str(scores.fault_type[mine][0]), *_span(draw, mine)


def _false_alarms(draw: DrawScores) -> Iterator[One]:
    scores = draw.scores
    order = np.lexsort((scores.window_end, scores.segment))
    false = (scores.label == 0) & (scores.score.astype(np.float64) >= draw.threshold)
    goes_on = false[order][1:] & false[order][:-1] & (scores.segment[order][1:] == scores.segment[order][:-1])
    for run in np.split(order, np.flatnonzero(~goes_on) + 1):
        if false[run[0]]:
            lower = scores.score[scores.label == 1] < scores.score[run].max()
            yield FALSE, _share(lower), "", *_span(draw, run)


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else float("nan")


def _span(draw: DrawScores, chosen: NDArray[np.generic]) -> tuple[str, str]:
    """Return when the first and the last of the chosen windows end, in UTC."""
    times = draw.scores.window_end[chosen].astype("datetime64[s]")
    return str(times.min()), str(times.max())
