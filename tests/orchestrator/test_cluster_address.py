"""Which cluster a sweep uses, and how soon it says that there is none."""

import socket
import time

import pytest
import ray

from orchestrator.backends import Workplace, cluster_address
from orchestrator.cluster import connected
from orchestrator.errors import PlanError
from orchestrator.resources import Machine, Slots
from tests.fakes.plans import make_cell, make_sweep_plan


@pytest.fixture(autouse=True)
def no_job(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_without_an_address_ray_is_started_here():
    assert cluster_address(None) is None
    assert cluster_address("local") is None


def test_within_a_ray_job_its_cluster_is_used(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert "auto" == cluster_address(None)


def test_an_address_where_somebody_listens_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert address == cluster_address(address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999"])
def test_an_address_where_nobody_answers_is_refused_in_seconds(address):
    started = time.monotonic()
    with pytest.raises(PlanError, match=f"--address {address}: nobody answers there"):
        cluster_address(address)
    assert time.monotonic() - started < 6


@pytest.mark.parametrize("address", ["foo", "http://head:6379", "head:port", "ray://head", "a b:1"])
def test_what_is_no_address_is_refused_with_the_forms_that_are(address):
    with pytest.raises(PlanError, match=f"--address {address}: not an address; must be HOST:PORT"):
        cluster_address(address)


def test_a_ray_that_does_not_come_up_is_one_message(monkeypatch):
    def init(**_options):
        raise Exception("The current node timed out during startup.\nmore")  # noqa: TRY002  (as Ray does)

    monkeypatch.setattr(ray, "init", init)
    workplace = Workplace(
        {}, {}, Machine(2, ()), Slots(2, 0, 0, 0.0, 1), draw_timeout_s=9, gpu_memory_gb=8, host_memory_gb=4
    )
    message = "Ray did not start on this machine: The current node timed out during startup. Try again"
    with pytest.raises(PlanError, match=message), connected(None, workplace, make_sweep_plan(make_cell("pca"))):
        pass
