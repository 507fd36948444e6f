"""Tests of the LSTM autoencoder: what it learns from, and that a fault stands out."""

import numpy as np
import pytest

from tests.fakes import small_windows
from trainables.data.windows import LabelledWindows
from trainables.errors import DetectorError
from trainables.lstm_ae import LstmAutoencoder, LstmAutoencoderConfig
from trainables.protocol import TrialResources

CONFIG = LstmAutoencoderConfig(hidden=8, epochs=10)


def normals(seed_of: LabelledWindows) -> LabelledWindows:
    return seed_of.take(seed_of.y == 0)


def as_normal(count: int) -> LabelledWindows:
    """The reference's own windows, as labelled normal ones."""
    windows = small_windows.reference(count)
    return LabelledWindows(
        windows.table,
        windows.ends,
        windows.length,
        windows.columns,
        windows.step_s,
        np.zeros(count, np.int8),
        np.full(count, "normal"),
        np.full(count, -1, np.int32),
    )


def fitted(support: LabelledWindows, seed: int = 0, config: LstmAutoencoderConfig = CONFIG) -> LstmAutoencoder:
    return LstmAutoencoder(config, TrialResources(seed=seed)).fit(support, small_windows.reference())


def scores(detector: LstmAutoencoder) -> bytes:
    return detector.score(small_windows.support().unlabelled()).tobytes()


def test_without_shots_it_learns_from_the_reference() -> None:
    nothing = small_windows.support().take(np.zeros(0, dtype=np.int64))
    assert scores(fitted(as_normal(12))) == scores(fitted(nothing))


def test_with_shots_it_learns_from_them_and_not_from_the_reference() -> None:
    nothing = small_windows.support().take(np.zeros(0, dtype=np.int64))
    shots = normals(small_windows.support())
    assert scores(fitted(shots)) != scores(fitted(nothing))
    assert scores(fitted(shots)) != scores(fitted(shots.take(np.arange(1))))


def test_one_normal_window_is_enough() -> None:
    one = normals(small_windows.support()).take(np.arange(1))
    assert np.isfinite(fitted(one).score(small_windows.reference())).all()


def test_the_same_seed_gives_the_same_bytes_in_a_reused_process_and_another_seed_does_not() -> None:
    shots = normals(small_windows.support())
    assert scores(fitted(shots, seed=1)) == scores(fitted(shots, seed=1))
    assert scores(fitted(shots, seed=1)) != scores(fitted(shots, seed=2))


def test_a_raised_level_scores_higher_than_normal_windows() -> None:
    nothing = small_windows.support().take(np.zeros(0, dtype=np.int64))
    windows = small_windows.support(6)
    found = fitted(nothing, config=LstmAutoencoderConfig(hidden=16, epochs=40)).score(windows.unlabelled())
    assert found[windows.y == 1].min() > found[windows.y == 0].max()


def test_a_window_scores_the_same_alone_and_among_others() -> None:
    detector, windows = fitted(as_normal(12)), small_windows.support().unlabelled()
    alone = [detector.score(windows.take(np.array([number])))[0] for number in range(len(windows))]
    np.testing.assert_array_equal(detector.score(windows), alone)


def test_trainable_parameters_are_those_of_both_networks_and_the_output() -> None:
    hidden, channels = 8, 3
    encoder, decoder = 4 * hidden * (channels + hidden + 2), 4 * hidden * (2 * hidden + 2)
    assert encoder + decoder + channels * (hidden + 1) == fitted(as_normal(2)).facts.trainable_parameters


def test_no_window_to_learn_from_is_refused() -> None:
    nothing = small_windows.support().take(np.zeros(0, dtype=np.int64))
    detector = LstmAutoencoder(CONFIG, TrialResources())
    with pytest.raises(DetectorError, match="no window to learn from"):
        detector.fit(nothing, nothing.unlabelled())


def test_no_window_gives_no_score() -> None:
    nothing = small_windows.support().take(np.zeros(0, dtype=np.int64)).unlabelled()
    assert 0 == len(fitted(as_normal(2)).score(nothing))
