"""Places: which node has room for a trial, in a cluster whose nodes are unlike each other and come and go. No Ray.

Trials are counted here, not by Ray: each asks for its share of a card and CPUs on a node that has them free, so that
an 8 GB card holds one trial while an 80 GB card beside it holds nine, and nothing waits for what cannot be had.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from orchestrator.resources import Slots

DOUBT_S = 20.0
"""A node on which a worker died may be dying itself; a cluster takes that long to say so."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: its slots, and what a trial asks for beside CPUs and GPU to come to run there."""

    name: str
    slots: Slots
    pin: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial runs, what it asks Ray for, and how many CPU and GPU slots it takes."""

    node: str
    request: Mapping[str, float]
    cpu: int
    gpu: int


class Places:
    """Free and taken slots by node.

    Parameters
    ----------
    nodes
        Those that are there; `update` replaces them.
    clock
        Seconds, monotonic.
    """

    def __init__(self, nodes: Iterable[Node], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._doubted: dict[str, float] = {}
        self._nodes: dict[str, Node] = {}
        self._taken: dict[str, Place] = {}
        self._used_cpu: Counter[str] = Counter()
        self._used_gpu: Counter[str] = Counter()
        self.update(nodes)

    def update(self, nodes: Iterable[Node]) -> None:
        """Take the nodes that are there now; places on others stay taken until they are released."""
        self._nodes = {node.name: node for node in nodes}

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that are there."""
        return tuple(self._nodes.values())

    @property
    def has_gpu(self) -> bool:
        """True if a node holds trials on a GPU."""
        return any(node.slots.gpu for node in self._nodes.values())

    def is_there(self, trial: str) -> bool:
        """Say whether the node of a trial is still there."""
        return self._taken[trial].node in self._nodes

    def room(self, *, gpu: bool, large: bool = False, spare: bool = False) -> bool:
        """Say whether a trial fits now; with `spare` a CPU trial leaves the CPUs that free GPU slots need."""
        return self._best(gpu=gpu, large=large, spare=spare) is not None

    def could_be_large(self, *, gpu: bool) -> bool:
        """Say whether some node could hold a trial of twice the room."""
        slots = [node.slots for node in self._nodes.values()]
        return any(one.roomy for one in slots) if gpu else any(one.concurrent >= 2 for one in slots)

    def take(self, trial: str, *, gpu: bool, large: bool = False) -> Place:
        """Take a place for a trial; `room` must be true."""
        node = self._best(gpu=gpu, large=large, spare=False)
        if node is None:
            raise ValueError(f"no room for trial {trial}")
        cpu, cards = _weights(node.slots, gpu=gpu, large=large)
        place = Place(node.name, {**node.slots.request(gpu=gpu, large=large), **node.pin}, cpu, cards)
        self._taken[trial] = place
        self._used_cpu[node.name] += cpu
        self._used_gpu[node.name] += cards
        return place

    def doubt(self, trial: str) -> None:
        """Hand nothing to the node of a trial for a while, if there are others: the trial's worker died there."""
        self._doubted[self._taken[trial].node] = self._clock()

    def release(self, trial: str) -> None:
        """Give the place of a trial back."""
        place = self._taken.pop(trial, None)
        if place is not None:
            self._used_cpu[place.node] -= place.cpu
            self._used_gpu[place.node] -= place.gpu

    def _best(self, *, gpu: bool, large: bool, spare: bool) -> Node | None:
        """Return the node with most room of the kind that is asked for, or None."""
        fitting = []
        sure = [node for node in self._nodes.values() if not self._is_doubted(node)]
        for node in sure or self._nodes.values():
            cpu, cards = self._free(node)
            needs_cpu, needs_cards = _weights(node.slots, gpu=gpu, large=large)
            kept = min(cards, cpu) if spare and not gpu else 0
            too_small = gpu and (not node.slots.gpu or (large and not node.slots.roomy))
            if not too_small and needs_cpu + kept <= cpu and needs_cards <= cards:
                fitting.append((cards if gpu else cpu - min(cards, cpu), node))
        return max(fitting, key=lambda entry: entry[0])[1] if fitting else None

    def _is_doubted(self, node: Node) -> bool:
        return self._clock() - self._doubted.get(node.name, -DOUBT_S) < DOUBT_S

    def _free(self, node: Node) -> tuple[int, int]:
        return node.slots.concurrent - self._used_cpu[node.name], node.slots.gpu - self._used_gpu[node.name]


def _weights(slots: Slots, *, gpu: bool, large: bool) -> tuple[int, int]:
    """Return the CPU and GPU slots that a trial takes on a node with these slots."""
    if gpu:
        return 1, 2 if large and slots.trials_per_gpu > 1 else 1
    return 2 if large else 1, 0
