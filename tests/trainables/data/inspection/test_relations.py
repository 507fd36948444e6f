"""Which columns are held together, and what parts them."""

import numpy as np

from trainables.data.inspection.relations import partings


def blocks(seed: int = 0) -> np.ndarray:
    """Two columns that move together and two that do not [200, 4]."""
    rng = np.random.default_rng(seed)
    service = rng.gamma(2.0, 50.0, 200)
    return np.stack([service, service + rng.normal(0, 2, 200), rng.normal(size=200), rng.normal(size=200)], axis=1)


def test_a_pair_comes_once_and_shows_what_parts_it():
    values, clean = blocks(), np.arange(200) < 150
    values[180, 1] = values[180, 0] + 100  # both within what they reach, and apart
    apart, related = partings(values, clean)
    assert [0] == related.tolist()
    level = np.median(apart[:, 0])
    assert 180 == np.abs(apart[:, 0] - level).argmax()


def test_columns_with_a_few_values_in_common_are_no_pair():
    values = blocks()
    values[2:, 2:] = np.nan  # two values each: they correlate at 1
    assert [0] == partings(values, np.ones(200, dtype=bool))[1].tolist()
