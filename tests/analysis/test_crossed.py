"""The crossed bootstrap: coverage over new draws and new faults, and average precision with weights."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from analysis.bootstrap import expanded_tail
from analysis.crossed import crossed_average_precision, crossed_mean, event_units, weighted_average_precision
from analysis.errors import AnalysisError
from analysis.intervals import Caution, student_t_bounds
from trainables.trial import WindowScores

TRUE_MEAN = 0.8


def scored(score: NDArray[np.floating], *, events: int = 4, length: int = 5, gap: int = 10) -> WindowScores:
    """Windows with `events` faults of `length` windows between gaps."""
    event = np.concatenate([[-1] * gap, *([e] * length + [-1] * gap for e in range(events))]).astype(np.int32)
    n = len(event)
    return WindowScores(
        window_end=np.datetime64("2026-01-01", "ns") + np.arange(n).astype("timedelta64[s]"),
        segment=np.full(n, "a"),
        event=event,
        fault_type=np.where(event >= 0, "cpu", "normal"),
        label=(event >= 0).astype(np.int8),
        score=np.asarray(score, dtype=np.float32),
    )


def noisy_draws(draws: int, strength: float, seed: int = 0) -> list[WindowScores]:
    rng = np.random.default_rng(seed)
    label = scored(np.zeros(70)).label
    return [scored(rng.random(70) + strength * label) for _ in range(draws)]


def tables(draws: int, events: int, replicates: int) -> NDArray[np.float64]:
    """Tables [replicates, draws, events] with effects of both and noise in each cell."""
    rng = np.random.default_rng([draws, events])
    by_draw = 0.06 * rng.standard_normal((replicates, draws, 1))
    by_event = 0.09 * rng.standard_normal((replicates, 1, events))
    return TRUE_MEAN + by_draw + by_event + 0.05 * rng.standard_normal((replicates, draws, events))


@pytest.mark.parametrize("events", [14, 50, 200])
@pytest.mark.parametrize("draws", [5, 10, 20])
def test_it_covers_the_mean_over_new_draws_and_new_events(draws: int, events: int) -> None:
    # one set of resamples for all replicates, so that this is one matrix product; crossed_mean is checked below
    replicates, resamples = 2000, 1000
    table = tables(draws, events, replicates)
    rng = np.random.default_rng(0)
    by_draw = rng.multinomial(draws, np.full(draws, 1 / draws), size=resamples) / draws
    by_event = rng.multinomial(events, np.full(events, 1 / events), size=resamples) / events
    cells = (by_draw[:, :, None] * by_event[:, None, :]).reshape(resamples, -1)
    values = cells @ table.reshape(replicates, -1).T
    tail = expanded_tail(min(draws, events), 0.95)
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    assert ((low <= TRUE_MEAN) & (TRUE_MEAN <= high)).mean() >= 0.92


def test_its_own_resamples_cover_too() -> None:
    covered = []
    for seed, table in enumerate(tables(10, 14, 500)):
        interval = crossed_mean(table, rng=np.random.default_rng(seed), resamples=500)
        covered.append((interval.low or 0) <= TRUE_MEAN <= (interval.high or 1))
    assert np.mean(covered) >= 0.92


@pytest.mark.parametrize("sizes", [(6, 6, 5), (5, 5, 5), (2, 3, 3, 3)])
def test_events_tested_in_folds_cover_too(sizes: tuple[int, ...]) -> None:
    """Each fold has an effect of its own on every draw: the support part it learned from."""
    fold = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(sizes)
    covered = []
    for seed, table in enumerate(tables(10, sum(sizes), 500)):
        by_fold = 0.04 * rng.standard_normal((10, len(sizes)))
        interval = crossed_mean(table + by_fold[:, fold], fold, rng=np.random.default_rng(seed), resamples=500)
        covered.append((interval.low or 0) <= TRUE_MEAN <= (interval.high or 1))
    assert np.mean(covered) >= 0.92


def test_folds_are_averaged_and_their_events_resampled_inside_them() -> None:
    easy, hard = noisy_draws(6, 2.0), noisy_draws(6, 0.1, seed=1)
    interval = crossed_average_precision([easy, hard], rng=np.random.default_rng(0), resamples=200)
    values = [[average_precision_score(draw.label, draw.score) for draw in fold] for fold in (easy, hard)]
    assert pytest.approx(np.mean(values)) == interval.estimate
    assert interval.n == 6  # draws; events count 4 + 4 - 1
    assert interval.low is not None
    assert interval.low > np.mean(values[1])  # no resample is without the easy fold


def test_guard_an_interval_over_draws_misses_the_mean_over_new_events_and_more_draws_make_it_worse() -> None:
    shares = []
    for draws in (5, 20):
        low, high = student_t_bounds(tables(draws, 14, 4000).mean(axis=2), 0.95)
        shares.append(((low <= TRUE_MEAN) & (TRUE_MEAN <= high)).mean())
    assert shares[0] < 0.93
    assert shares[1] < 0.75


def test_weighted_average_precision_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    y, score, unit = rng.integers(0, 2, 60), np.round(rng.random(60), 1), rng.integers(0, 5, 60)
    weights = rng.integers(0, 4, size=(8, 5)).astype(float)
    expected = [average_precision_score(y, score, sample_weight=row[unit]) for row in weights]
    assert pytest.approx(expected) == weighted_average_precision(y, score, unit, weights)


def test_normal_windows_go_with_the_nearest_event_whatever_the_order_of_windows() -> None:
    scores = scored(np.zeros(70))
    units = event_units(scores)
    assert units[:15].tolist() == [0] * 15
    assert units[15:25].tolist() == [0] * 5 + [1] * 5
    order = np.random.default_rng(0).permutation(70)
    shuffled = WindowScores(
        **{
            field.name: None if getattr(scores, field.name) is None else getattr(scores, field.name)[order]
            for field in dataclasses.fields(scores)
        }
    )
    assert units[order].tolist() == event_units(shuffled).tolist()


def test_its_estimate_is_the_mean_average_precision() -> None:
    draws = noisy_draws(6, 0.5)
    interval = crossed_average_precision([draws], rng=np.random.default_rng(0), resamples=200)
    expected = np.mean([average_precision_score(draw.label, draw.score) for draw in draws])
    assert pytest.approx(expected) == interval.estimate
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < expected < interval.high
    assert interval.n == 4  # events, the smaller


def test_a_paired_difference_with_itself_shows_no_variance() -> None:
    draws = noisy_draws(6, 0.5)
    interval = crossed_average_precision([draws], [draws], rng=np.random.default_rng(0), resamples=50)
    assert interval.estimate == 0.0
    assert (Caution.NO_VARIANCE,) == interval.warnings
    assert interval.low is None


def test_the_same_seed_gives_the_same_interval() -> None:
    draws, others = noisy_draws(6, 0.9), noisy_draws(6, 0.2, seed=1)
    first, again = (
        crossed_average_precision([draws], [others], rng=np.random.default_rng(7), resamples=100) for _ in range(2)
    )
    assert first == again
    assert (first.estimate or 0) > 0


def test_one_draw_or_one_event_gives_no_bounds() -> None:
    rng = np.random.default_rng(0)
    assert (Caution.TOO_FEW,) == crossed_mean([[0.1, 0.2, 0.3]], rng=rng).warnings
    assert (Caution.TOO_FEW,) == crossed_mean([[0.1], [0.2]], rng=rng).warnings
    assert (Caution.NO_VALUES,) == crossed_mean(np.empty((3, 0)), rng=rng).warnings


def test_unlike_windows_and_missing_events_are_refused() -> None:
    rng = np.random.default_rng(0)
    draws = noisy_draws(2, 0.5)
    with pytest.raises(AnalysisError, match="different windows"):
        crossed_average_precision([[draws[0], scored(np.zeros(40), events=2)]], rng=rng)
    with pytest.raises(AnalysisError, match="has none"):
        crossed_average_precision([[scored(np.zeros(10), events=0)]], rng=rng)
    with pytest.raises(AnalysisError, match="the same draws in every fold"):
        crossed_average_precision([draws], [draws[:1]], rng=rng)
    with pytest.raises(AnalysisError, match="the same draws in every fold"):
        crossed_average_precision([draws, draws], [draws], rng=rng)
    with pytest.raises(AnalysisError, match="draws x events"):
        crossed_mean([0.1, 0.2], rng=rng)
