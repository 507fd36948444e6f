"""Cross-fitted scores: no window is scored by a fit that saw its fault, and thresholds from them hold on new data."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from trainables.data.windows import LabelledWindows, Windows
from trainables.held_out import _groups, held_out_scores, held_out_share, why_not_held_out
from trainables.settings import ThresholdSettings
from trainables.thresholds import choose_threshold

LENGTH = 8


def windows_of(table: np.ndarray, ends: np.ndarray, event_of_row: np.ndarray) -> LabelledWindows:
    event = event_of_row[ends].astype(np.int32)
    y = (event >= 0).astype(np.int8)
    fault_type = np.where(y == 1, "fault", "normal")
    columns = tuple(f"c{i}" for i in range(table.shape[1]))
    return LabelledWindows(table.astype(np.float32), ends, LENGTH, columns, 1.0, y, fault_type, event)


def telemetry(rng: np.random.Generator, rows: int = 1200, every: int = 150, lasting: int = 40) -> tuple:
    """Each fault moves channels of its own: what is learned on one says little about the next."""
    table = rng.normal(size=(rows, 12))
    event = np.full(rows, -1)
    for number, start in enumerate(range(every // 2, rows - lasting, every)):
        event[start : start + lasting] = number
        table[start : start + lasting, rng.integers(12)] += 3
    return table, event


class Recording:
    """Remembers which events and ends it was fitted on, and scores by them."""

    fits: list

    def __init__(self) -> None:
        self.scored = []

    def fit(self, support: LabelledWindows, reference: Windows) -> "Recording":
        self.support = support
        type(self).fits.append(self)
        return self

    def score(self, windows: Windows) -> np.ndarray:
        self.scored.append(windows.ends)
        return np.ones(len(windows))


@pytest.fixture
def recording():
    Recording.fits = []
    return Recording


def test_no_window_is_scored_by_a_fit_that_saw_its_fault(recording):
    table, event = telemetry(np.random.default_rng(0))
    support = windows_of(table, np.arange(20, 1200, 7), event)
    reference = windows_of(table, np.arange(20, 1200, 5), event).unlabelled()
    scores = held_out_scores(recording, support, reference)
    assert 3 == len(recording.fits)
    assert np.isfinite(scores.support).all()
    assert np.isfinite(scores.reference).all()
    for fit in recording.fits:
        seen = set(fit.support.event[fit.support.y == 1])
        of_support, of_reference = fit.scored
        assert not seen & set(event[of_support][event[of_support] >= 0])
        inside = event[of_reference]
        spans = [(e, support.ends[support.event == e]) for e in seen]
        for e, ends in spans:
            assert not ((inside == e) & (of_reference >= ends.min()) & (of_reference <= ends.max())).any()


def test_every_reference_window_is_scored_once(recording):
    table, event = telemetry(np.random.default_rng(1))
    support = windows_of(table, np.arange(20, 1200, 11), event)
    reference = windows_of(table, np.arange(20, 1200, 5), event).unlabelled()
    held_out_scores(recording, support, reference)
    scored = np.concatenate([fit.scored[1] for fit in recording.fits])
    assert list(reference.ends) == sorted(scored)


@pytest.mark.parametrize(("faults", "normal"), [(1, 5), (2, 1), (0, 3)])
def test_too_few_faults_or_normal_stretches_are_named(faults, normal):
    table, event = telemetry(np.random.default_rng(2))
    starts = [np.flatnonzero(event == e)[10] for e in range(faults)]
    quiet = [30 + 150 * n for n in range(normal)]
    support = windows_of(table, np.array([*quiet, *starts]), event)
    assert f"{faults} faults and {normal} normal stretches" in (why_not_held_out(support) or "")


class Forest:
    def __init__(self) -> None:
        self.model = RandomForestClassifier(40, class_weight="balanced", random_state=0)

    def fit(self, support: LabelledWindows, reference: Windows) -> "Forest":
        self.model.fit(support.x.mean(axis=2), support.y)
        return self

    def score(self, windows: Windows) -> np.ndarray:
        return self.model.predict_proba(windows.x.mean(axis=2))[:, 1]


def test_a_quantile_out_of_fold_alarms_as_often_on_new_telemetry_and_in_sample_hardly_ever():
    rule = ThresholdSettings(quantile=0.8)
    shares = {"in sample": [], "out of fold": []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        table, event = telemetry(rng)
        support = windows_of(table, np.arange(20, 1200, 2), event)
        reference = windows_of(table, np.arange(20, 1200, 5), event).unlabelled()
        fresh = windows_of(*telemetry_ends(rng))
        forest = Forest().fit(support, reference)
        on_fresh = forest.score(fresh)
        for name, scores in (
            ("in sample", forest.score(reference)),
            ("out of fold", held_out_scores(Forest, support, reference).reference),
        ):
            threshold, _ = choose_threshold(rule, reference_scores=scores, spacing_s=1.0)
            shares[name].append(float((on_fresh >= threshold).mean()))
    assert 0.05 > np.mean(shares["in sample"])
    assert 0.2 == pytest.approx(np.mean(shares["out of fold"]), abs=0.08)


def telemetry_ends(rng: np.random.Generator) -> tuple:
    table, event = telemetry(rng)
    return table, np.arange(20, 1200, 3), event


@pytest.mark.parametrize("seed", range(5))
def test_what_training_stops_by_shares_no_fault_and_no_neighbourhood_with_what_it_learns_from(seed):
    table, event = telemetry(np.random.default_rng(seed))
    support = windows_of(table, np.arange(20, 1200, 11), event)
    parts = held_out_share(support, 0.3, seed)
    assert parts is not None
    learned, held = parts
    assert list(range(len(support))) == sorted([*learned, *held])
    of_window = _groups(support).of_window
    assert set() == set(of_window[learned]) & set(of_window[held])
    for part in parts:
        assert {0, 1} == set(support.y[part].tolist())
    assert not np.array_equal(held, held_out_share(support, 0.3, seed + 1)[1])


@pytest.mark.parametrize(("faults", "normal"), [(3, 8), (5, 3)])
def test_too_few_shots_hold_nothing_out(faults, normal):
    table, event = telemetry(np.random.default_rng(2))
    starts = [np.flatnonzero(event == e)[10] for e in range(faults)]
    quiet = np.flatnonzero(event < 0)[30::150][:normal]
    support = windows_of(table, np.array([*quiet, *starts]), event)
    assert held_out_share(support, 0.2, 0) is None
