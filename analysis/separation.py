"""What would separate a MOMENT detector from its best opponent where the draws did not: further draws or faults."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.by_fault import DrawScores, caught_events, cell_scores, with_every_fold
from analysis.comparisons import ALPHA, PAIR
from analysis.curves import GROUP, draw_values
from analysis.load import Sweep
from analysis.power import MOST_UNITS, Further, draws_to_separate, events_to_separate
from analysis.words import Record, records

COLUMNS = [*PAIR, "opponent_shots", "mean", "n", "power_now", "further_draws", "caught_difference", "test_events",
           "further_faults"]  # fmt: skip


def separation(sweep: Sweep, pairs: pd.DataFrame, headlines: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return what further draws or faults would separate each MOMENT detector from its best opponent.

    Assumes that the difference seen is the true one. Asked for: 80 % power at 0.05 over the number of pairs, which is
    what Holm asks of the smallest p. Draws are judged by the metric, faults by which of them were caught at the
    deployed thresholds, the number of draws staying as it is.

    Parameters
    ----------
    sweep
        The input.
    pairs, headlines
        What `comparisons.pairs` and `comparisons.headlines` returned.
    metric
        Name of the metric of both.

    Returns
    -------
    pandas.DataFrame
        A row for each best opponent from which a MOMENT detector is not separated: `COLUMNS`, of which
        `further_draws` and `further_faults` are words, `power_now` is the chance of a significant result with the
        draws there are, and `caught_difference` is in faults, mean over draws.
    """
    open_pairs = pairs[pairs["verdict"] == "not separated"].merge(headlines[PAIR], on=PAIR)
    values = draw_values(sweep.report, metric, sweep.plan)
    scored = {key: group.set_index("draw")["value"] for key, group in values.groupby(GROUP)}
    found = []
    for row in records(open_pairs):
        mine, theirs = _sides(row)
        alpha = ALPHA / row["family"]
        draws = draws_to_separate((scored[mine] - scored[theirs]).dropna(), alpha=alpha)
        table = _caught(sweep, mine, theirs)
        enough = min(table.shape) >= 2
        found.append(
            {**{name: row[name] for name in (*PAIR, "opponent_shots", "mean", "n")},
             "power_now": draws.power_now, "further_draws": _words(draws),
             "caught_difference": float(table.to_numpy().sum(axis=1).mean()) if enough else np.nan,
             "test_events": table.shape[1],
             "further_faults": _words(events_to_separate(table, alpha=alpha)) if enough else "too few to tell"}
        )  # fmt: skip
    return pd.DataFrame.from_records(found, columns=COLUMNS)


Point = tuple[str, str, int]


def _sides(row: Record) -> tuple[Point, Point]:
    return (row["source"], row["detector"], row["shots"]), (row["source"], row["opponent"], row["opponent_shots"])


def _caught(sweep: Sweep, mine: Point, theirs: Point) -> pd.DataFrame:
    """Return caught by one minus caught by the other [draws x faults], over the draws that both have."""
    plan = sweep.plan
    one, other = (_table(with_every_fold(cell_scores(sweep, *point), plan)) for point in (mine, theirs))
    return (one - other).dropna(how="all").dropna(axis="columns")


def _table(draws: Sequence[DrawScores]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(caught_events(draws), orient="index", dtype=float)


def _words(answer: Further) -> str:
    if answer.warnings:
        return "; ".join(answer.warnings)
    if answer.further is None:
        return f"no number up to {MOST_UNITS:,}"
    return f"{answer.further:,} more" if answer.further else "none, by this estimate"
