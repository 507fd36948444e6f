"""Tests of the one training loop: order, schedule, accumulation, and what it refuses to let pass."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from trainables._torch import EarlyStopping, Schedule, example_order, torch_session, train
from trainables.errors import NonFiniteError, UntrainedError
from trainables.protocol import TrialResources

INPUTS = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.3, -2.0], [2.0, 1.0], [0.1, 0.2]])
TARGETS = torch.tensor([5.0, -0.5, -3.7, 4.0, 0.5])


def schedule(passes: int = 40, batch: int = 4, micro_batch: int = 4, learning_rate: float = 0.1) -> Schedule:
    return Schedule(learning_rate, passes, batch, micro_batch)


def fitted(micro_batch: int = 4, seed: int = 0) -> Tensor:
    weight = torch.zeros(2, requires_grad=True)

    def losses(index: Tensor) -> Tensor:
        return (INPUTS[index] @ weight - TARGETS[index]).square()

    train({"weight": weight}, losses, len(INPUTS), schedule(micro_batch=micro_batch), seed=seed)
    return weight.detach()


@given(count=st.integers(1, 20), passes=st.integers(1, 60), seed=st.integers(0, 1000))
def test_every_example_is_seen_once_before_any_is_seen_twice(count: int, passes: int, seed: int) -> None:
    order = example_order(count, passes, seed)
    assert passes == len(order)
    for start in range(0, passes, count):
        seen = order[start : start + count].tolist()
        assert len(seen) == len(set(seen))
        assert set(seen) <= set(range(count))


def test_the_loop_reduces_the_loss_and_counts_its_steps() -> None:
    weight = torch.zeros(2, requires_grad=True)

    def losses(index: Tensor) -> Tensor:
        return (INPUTS[index] @ weight - TARGETS[index]).square()

    before = losses(torch.arange(5)).mean().item()
    assert 50 == train({"weight": weight}, losses, 5, schedule(passes=200), seed=0)
    assert losses(torch.arange(5)).mean().item() < 0.05 * before


@settings(max_examples=10)
@given(micro_batch=st.integers(1, 6))
def test_micro_batches_add_up_to_the_same_training(micro_batch: int) -> None:
    torch.testing.assert_close(fitted(micro_batch), fitted(4), rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    assert fitted(seed=3).numpy().tobytes() == fitted(seed=3).numpy().tobytes()
    assert fitted(seed=3).numpy().tobytes() != fitted(seed=4).numpy().tobytes()


def test_a_penalty_is_added_once_a_step_however_many_passes_a_step_has() -> None:
    calls = []
    weight = torch.zeros(2, requires_grad=True)

    def penalty() -> Tensor:
        calls.append(1)
        return weight.square().sum()

    def losses(index: Tensor) -> Tensor:
        return (INPUTS[index] @ weight - TARGETS[index]).square()

    steps = train({"weight": weight}, losses, 5, schedule(micro_batch=1), seed=0, penalty=penalty)
    assert steps == len(calls)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_training_and_says_at_which_step(value: float) -> None:
    weight = torch.ones(1, requires_grad=True)
    with pytest.raises(NonFiniteError, match="at step 1 of 10"):
        train({"weight": weight}, lambda index: weight * value + 0 * index, 4, schedule(), seed=0)


def test_a_gradient_that_is_not_finite_ends_training_even_if_the_loss_is_finite() -> None:
    weight = torch.zeros(1, requires_grad=True)
    with pytest.raises(NonFiniteError, match="gradient"):
        train({"weight": weight}, lambda index: weight.sqrt() + 0 * index, 4, schedule(passes=1), seed=0)


def test_a_tensor_that_no_gradient_reaches_is_named() -> None:
    used, detached = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    parameters = {"used": used, "forgotten": detached}
    with pytest.raises(UntrainedError, match=r"no gradient reached forgotten$"):
        train(parameters, lambda index: used * detached.detach() + 0 * index, 4, schedule(), seed=0)


def test_a_tensor_whose_gradient_is_zero_is_named() -> None:
    used, idle = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    with pytest.raises(UntrainedError, match="the gradient of idle is zero after step 1"):
        train({"used": used, "idle": idle}, lambda index: used + 0 * idle + 0 * index, 4, schedule(), seed=0)


def test_a_tensor_that_a_batch_says_nothing_of_may_wait() -> None:
    used, rare = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    parameters = {"used": used, "rare": rare}
    train(parameters, lambda index: used + 0 * rare + 0 * index, 4, schedule(), seed=0, occasional=["rare"])


def test_a_late_tensor_may_wait_one_step_and_no_more() -> None:
    used, late = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    with pytest.raises(UntrainedError, match="the gradient of late is zero after step 2"):
        train(
            {"used": used, "late": late},
            lambda index: used + 0 * late + 0 * index,
            4,
            schedule(),
            seed=0,
            late=["late"],
        )


def test_a_session_leaves_neither_the_seed_nor_the_threads_behind() -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch_session(TrialResources(seed=9, threads=2)):
        assert 2 == torch.get_num_threads()
        torch.rand(100)
    assert threads == torch.get_num_threads()
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def stopped(losses: list[float], every: int = 1, patience: int = 2) -> tuple[int, float]:
    """Steps kept and the weight kept, where looks at the held-out set give these losses; a step moves the weight."""
    weight = torch.zeros(1, requires_grad=True)
    looks = iter(losses)
    kept = train(
        {"weight": weight},
        lambda index: -weight + 0 * index,
        4,
        schedule(passes=40),
        seed=0,
        stopping=EarlyStopping(lambda: next(looks), every, patience),
    )
    return kept, weight.item()


def test_the_parameters_with_the_lowest_held_out_loss_are_kept() -> None:
    kept, weight = stopped([3.0, 2.0, 1.0, 2.0, 2.0])
    assert 2 == kept
    assert stopped([2.0, 1.0, 2.0, 2.0])[1] < weight < stopped([4.0, 3.0, 2.0, 1.0, 2.0, 2.0])[1]


def test_the_start_is_kept_if_training_only_harms() -> None:
    assert (0, 0.0) == stopped([1.0, 2.0, 3.0])


def test_the_last_step_is_looked_at_even_between_two_looks() -> None:
    assert 10 == stopped([3.0, 2.0, 1.0, 0.5], every=4)[0]


def test_a_held_out_loss_that_is_not_finite_ends_training() -> None:
    with pytest.raises(NonFiniteError, match="held-out loss is nan after step 1"):
        stopped([1.0, float("nan")])
