"""Loss of a whole node of a cluster: what ran there runs elsewhere, and no row changes."""

import random
import time

import pytest

from orchestrator.results import read_records
from tests.fakes.sweep_process import finished, start, wait_for_rows

pytestmark = pytest.mark.ray

STORE = 200 * 2**20


@pytest.mark.parametrize("seed", [6, *(pytest.param(seed, marks=pytest.mark.nightly) for seed in (600, 601, 602))])
def test_no_row_is_lost_doubled_or_changed(small_slow, tmp_path, seed):
    from ray.cluster_utils import Cluster

    chance, run = random.Random(seed), tmp_path / "run"
    head = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE, "node_ip_address": "127.0.0.11"}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        node = cluster.add_node(num_cpus=2, object_store_memory=STORE, node_ip_address="127.0.0.12")
        process = start(small_slow.file, "--address", cluster.address, "--output", run)
        assert wait_for_rows(run, chance.randint(2, 6), process)
        time.sleep(chance.uniform(0, 0.4))
        cluster.remove_node(node, allow_graceful=False)
        code, out, err = finished(process, within=180)
    finally:
        cluster.shutdown()
    assert 0 == code, out + err
    assert "raylet" not in out + err
    small_slow.assert_as_if_nothing_happened(run)
    assert 2 == max(int(row["attempts"]) for row in read_records(run))
