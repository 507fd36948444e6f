"""Which cluster a sweep uses, and how soon it says that there is none."""

import logging
import socket
import time
from dataclasses import replace

import pytest
import ray

from orchestrator.backends import Workplace, cluster_address
from orchestrator.cluster import connected
from orchestrator.errors import PlanError
from orchestrator.interrupts import Interrupts
from orchestrator.resources import Machine, Slots
from orchestrator.spec import ResourceSettings
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


def test_a_ray_that_does_not_come_up_is_one_message(monkeypatch, workplace):
    def init(**_options):
        raise Exception("The current node timed out during startup.\nmore")  # noqa: TRY002  (as Ray does)

    monkeypatch.setattr(ray, "init", init)
    message = "Ray did not start on this machine: The current node timed out during startup. Try again"
    with (
        pytest.raises(PlanError, match=message),
        connected(None, workplace, make_sweep_plan(make_cell("pca")), Interrupts()),
    ):
        pass


@pytest.fixture(scope="module")
def cluster():
    """A head with one CPU and without a GPU."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    yield made
    made.shutdown()


def gpu_plan(*, wait: bool):
    plan = make_sweep_plan(replace(make_cell("moment_zero_shot", 0), gpu=True))
    resources = plan.spec.resources.model_copy(update={"wait_for_nodes": wait})
    return replace(plan, spec=plan.spec.model_copy(update={"resources": resources}))


@pytest.fixture
def workplace():
    return Workplace({}, {}, Machine(2, ()), Slots(2, 0, 0, 0.0, 1), ResourceSettings())


@pytest.mark.ray
def test_a_cluster_without_a_gpu_says_what_runs_on_the_cpu(cluster, workplace, caplog):
    with connected(cluster.address, workplace, gpu_plan(wait=False), Interrupts()) as (slots, _):
        assert (1, 0) == (slots.concurrent, slots.gpu)
    assert "the cluster has no GPU now: moment_zero_shot run on the CPU" in caplog.text


@pytest.mark.ray
def test_a_sweep_waits_for_a_node_with_a_gpu_where_asked_to(cluster, workplace):
    said = []

    def join(record: logging.LogRecord) -> bool:
        """Let a node join as soon as somebody waits for it."""
        said.append(record.getMessage())
        cluster.add_node(num_cpus=1, num_gpus=1)
        return True

    logger = logging.getLogger("orchestrator.cluster_nodes")
    logger.addFilter(join)
    try:
        with connected(cluster.address, workplace, gpu_plan(wait=True), Interrupts()) as (slots, _):
            assert (2, 1, 1) == (slots.concurrent, slots.gpu, slots.trials_per_gpu)
    finally:
        logger.removeFilter(join)
    assert ["waiting for a node with a GPU; the cluster has 1 CPUs and no GPU"] == said
