"""The nodes of a running cluster: which are there, what each holds, and what to do while none can run a trial."""

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import ray

from orchestrator.errors import PlanError
from orchestrator.interrupts import Interrupts
from orchestrator.places import Node, Places
from orchestrator.plan import SweepPlan
from orchestrator.resources import Gpu, Machine, Slots, card_variables, local_cards, plan_slots

logger = logging.getLogger(__name__)

REMIND_S = 30.0
"""A sweep that waits says so again after this long."""

LOOK_S = 2.0
"""Nodes that came or went are noticed at this pace."""

ANSWER_S = 60.0
"""A node that does not say what its cards hold within this time gets one trial a card."""

PIN = 0.001
"""Of the resource that each node has under its own address."""

RayNode = Mapping[str, object]


class ClusterNodes:
    """Keeps `places` in step with a cluster.

    Parameters
    ----------
    plan
        What is to run there.
    """

    def __init__(self, plan: SweepPlan) -> None:
        self.places = Places(())
        self._resources = plan.spec.resources
        self._wants = sorted({cell.detector for cell in plan.cells if cell.gpu})
        self._cards: dict[str, tuple[Gpu, ...]] = {}
        self._asked: dict[str, tuple[ray.ObjectRef, float]] = {}
        self._problems: set[str] = set()
        self._said: set[str] = set()
        self._looked = -math.inf

    def refresh(self) -> None:
        """Look which nodes are there, at most every `LOOK_S`."""
        if time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        alive: dict[str, RayNode] = {_id(node): node for node in ray.nodes() if node["Alive"]}
        for name, node in alive.items():
            if self._wants and _amount(node, "GPU") and name not in self._cards | self._asked:
                self._asked[name] = ask_cards(name), time.monotonic()
        self._take_answers(alive)
        before = {node.name for node in self.places.nodes}
        found = [self._usable(node) for node in alive.values()]
        nodes = {node.name: node for node, _ in found if node is not None}
        self._problems = {problem for _, problem in found if problem is not None}
        self.places.update(nodes.values())
        for name in before - set(nodes):
            logger.warning("the cluster lost a node: %s", name)
        for name in set(nodes) - before:
            logger.info("node %s: %s", name, _spoken(nodes[name].slots))
        for problem in self._problems - self._said:
            self._said.add(problem)
            logger.warning("%s", problem)

    @contextmanager
    def ready(self, interrupts: Interrupts) -> Iterator[Slots]:
        """Give the slots of all nodes together within the block; with `wait_for_nodes` ask for what is missing first.

        Raises
        ------
        PlanError
            Nothing here can run the plan, and nobody wants to wait.
        """
        waits = self._resources.wait_for_nodes
        asks = waits and bool(self._wants) and not ray.cluster_resources().get("GPU")
        try:
            if asks:
                _request_gpu(1)  # without an autoscaler this waits for whoever adds a node
            self._wait(interrupts)
            yield self.total
        finally:
            if asks:
                _request_gpu(0)

    def _wait(self, interrupts: Interrupts) -> None:
        said = -math.inf
        while True:
            self._looked = -math.inf
            self.refresh()
            problem = self.problem
            if problem is None and not self._asked:
                break
            if problem is not None and not self._asked and not self._resources.wait_for_nodes:
                raise PlanError(f"the cluster cannot run this sweep: {problem}")
            if problem is not None and time.monotonic() - said >= REMIND_S:
                said = time.monotonic()
                logger.warning("waiting for %s", problem)
            with interrupts.may_strike():
                time.sleep(0.2 if self._asked else 1.0)
        if self._wants and not self.places.has_gpu:
            logger.warning(
                "the cluster has no GPU now: %s run on the CPU; resources.wait_for_nodes: true waits for one",
                ", ".join(self._wants),
            )

    @property
    def problem(self) -> str | None:
        """Why nothing here can run a trial of each kind, or None."""
        threads = self._resources.threads
        there = ray.cluster_resources()
        if not self.total.concurrent:
            return f"a node with {threads} CPUs for a trial; all nodes together have {there.get('CPU', 0):g} CPUs"
        if not self._wants or self.places.has_gpu:
            return None
        if there.get("GPU") and self._problems:
            return f"a GPU that holds a trial; {'; '.join(sorted(self._problems))}"
        if self._resources.wait_for_nodes:
            return f"a node with a GPU; the cluster has {there.get('CPU', 0):g} CPUs and no GPU"
        return None

    @property
    def total(self) -> Slots:
        """The slots of all nodes together."""
        slots = [node.slots for node in self.places.nodes]
        shares = [one.trials_per_gpu for one in slots if one.gpu]
        return Slots(
            concurrent=sum(one.concurrent for one in slots),
            gpu=sum(one.gpu for one in slots),
            trials_per_gpu=max(shares, default=0),
            gpu_fraction=min((one.gpu_fraction for one in slots if one.gpu), default=0.0),
            threads=self._resources.threads,
            cards=sum(one.cards for one in slots),
            roomy=any(one.roomy for one in slots),
        )

    @property
    def free(self) -> str:
        """What Ray has free."""
        return free_resources()

    def _usable(self, node: RayNode) -> tuple[Node | None, str | None]:
        """Return the node with its slots, None if it has too few CPUs, and why its cards hold no trial, if so.

        Ray chooses among all cards of a node: one of which only some fit gets no trial on a GPU.
        """
        cards = self._cards.get(_id(node), ()) if self._wants else ()
        address = str(node["NodeManagerAddress"])
        cpus = int(_amount(node, "CPU"))
        try:
            slots = plan_slots(Machine(cpus, cards), self._resources, needs_gpu=False)
        except PlanError as err:  # too few CPUs
            return None, f"{address}: {err}" if cards else None
        problem = None
        if slots.notes:
            problem = f"{address}: {'; '.join(slots.notes)}{_remedy(slots)}"
            slots = plan_slots(Machine(cpus), self._resources)
        return Node(f"{address} ({_id(node)[:6]})", slots, {f"node:{address}": PIN}), problem

    def _take_answers(self, alive: Mapping[str, RayNode]) -> None:
        for name, (answer, since) in list(self._asked.items()):
            node = alive.get(name)
            if node is None:
                del self._asked[name]
                continue
            done, _ = ray.wait([answer], timeout=0)
            if not done and time.monotonic() - since < ANSWER_S:
                continue
            try:
                cards = tuple(ray.get(answer, timeout=0.1))
            except (ray.exceptions.RayError, TimeoutError) as err:
                logger.warning("%s does not say what its cards hold: %s", node["NodeManagerAddress"], err)
                cards = ()
            count = int(_amount(node, "GPU"))
            self._cards[name] = cards if len(cards) == count else (self._unknown_card,) * count
            del self._asked[name]

    @property
    def _unknown_card(self) -> Gpu:
        """A card without a driver to ask: as many trials as the sweep file says, one for `auto`."""
        wanted = self._resources.trials_per_gpu
        size = self._resources.gpu_memory_gb * (wanted if isinstance(wanted, int) else 1)
        return Gpu("GPU of unknown memory", size, size)


