"""Hosts that go with their test; the test is skipped where this machine cannot make them."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.multinode.hosts import Hosts, why_not


def _hosts(*, ssh: bool) -> Iterator[Hosts]:
    problem = why_not(ssh=ssh)
    if problem:
        pytest.skip(problem)
    with tempfile.TemporaryDirectory(prefix="fs", dir="/tmp") as folder:
        made = Hosts(Path(folder))
        yield made
        made.close()


@pytest.fixture
def hosts():
    yield from _hosts(ssh=False)


@pytest.fixture
def hosts_with_ssh():
    yield from _hosts(ssh=True)
