"""Everything that the report says, worked out once: the page, the Markdown and the CSV files print the same."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import comparisons
from analysis.by_fault import DrawScores, caught_by_type, iter_scores
from analysis.curves import levels
from analysis.landscape import candidates, optimism
from analysis.leaderboard import leaderboard
from analysis.load import Sweep
from analysis.tables import costs, failures
from analysis.verdict import Verdict, reason_for_silence, summary, verdict
from analysis.words import Words


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """Frames and words of the report; see the function of each name for its columns.

    Attributes
    ----------
    levels
        Metric -> points of its learning curves.
    shown
        One draw of each detector and number of shots, for the timeline.
    problems
        Input that could not be used, in words.
    """

    sweep: Sweep
    metric: str
    words: Words
    levels: Mapping[str, pd.DataFrame]
    board: pd.DataFrame
    pairs: pd.DataFrame
    headlines: pd.DataFrame
    candidates: pd.DataFrame
    optimism: pd.DataFrame
    caught: pd.DataFrame
    costs: pd.DataFrame
    failures: pd.DataFrame
    shown: Sequence[DrawScores]
    verdict: Verdict
    summary: pd.DataFrame
    problems: Sequence[str]


def find(sweep: Sweep) -> Findings:
    """Work out every table of a sweep."""
    metric = sweep.objective
    by_metric = {name: levels(sweep.report, name) for name in sweep.metrics}
    by_metric.setdefault(metric, levels(sweep.report, metric))
    board = leaderboard(sweep, metric)
    pairs, headlines = _compared(sweep, metric, by_metric[metric])
    words = Words(metric, sweep.unit, many_sources=sweep.rows["source"].nunique() > 1)
    problems: list[str] = []
    shown: dict[tuple[str, str, int], DrawScores] = {}
    caught = caught_by_type(_remember(iter_scores(sweep, problems), shown))
    tried = candidates(sweep, metric)
    return Findings(
        sweep=sweep,
        metric=metric,
        words=words,
        levels=by_metric,
        board=board,
        pairs=pairs,
        headlines=headlines,
        candidates=tried,
        optimism=optimism(tried, by_metric[metric]),
        caught=caught,
        costs=costs(sweep, by_metric[metric]),
        failures=failures(sweep),
        shown=list(shown.values()),
        verdict=verdict(sweep, words, board, pairs, headlines),
        summary=summary(board, headlines),
        problems=problems,
    )


def _compared(sweep: Sweep, metric: str, points: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both families of comparisons; empty where no claim may be made."""
    allowed = sweep.report.iloc[:0] if reason_for_silence(sweep) else sweep.report
    short = {(gap.source, gap.detector, gap.shots) for gap in sweep.gaps}
    pairs = comparisons.pairs(allowed, metric, short)
    return pairs, comparisons.headlines(pairs, points, metric)


def _remember(draws: Iterator[DrawScores], shown: dict[tuple[str, str, int], DrawScores]) -> Iterator[DrawScores]:
    """Pass draws on, keeping the first of each detector and number of shots."""
    for draw in draws:
        shown.setdefault((draw.source, draw.detector, draw.shots), draw)
        yield draw
