"""One small run folder for all tests that only read it."""

from pathlib import Path

import pytest

from analysis.load import Sweep, load_sweep
from tests.fakes.run_folder import FakeSweep, make_run


@pytest.fixture(scope="session")
def fake_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "fake", FakeSweep())


@pytest.fixture(scope="session")
def fake_sweep(fake_run: Path) -> Sweep:
    return load_sweep([fake_run])
