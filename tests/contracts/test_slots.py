"""Slots on a real Ray: unlike cards, nodes that come and go, memory that runs out, and reasons for every wait."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest
import ray

from orchestrator.backends import Workplace, desk
from orchestrator.errors import PlanError
from orchestrator.places import Places
from orchestrator.resources import Gpu
from tests.fakes.sweeps import FAKES, SEARCHED, comparable, plan_of, run_sweep

pytestmark = pytest.mark.ray

SLOW = f'\n  slow: {{class: "{FAKES}:Slow"}}\n'


@dataclass
class FakeCluster:
    """Nodes on this machine, each with its own address; `cards` says what the cards of each would answer."""

    cluster: object
    cards: dict[str, tuple[Gpu, ...]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self, number: int, cpus: int, *cards: Gpu):
        """Add a node, whose address ends in `number`."""
        self.cards[f"127.0.0.{number}"] = cards
        return self.cluster.add_node(
            num_cpus=cpus, num_gpus=len(cards), node_ip_address=f"127.0.0.{number}", object_store_memory=80 * 2**20
        )


@pytest.fixture
def cluster(monkeypatch):
    """A head without CPUs. Cards are asked for by their node's address; trials on them compute on the CPU."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "node_ip_address": "127.0.0.11", "include_dashboard": False}
    head["_system_config"] = {"health_check_initial_delay_ms": 500, "health_check_period_ms": 500}
    made = FakeCluster(Cluster(initialize_head=True, head_node_args=head))
    places: dict[str, str] = {}

    def ask(node_id: str):
        places.update({node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()})
        return ray.put(made.cards[places[node_id]])

    monkeypatch.setattr("orchestrator.cluster_nodes.ask_cards", ask)
    on_cpu = Workplace.resources
    monkeypatch.setattr(Workplace, "resources", lambda self, _device, *, large=False: on_cpu(self, "cpu", large=large))
    monkeypatch.setattr("ray._private.utils.set_sigterm_handler", lambda _handler: None)  # nodes join from a thread
    yield made
    made.cluster.shutdown()


@pytest.fixture
def taken(monkeypatch) -> list:
    """The places that trials took."""
    found = []
    take = Places.take

    def noted(self, trial, **kind):
        found.append(take(self, trial, **kind))
        return found[-1]

    monkeypatch.setattr(Places, "take", noted)
    return found


def test_an_8_gb_node_and_an_80_gb_node_each_get_their_own_k(cluster, taken, tmp_path, caplog):
    cluster.add(12, 1, Gpu("small", 8.0, 7.9))
    cluster.add(14, 1, Gpu("busy", 40.0, 2.0))
    cluster.add(15, 2, Gpu("held", 40.0, 2.0, "GPU-held"), Gpu("spare", 80.0, 79.0, "GPU-spare"))
    cluster.add(13, 2, Gpu("large", 80.0, 79.0))
    detectors = f'\n  card: {{class: "{FAKES}:OnCard"}}\n  base: {{class: "{FAKES}:InstantNormal"}}\n'
    plan, series = plan_of(tmp_path, detectors, ["resources.trials_per_gpu=auto", "few_shot.report_seeds.count=9"])
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="ray", address=cluster.address)
    assert 0 == code
    assert {"ok"} == {row["status"] for row in rows.values()}
    shares = Counter((place.node.split()[0], place.request["GPU"]) for place in taken if place.gpu)
    assert {("127.0.0.12", 1.0), ("127.0.0.13", 0.1111)} == set(shares)
    assert 9 == shares.total()
    assert "127.0.0.14: " in caplog.text
    assert "127.0.0.15: held GPU-held has 2.0 of 40.0 GB free" in caplog.text
    assert "so its others get none either: start Ray there with CUDA_VISIBLE_DEVICES=GPU-spare" in caplog.text
    assert "busy has 2.0 of 40.0 GB free, below the cap of 8 GB: another program holds the rest" in caplog.text


@pytest.mark.parametrize(
    ("cpus", "card", "override", "reason"),
    [
        (1, None, "resources.threads=2", "a node with 2 CPUs for a trial; all nodes together have 2 CPUs"),
        (1, Gpu("busy", 40.0, 2.0), "search.seed=7", "busy has 2.0 of 40.0 GB free, .* another program holds the rest"),
    ],
)
def test_what_no_node_can_hold_is_refused_in_seconds(cluster, tmp_path, cpus, card, override, reason):
    for number in (12, 13):
        cluster.add(number, cpus, *([card] if card else []))
    plan, series = plan_of(tmp_path, f'\n  card: {{class: "{FAKES}:OnCard"}}\n', [override])
    started = time.monotonic()
    with pytest.raises(PlanError, match=f"the cluster cannot run this sweep: .*{reason}"):
        run_sweep(plan, series, tmp_path / "run", backend="ray", address=cluster.address)
    assert time.monotonic() - started < 15
    assert not (tmp_path / "run" / "rows.jsonl").exists()


def test_when_nothing_runs_the_reason_is_said_again_and_again_and_then_the_sweep_ends(
    cluster, taken, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(desk, "IDLE_S", 1.0)
    monkeypatch.setattr(desk, "GIVE_UP_S", 6.0)
    only = cluster.add(12, 1)
    plan, series = plan_of(tmp_path, SLOW, ["few_shot.report_seeds.count=30", "few_shot.shots=[8]"])

    def disturb() -> None:
        while len(taken) < 4:
            time.sleep(0.05)
        cluster.cluster.remove_node(only)

    threading.Thread(target=disturb, daemon=True).start()
    with pytest.raises(PlanError, match=r"nothing has run for 6 s: a node with 1 CPUs .*, --resume goes on"):
        run_sweep(plan, series, tmp_path / "run", backend="ray", address=cluster.address)
    said = [text for text in caplog.messages if text.startswith("nothing has run")]
    assert 2 < len(said)
    assert all("a node with 1 CPUs for a trial; all nodes together have 0 CPUs" in text for text in said[-2:])
    assert 2 <= len((tmp_path / "run" / "rows.jsonl").read_text().splitlines()) < 30


def test_a_draw_that_ran_out_of_memory_runs_once_more_in_a_larger_slot_and_its_neighbours_live(tmp_path):
    detectors = (
        SEARCHED
        + f"""
  large: {{class: "{FAKES}:TooLargeForItsSlot"}}
  hungry: {{class: "{FAKES}:MemoryHungry"}}
"""
    )
    once = ["few_shot.report_seeds.count=1", "search.candidates=2"]
    plan, series = plan_of(tmp_path, detectors, once)
    code, rows = run_sweep(plan, series, tmp_path / "run", backend="ray")
    seen = Counter((row["detector"], row["status"], row["attempts"]) for row in rows.values())
    assert 1 == code
    assert {("large", "ok", 2): 1, ("hungry", "oom", 2): 1, ("searched", "ok", 1): 5} == seen
    alone, _ = plan_of(tmp_path, SEARCHED, once)
    _, expected = run_sweep(alone, series, tmp_path / "alone", backend="inline")
    neighbours = {key: row for key, row in rows.items() if row["detector"] == "searched"}
    for row in [*neighbours.values(), *expected.values()]:
        del row["fingerprint"]  # of the whole sweep file
    assert comparable(expected) == comparable(neighbours)
