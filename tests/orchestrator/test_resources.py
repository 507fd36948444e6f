"""Slots: pure arithmetic over cards and CPUs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PlanError
from orchestrator.resources import (
    NOMINAL,
    Gpu,
    Machine,
    card_variables,
    gpu_fraction,
    local_machine,
    parse_gpus,
    plan_slots,
    trials_per_gpu,
)
from orchestrator.spec import ResourceSettings


def card(size_gb: float, free_gb: float | None = None) -> Gpu:
    """Return a card that, like real ones, has a little less than its name says."""
    return Gpu(f"{size_gb} GB card", size_gb * 0.99, size_gb * 0.98 if free_gb is None else free_gb)


@pytest.mark.parametrize(("size_gb", "trials"), [(8, 1), (12, 1), (16, 1), (24, 2), (40, 4), (80, 9)])
def test_auto_packs_a_card_by_memory(size_gb: int, trials: int):
    assert trials == trials_per_gpu(card(size_gb), 8, "auto")


@pytest.mark.parametrize("size_gb", [8, 12, 16, 24, 40, 80])
def test_one_trial_a_card_is_the_default(size_gb: int):
    slots = plan_slots(Machine(16, (card(size_gb),)), ResourceSettings())
    assert (1, 1, 1.0) == (slots.gpu, slots.trials_per_gpu, slots.gpu_fraction)


def test_a_card_in_use_packs_fewer():
    assert 1 == trials_per_gpu(card(40, free_gb=9), 8, "auto")


def test_a_card_below_the_cap_holds_none():
    assert 0 == trials_per_gpu(card(6), 8, "auto")


def test_only_small_cards_are_refused_with_both_ways_out():
    with pytest.raises(PlanError, match=r"6 GB card with 5.9 GB is smaller than the cap .* CUDA_VISIBLE_DEVICES"):
        plan_slots(Machine(8, (card(4), card(6))), ResourceSettings())


def test_more_trials_than_fit_are_refused():
    with pytest.raises(PlanError, match="3 trials of 8 GB do not fit 16 GB card"):
        plan_slots(Machine(8, (card(16),)), ResourceSettings(trials_per_gpu=3))


def test_two_nominal_trials_fit_a_card_of_twice_their_size():
    assert 2 == trials_per_gpu(card(16), 8, 2)


def test_unlike_cards_share_as_the_smallest_fitting_one_can():
    slots = plan_slots(Machine(32, (card(6), card(24), card(80))), ResourceSettings(trials_per_gpu="auto"))
    assert (2, 4) == (slots.trials_per_gpu, slots.gpu)


@pytest.mark.parametrize(("cpus", "gpu"), [(1, 1), (2, 1), (3, 2), (64, 9)])
def test_each_gpu_trial_needs_a_cpu_and_one_is_left_for_the_baselines(cpus: int, gpu: int):
    slots = plan_slots(Machine(cpus, (card(80),)), ResourceSettings(trials_per_gpu="auto"))
    assert (cpus, gpu) == (slots.concurrent, slots.gpu)


FULL = Gpu("A100", 40.0, 3.2, "GPU-full")


def test_a_card_that_another_program_holds_gets_no_trial_and_is_hidden_from_workers():
    empty = Gpu("A100", 40.0, 39.5, "GPU-empty")
    slots = plan_slots(Machine(8, (FULL, empty)), ResourceSettings(trials_per_gpu="auto"))
    assert (4, 1, ("GPU-empty",)) == (slots.gpu, slots.cards, slots.visible)
    assert {"CUDA_VISIBLE_DEVICES": "GPU-empty"} == card_variables(slots)
    (note,) = slots.notes
    assert note.startswith(
        "A100 GPU-full has 3.2 of 40.0 GB free, below the cap of 8 GB: another program holds the rest"
    )


def test_only_full_cards_are_refused_with_who_holds_them():
    with pytest.raises(PlanError, match=r"no GPU here holds a trial of 8 GB: A100 GPU-full has 3\.2 of 40\.0 GB free"):
        plan_slots(Machine(8, (FULL,)), ResourceSettings())


def test_a_number_of_trials_shrinks_to_what_is_free():
    assert [2, 1, 0] == [trials_per_gpu(card(40, free_gb=free), 8, 2) for free in (30, 15, 7)]


def test_a_large_trial_takes_the_room_of_two():
    slots = plan_slots(Machine(16, (card(80),)), ResourceSettings(trials_per_gpu=4))
    assert {"CPU": 1.0, "GPU": 0.5} == slots.request(gpu=True, large=True)
    assert {"CPU": 2.0} == slots.request(gpu=False, large=True)
    assert slots.roomy
    assert not plan_slots(Machine(16, (card(12),)), ResourceSettings()).roomy


def test_without_a_gpu_its_detectors_take_cpu_slots():
    slots = plan_slots(Machine(4), ResourceSettings(threads=2))
    assert (2, 0) == (slots.concurrent, slots.gpu)
    assert {"CPU": 2.0} == slots.request(gpu=True)


def test_a_request_names_the_share_of_a_card():
    slots = plan_slots(Machine(16, (card(24),)), ResourceSettings(trials_per_gpu="auto"))
    assert {"CPU": 1.0, "GPU": 0.5} == slots.request(gpu=True)
    assert {"CPU": 1.0} == slots.request(gpu=False)


def test_more_threads_than_cpus_are_refused():
    with pytest.raises(PlanError, match="a trial of 4 threads needs more than 2 CPUs"):
        plan_slots(Machine(2), ResourceSettings(threads=4))


@given(st.integers(1, 200))
def test_k_fractions_never_exceed_a_card(trials: int):
    assert 0 < gpu_fraction(trials) * trials <= 1


@given(st.floats(1, 200), st.floats(0, 1), st.floats(0.5, 50))
def test_packed_trials_fit_the_free_memory_or_are_one_that_nearly_does(size_gb: float, free: float, cap_gb: float):
    trials = trials_per_gpu(Gpu("card", size_gb, free * size_gb), cap_gb, "auto")
    assert trials * cap_gb <= free * size_gb or (trials == 1 and cap_gb * NOMINAL <= free * size_gb)


LISTING = """\
0, GPU-aaa, NVIDIA A100-SXM4-40GB, 40960, 40327
1, GPU-bbb, NVIDIA GeForce RTX 2080, 8192, 100
2, GPU-ccc, NVIDIA Weird, [N/A], [N/A]
"""


def test_nvidia_smi_is_read():
    assert [("NVIDIA A100-SXM4-40GB", 40.0), ("NVIDIA GeForce RTX 2080", 8.0)] == [
        (gpu.name, gpu.total_gb) for gpu in parse_gpus(LISTING)
    ]


@pytest.mark.parametrize(("visible", "count"), [("1", 1), ("0,1", 2), ("GPU-bbb", 1), ("7", 0)])
def test_hidden_cards_do_not_count(visible: str, count: int):
    assert count == len(parse_gpus(LISTING, visible))


def test_no_driver_means_no_gpu(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert () == local_machine().gpus


def test_hidden_gpus_are_not_asked_for(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert () == local_machine().gpus
    assert local_machine().cpus >= 1
