"""Places: each trial on a node that has room for it, and nothing handed out that cannot run."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.places import DOUBT_S, Node, Places
from orchestrator.resources import Gpu, Machine, plan_slots
from orchestrator.spec import ResourceSettings

NUMBERS = itertools.count()
AUTO = ResourceSettings(trials_per_gpu="auto")


def node(name: str, cpus: int, *sizes_gb: float) -> Node:
    cards = tuple(Gpu(f"{size:g} GB card", size, size) for size in sizes_gb)
    return Node(name, plan_slots(Machine(cpus, cards), AUTO), {f"node:{name}": 0.001})


def fill(places: Places, **kind: bool) -> list[str]:
    """Take places while there is room; the nodes they are on."""
    taken = []
    while places.room(**kind):
        taken.append(places.take(f"{next(NUMBERS)}", gpu=kind["gpu"]).node)
    return sorted(taken)


def test_unlike_nodes_hold_as_many_trials_as_each_of_them_can():
    places = Places([node("small", 4, 8), node("large", 16, 80)])
    assert ["large"] * 9 + ["small"] == fill(places, gpu=True)
    assert ["large"] * 7 + ["small"] * 3 == fill(places, gpu=False)


def test_a_trial_asks_for_its_node_and_its_share_of_that_node_s_cards():
    places = Places([node("small", 4, 8), node("large", 16, 80)])
    asked = {(place := places.take(str(number), gpu=True)).node: place.request for number in range(10)}
    assert {"CPU": 1.0, "GPU": 1.0, "node:small": 0.001} == asked["small"]
    assert {"CPU": 1.0, "GPU": 0.1111, "node:large": 0.001} == asked["large"]


def test_baselines_leave_the_cpus_that_free_gpu_slots_need():
    places = Places([node("only", 4, 24)])
    assert ["only"] * 2 == fill(places, gpu=False, spare=True)
    assert ["only"] * 2 == fill(places, gpu=True)


def test_baselines_take_those_cpus_where_no_gpu_trial_waits():
    assert ["only"] * 4 == fill(Places([node("only", 4, 24)]), gpu=False)


def test_a_large_trial_takes_two_slots_of_one_node():
    places = Places([node("large", 16, 24), node("small", 16, 8)])
    place = places.take("big", gpu=True, large=True)
    assert ("large", 1.0, 2) == (place.node, place.request["GPU"], place.gpu)
    assert not places.room(gpu=True, large=True)
    assert ["small"] == fill(places, gpu=True)


def test_no_card_of_twice_the_cap_means_no_second_attempt():
    assert not Places([node("small", 16, 8)]).could_be_large(gpu=True)
    assert Places([node("small", 16, 8)]).could_be_large(gpu=False)


def test_released_places_are_free_again_and_lost_nodes_have_none():
    places = Places([node("a", 2), node("b", 2)])
    first = places.take("first", gpu=False)
    places.update([node("b" if first.node == "a" else "a", 2)])
    assert not places.is_there("first")
    assert 2 == len(fill(places, gpu=False))
    places.release("first")
    assert not places.room(gpu=False)


def test_a_node_on_which_a_worker_died_gets_nothing_for_a_while_if_there_are_others():
    now = [0.0]
    places = Places([node("a", 4), node("b", 2)], clock=lambda: now[0])
    assert "a" == places.take("first", gpu=False).node
    places.doubt("first")
    places.release("first")
    assert ["b", "b"] == fill(places, gpu=False)
    now[0] = DOUBT_S
    assert ["a"] * 4 == fill(places, gpu=False)


def test_the_only_node_is_not_doubted():
    places = Places([node("a", 2)])
    places.take("first", gpu=False)
    places.doubt("first")
    assert ["a"] == fill(places, gpu=False)


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from([(), (8,), (24,), (80, 80)])), min_size=1, max_size=4))
def test_never_more_trials_than_cpus_and_shares_of_cards(sizes):
    nodes = [node(str(number), cpus, *cards) for number, (cpus, cards) in enumerate(sizes)]
    places = Places(nodes)
    taken = [places.take(str(count), gpu=True) for count in range(99) if places.room(gpu=True)]
    taken += [places.take(f"cpu{count}", gpu=False) for count in range(99) if places.room(gpu=False)]
    for one, (cpus, cards) in zip(nodes, sizes, strict=True):
        here = [place.request for place in taken if place.node == one.name]
        assert sum(request["CPU"] for request in here) == cpus
        assert sum(request.get("GPU", 0) for request in here) <= len(cards)
