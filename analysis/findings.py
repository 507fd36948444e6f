"""Everything that the report says, worked out once: the page, the Markdown and the CSV files print the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from analysis import comparisons
from analysis.ablations import ablations
from analysis.alerts import against_alerts
from analysis.by_fault import DrawScores, caught_by_type, iter_scores, over_types, types_caught, with_every_fold
from analysis.curves import levels
from analysis.delays import delays
from analysis.general import METRIC, general_bounds, with_general_difference
from analysis.generalisation import generalisation
from analysis.importance import importances
from analysis.label_needs import LABELS, needs, pays_off
from analysis.landscape import candidates, optimism
from analysis.leaderboard import leaderboard
from analysis.load import Sweep
from analysis.separation import separation
from analysis.tables import costs, failures
from analysis.verdict import Verdict, reason_for_silence, summary, verdict
from analysis.words import Words
from analysis.worst import worst


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
    importances: pd.DataFrame
    caught: pd.DataFrame
    over_types: pd.DataFrame
    delays: pd.DataFrame
    caught_in_time: pd.DataFrame
    needs: pd.DataFrame
    pays_off: pd.DataFrame
    generalisation: pd.DataFrame
    separation: pd.DataFrame
    ablations: pd.DataFrame
    alerts: pd.DataFrame
    costs: pd.DataFrame
    failures: pd.DataFrame
    shown: Sequence[DrawScores]
    worst: pd.DataFrame
    verdict: Verdict
    summary: pd.DataFrame
    problems: Sequence[str]


def find(sweep: Sweep) -> Findings:
    """Work out every table of a sweep."""
    metric = sweep.objective
    plan = sweep.plan
    by_metric = {name: levels(sweep.report, name, plan) for name in dict.fromkeys((*sweep.metrics, metric))}
    board = leaderboard(sweep, metric)
    silent = bool(reason_for_silence(sweep))
    allowed, wanted = (sweep.report.iloc[:0], plan.iloc[:0]) if silent else (sweep.report, plan)
    pairs = comparisons.pairs(allowed, metric, wanted)
    headlines = comparisons.headlines(pairs, by_metric[metric], metric)
    words = Words(metric, sweep.unit, many_sources=len(sweep.rows["source"].unique()) > 1)
    problems: list[str] = []
    scored = _from_scores(sweep, metric, problems)
    board = board.merge(scored.general, on=["source", "detector", "own_shots"], how="left")
    headlines = with_general_difference(sweep, headlines, metric)
    tried = candidates(sweep, metric)
    alerts = against_alerts(allowed, wanted)
    return Findings(
        sweep=sweep,
        metric=metric,
        words=words,
        levels=by_metric,
        board=board,
        pairs=pairs,
        headlines=headlines,
        candidates=tried,
        optimism=optimism(tried, by_metric[metric], metric),
        importances=importances(tried, metric),
        caught=scored.caught,
        over_types=scored.over_types,
        delays=scored.delays,
        caught_in_time=scored.caught_in_time,
        needs=pd.concat(
            [needs(allowed, by_metric[metric], metric, plan, counted) for counted in LABELS], ignore_index=True
        ),
        pays_off=pays_off(allowed, metric, plan),
        generalisation=generalisation(sweep, metric),
        separation=separation(sweep, pairs, headlines, metric),
        ablations=ablations(sweep, allowed, metric, wanted),
        alerts=alerts,
        costs=costs(sweep, by_metric[metric]),
        failures=failures(sweep, metric),
        shown=scored.shown,
        worst=worst(scored.shown),
        verdict=verdict(sweep, words, board, pairs, headlines, alerts),
        summary=summary(board, headlines),
        problems=problems,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """What only score files can say."""

    shown: Sequence[DrawScores]
    caught: pd.DataFrame
    over_types: pd.DataFrame
    delays: pd.DataFrame
    caught_in_time: pd.DataFrame
    general: pd.DataFrame


def _from_scores(sweep: Sweep, metric: str, problems: list[str]) -> _Scored:
    """Read every score file once, cell by cell."""
    shown, bounds = [], []
    nothing = types_caught([])
    tables: list[tuple[pd.DataFrame, ...]] = [(caught_by_type(nothing), over_types(nothing), *delays([]))]
    plan = sweep.plan
    for (source, detector, shots), cell in groupby(
        iter_scores(sweep, problems), key=lambda d: (d.source, d.detector, d.shots)
    ):
        scored = list(cell)
        shown.append(scored[0])
        draws = with_every_fold(scored, plan)
        on_draws = types_caught(draws)
        tables.append((caught_by_type(on_draws), over_types(on_draws), *delays(draws)))
        low, high = general_bounds(draws) if metric == METRIC else (float("nan"), float("nan"))
        bounds.append((source, detector, shots, low, high))
    caught, types, waited, in_time = (_joined(frames) for frames in zip(*tables, strict=True))
    names = ["source", "detector", "own_shots", "general_low", "general_high"]
    return _Scored(shown, caught, types, waited, in_time, pd.DataFrame.from_records(bounds, columns=names))


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
