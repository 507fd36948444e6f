"""Level, spread and trend of every channel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables._features import NAMES, robust_centre_spread, squashed, squashed_rows, window_features
from trainables._support import standardisation
from trainables.data.windows import Windows


def windows_over(table, ends, length):
    table = np.asarray(table, dtype=np.float32)
    return Windows(table, np.asarray(ends), length, tuple(map(str, range(table.shape[1]))), 1.0)


def by_name(windows):
    features = window_features(windows).reshape(len(windows), len(NAMES), windows.channels)
    return {name: features[:, number] for number, name in enumerate(NAMES)}


def test_a_step_shows_in_level_spread_and_trend_as_computed_by_hand():
    step = np.sinh([0.0] * 8 + [2.0] * 8)[:, None]  # squashed: 0 for eight steps, then 2
    found = by_name(windows_over(step, [15], 16))
    assert {"recent_level": 2.0, "level": 1.0, "spread": 1.0, "trend": 2.0} == pytest.approx(
        {name: float(values[0, 0]) for name, values in found.items()}, abs=1e-6
    )


def test_features_come_in_blocks_of_channels():
    table = np.tile([[1.0, 5.0]], (8, 1))
    assert (1, 8) == window_features(windows_over(table, [7], 8)).shape
    assert [np.arcsinh(1), np.arcsinh(5)] == pytest.approx(window_features(windows_over(table, [7], 8))[0, :2])


def test_a_value_a_thousand_spreads_out_counts_like_a_handful():
    table = np.zeros((8, 1))
    table[7] = 1e6
    assert by_name(windows_over(table, [7], 8))["level"][0, 0] < 2


def test_no_windows_have_no_features():
    assert (0, 12) == window_features(windows_over(np.zeros((8, 3)), [], 8)).shape


@given(length=st.sampled_from([8, 24, 32]), channels=st.integers(1, 4), seed=st.integers(0, 1000))
def test_features_of_a_window_are_the_same_bytes_alone_and_among_others(length, channels, seed):
    rng = np.random.default_rng(seed)
    windows = windows_over(rng.standard_t(2, (80, channels)), rng.integers(length - 1, 80, 300), length)
    together = window_features(windows)  # more than one chunk
    for number in (0, 255, 256, 299):
        assert together[number].tobytes() == window_features(windows.take(np.asarray([number])))[0].tobytes()


def test_squashing_yields_every_window_once_and_in_order():
    windows = windows_over(np.sinh(np.arange(600.0) / 100)[:, None], np.arange(7, 600), 8)
    blocks = list(squashed(windows))
    assert len(windows) == sum(map(len, blocks))
    assert np.arange(7, 600) / 100 == pytest.approx(np.concatenate(blocks)[:, -1, 0], abs=1e-6)


def test_the_robust_spread_is_the_standard_deviation_of_normal_values_and_ignores_faults():
    rng = np.random.default_rng(0)
    values = 5 + 2 * rng.standard_normal((20_000, 1))
    values[:2000] = 100
    centre, spread = robust_centre_spread(values)
    assert 5 == pytest.approx(centre[0], abs=0.4)
    assert 2 == pytest.approx(spread[0], rel=0.2)


def test_a_column_that_is_mostly_one_value_falls_back_to_its_standard_deviation():
    values = np.zeros((100, 2))
    values[:10, 0] = 10
    centre, spread = robust_centre_spread(values)
    assert [0, 0] == centre.tolist()
    assert [pytest.approx(3.0), 1.0] == spread.tolist()


def test_blocks_of_wide_and_long_windows_are_no_larger_than_others():
    table = np.zeros((600, 500))
    blocks = list(squashed(windows_over(table, np.arange(511, 599), 512)))
    assert 88 == sum(map(len, blocks))
    assert max(block.nbytes for block in blocks) <= 2**24


def test_rows_of_windows_are_those_of_the_blocks_in_order():
    rng = np.random.default_rng(0)
    windows = windows_over(rng.standard_normal((400, 3)), np.arange(31, 400), 32)
    assert np.concatenate(list(squashed(windows))).reshape(-1, 3).tobytes() == squashed_rows(windows).tobytes()


@pytest.mark.parametrize("columns", [1, 5, 65, 97, 300])
def test_levels_and_spreads_are_those_of_the_whole_matrix_to_the_bit(columns):
    rows = np.arcsinh(np.random.default_rng(columns).standard_t(2, size=(500, columns)))
    centre, spread = robust_centre_spread(rows)
    low, middle, high = np.percentile(rows, [25, 50, 75], axis=0)
    assert middle.tobytes() == centre.tobytes()
    assert ((high - low) / 1.3489795003921634).tobytes() == spread.tobytes()
    mean, deviation = standardisation(rows)
    assert (rows.mean(axis=0).tobytes(), rows.std(axis=0).tobytes()) == (mean.tobytes(), deviation.tobytes())