def free_resources() -> str:
    """Say what Ray has free."""
    free = ray.available_resources()
    return f"{free.get('CPU', 0):g} CPUs and {free.get('GPU', 0):g} GPUs"


def ask_cards(node: str) -> ray.ObjectRef:
    """Ask a node for the cards that its Ray sees; Ray leaves CUDA_VISIBLE_DEVICES alone where no GPU is asked for."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    where = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=where)(local_cards).remote()


def _request_gpu(count: int) -> None:
    from ray.autoscaler.sdk import request_resources  # noqa: PLC0415  (only where nodes can be asked for)

    request_resources(bundles=[{"GPU": 1}] * count)


def _id(node: RayNode) -> str:
    return str(node["NodeID"])


def _amount(node: RayNode, resource: str) -> float:
    resources = node["Resources"]
    return float(resources.get(resource, 0)) if isinstance(resources, Mapping) else 0.0


def _remedy(slots: Slots) -> str:
    """Say how the cards that fit can be used."""
    cards = card_variables(slots)
    return "".join(
        f"; Ray chooses among all cards of a node, so its others get none either: start Ray there with {name}={ids}"
        for name, ids in cards.items()
        if ids.strip(",")
    )


def _spoken(slots: Slots) -> str:
    gpu = f", {slots.gpu} of them on {slots.cards} GPUs ({slots.trials_per_gpu} a card)" if slots.gpu else ""
    return f"{slots.concurrent} trials at once{gpu}"
