"""What tests of several packages need."""

import os
from pathlib import Path

import pytest

os.environ["FEWSHOT_CACHE"] = "off"  # no frozen result in the user's folder; before a worker starts, which inherits it

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def shared_data() -> Path:
    """Folder of real telemetry beside the project; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real telemetry (../shared/data) is not on this machine")
    return SHARED_DATA
