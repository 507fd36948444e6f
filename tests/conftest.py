"""What tests of several packages need."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("any machine", deadline=None)  # 200 ms an example would fail where others use the cores
settings.load_profile("any machine")

os.environ["FEWSHOT_CACHE"] = "off"  # no frozen result in the user's folder; before a worker starts, which inherits it

NIGHTLY = "--nightly"

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Make the long forms something to ask for."""
    parser.addoption(NIGHTLY, action="store_true", help="run the long forms (mark nightly), too: tens of minutes")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip long forms that nobody asked for; with `-n`, keep files together, and all that starts Ray in one process."""
    for item in items:
        if item.get_closest_marker("nightly") and not config.getoption(NIGHTLY):
            item.add_marker(pytest.mark.skip(reason=f"a long form: {NIGHTLY} runs it"))
        group = "ray" if item.get_closest_marker("ray") else item.path.as_posix()
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture
def shared_data() -> Path:
    """Folder of real telemetry beside the project; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real telemetry (../shared/data) is not on this machine")
    return SHARED_DATA
