"""The sweep that faults are thrown at, once for all tests: when nothing happens to it, its rows are always the same."""

import pytest

from tests.faults.small_sweep import SmallSweep


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> SmallSweep:
    """14 rows in three cells, one of them searched."""
    return SmallSweep(tmp_path_factory.mktemp("small"), pace=0.05)


@pytest.fixture(scope="session")
def small_slow(tmp_path_factory) -> SmallSweep:
    """The same, with time for something to happen within a draw."""
    return SmallSweep(tmp_path_factory.mktemp("small_slow"), pace=0.4)
