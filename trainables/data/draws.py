"""Few-shot draws: one ordered sequence of the support pool for each (source, draw); its first K are the K shots.

A draw depends on the source's name, its number, K and the pool, and on nothing else, so that every
detector meets the same shots, and 100 shots are the first 100 of 500.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from trainables.data.series import NORMAL
from trainables.data.windows import LabelledWindows
from trainables.errors import ProtocolError
from trainables.settings import FewShotSettings

NORMAL_SHARE = 0.5
"""Share of normal windows in a balanced draw; fault types share the rest equally."""


def draw_support(
    pool: LabelledWindows, *, source: str, shots: int, draw: int, few_shot: FewShotSettings
) -> NDArray[np.int64]:
    """Return positions in the pool [K] of the K-shot draw, in drawing order.

    unit: windows
        At each position the class (normal, each fault type) that lacks most of its share is taken:
        balanced, or as in the pool. Within a fault type windows alternate between its events, in an
        order drawn at random.
    unit: events
        K counts fault events, fault types in turn; all their windows are taken, and after each event
        as many normal ones.

    Raises
    ------
    ProtocolError
        The pool is too small and `shortage` is refuse; with cap the draw is the whole of what there is.
    """
    if shots < 0:
        raise ProtocolError(f"shots must be 0 or more, got {shots}")
    if shots == 0:
        return np.empty(0, dtype=np.int64)
    if few_shot.unit == "events":
        return _draw_events(pool, source, shots, draw, few_shot)
    if shots > len(pool):
        if few_shot.shortage == "refuse":
            raise ProtocolError(
                f"{shots} shots wanted, the support pool of {source!r} has {len(pool)} windows; "
                "lower few_shot.shots or set few_shot.shortage: cap"
            )
        shots = len(pool)
    classes = sorted(set(pool.fault_type.tolist()) - {NORMAL})
    members = [_class_order(pool, NORMAL, source, draw), *(_class_order(pool, c, source, draw) for c in classes)]
    sizes = [len(order) for order in members]
    ties = [0, *(1 + _rng(source, draw, "ties").permutation(len(classes))).tolist()]
    turns = _turns(shots, _targets(sizes, few_shot), sizes, ties)
    drawn = np.empty(shots, dtype=np.int64)
    for number, order in enumerate(members):
        places = np.flatnonzero(turns == number)
        drawn[places] = order[: len(places)]
    return drawn


def pool_share(pool: LabelledWindows, index: NDArray[np.int64]) -> float:
    """Return which share of the pool a draw uses; above half, draws overlap too much for an interval over them."""
    return len(index) / len(pool) if len(pool) else 0.0


def _draw_events(
    pool: LabelledWindows, source: str, shots: int, draw: int, few_shot: FewShotSettings
) -> NDArray[np.int64]:
    events, first = np.unique(pool.event[pool.y == 1], return_index=True)
    types = pool.fault_type[pool.y == 1][first]
    normal = _class_order(pool, NORMAL, source, draw)
    if shots > len(events):
        if few_shot.shortage == "refuse":
            raise ProtocolError(
                f"{shots} faults wanted, the support pool of {source!r} has {len(events)}; "
                "lower few_shot.shots or set few_shot.shortage: cap"
            )
        shots = len(events)
    names = sorted(set(types.tolist()))
    members = [_rng(source, draw, f"events of {name}").permutation(events[types == name]) for name in names]
    sizes = [len(order) for order in members]
    total = sum(sizes) if few_shot.balance == "natural" else len(sizes)
    targets = [(size if few_shot.balance == "natural" else 1) / total for size in sizes]
    turns = _turns(shots, targets, sizes, _rng(source, draw, "ties").permutation(len(names)).tolist())
    chosen = np.empty(shots, dtype=np.int64)
    for number, order in enumerate(members):
        places = np.flatnonzero(turns == number)
        chosen[places] = order[: len(places)]
    drawn, used = [], 0
    for event in chosen:
        windows = np.flatnonzero((pool.event == event) & (pool.y == 1))
        if used + len(windows) > len(normal) and few_shot.shortage == "refuse":
            raise ProtocolError(
                f"{shots} faults of {source!r} need as many normal windows as faulty ones, "
                f"but the support pool has only {len(normal)} normal windows; set few_shot.shortage: cap"
            )
        drawn += [windows, normal[used : used + len(windows)]]
        used += len(windows)
    return np.concatenate(drawn)


def _targets(sizes: list[int], few_shot: FewShotSettings) -> list[float]:
    """Return the share that each class, normal first, should have among the shots."""
    if few_shot.balance == "natural":
        return [size / sum(sizes) for size in sizes]
    return [NORMAL_SHARE, *[(1 - NORMAL_SHARE) / max(1, len(sizes) - 1)] * (len(sizes) - 1)]


def _turns(shots: int, targets: list[float], sizes: list[int], order: list[int]) -> NDArray[np.int64]:
    """Return the class of each position [shots]: always the one that lacks most of its share so far.

    Among equals the one that comes first in `order`.
    """
    left, lack = list(sizes), [0.0] * len(sizes)
    turns = np.empty(shots, dtype=np.int64)
    for place in range(shots):
        for number in order:
            lack[number] += targets[number]
        best = max((number for number in order if left[number]), key=lack.__getitem__)
        lack[best] -= 1
        left[best] -= 1
        turns[place] = best
    return turns


def _class_order(pool: LabelledWindows, name: str, source: str, draw: int) -> NDArray[np.int64]:
    """Return the class's pool positions in drawing order: random, going round its events."""
    shuffled = _rng(source, draw, name).permutation(np.flatnonzero(pool.fault_type == name))
    if name == NORMAL or not len(shuffled):
        return shuffled
    _, first, of_event = np.unique(pool.event[shuffled], return_index=True, return_inverse=True)
    by_event = np.argsort(of_event, kind="stable")
    counts = np.bincount(of_event)
    lap = np.empty(len(shuffled), dtype=np.int64)
    lap[by_event] = np.concatenate([np.arange(count) for count in counts])
    return shuffled[np.lexsort((first[of_event], lap))]


def _rng(source: str, draw: int, purpose: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{source}\0{draw}\0{purpose}".encode()).digest()
    return np.random.default_rng(np.random.SeedSequence(np.frombuffer(digest, dtype=np.uint32).tolist()))
