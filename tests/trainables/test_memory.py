"""Tests of the memory estimate: what autograd keeps, how a step is divided under a cap, and what to do without one."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes import published
from tests.memory_bench import Case, in_own_process
from trainables import memory, memory_caps, moment_memory
from trainables._memory import MicroBatches, in_parts, in_slices
from trainables._moment import LoraSettings, MomentBackbone, build
from trainables._torch import autocast
from trainables.errors import MemoryCapError
from trainables.memory import Training
from trainables.moment_lora import MomentLoraConfig
from trainables.moment_zero_shot import MomentZeroShotConfig
from trainables.pretrain import TINY
from trainables.protocol import TrialResources

CARDS = (8, 12, 16, 24, 40, 80)


def lora(**settings: object) -> MomentLoraConfig:
    return MomentLoraConfig.model_validate(settings)


def parts(
    size: str, length: int = 64, channels: int = 88, keep: object = "all", **settings: object
) -> memory.Footprint:
    config = lora(channels=keep, **settings)
    return moment_memory.lora_footprint(
        published.configuration(size), config, moment_memory.Telemetry(channels, length, 14)
    )


def passes(
    cap: memory_caps.Cap, size: str, length: int = 64, channels: int = 88, **settings: object
) -> memory_caps.Passes:
    found = parts(size, length, channels, **settings)
    return moment_memory.lora_passes(found, lora(**settings), channels, 100, cap)


def kept_by_autograd(backbone: MomentBackbone, windows: int, step: Training, *, checkpointing: bool) -> int:
    first = backbone.layers - step.layers
    backbone.add_lora(LoraSettings(step.rank, 16.0, 0.0, step.targets, first))
    weights = {parameter.untyped_storage().data_ptr() for parameter in backbone.module.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no address is used twice
        return tensor

    with autocast(torch.device("cpu"), step.precision):
        with torch.no_grad():
            states = backbone.run(backbone.tokens(torch.randn(windows, step.length)), 0, first).float()
        note(states)  # what goes in is there, whether or not a gradient needs it
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            last = backbone.run(states, first, backbone.layers, last_only=step.last_only, save_memory=checkpointing)
    assert last.requires_grad
    return sum(tensor.untyped_storage().nbytes() for address, tensor in kept.items() if address not in weights)


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(
    ("length", "targets", "layers", "last_only"),
    [
        (64, "q,v", 4, True),
        (64, "q,k,v,o", 4, True),
        (256, "v", 4, True),
        (64, "q,v", 2, True),
        (256, "q,v", 1, True),
        (64, "q,v", 4, False),
    ],
)
def test_the_estimate_is_what_autograd_keeps_of_the_tiny_backbone(
    length: int, targets: str, layers: int, last_only: bool, precision: Any, checkpointing: bool
) -> None:
    config: dict[str, Any] = dict(TINY)
    backbone = MomentBackbone(build(config).requires_grad_(requires_grad=False).eval(), config)
    step = Training(1, length, 8, tuple(targets.split(",")), layers, precision, last_only=last_only)
    found = kept_by_autograd(backbone, 32, step, checkpointing=checkpointing)
    estimate = memory.footprint(memory.architecture(config), step).kept(32, checkpointing=checkpointing)
    assert estimate == pytest.approx(found, rel=0.15)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("size", ["small", "base"])
def test_the_estimate_is_what_autograd_keeps_of_published_blocks(size: str, precision: Any) -> None:
    config = published.configuration(size, num_layers=3)  # of the full width: every block is like the others
    backbone = MomentBackbone(build(config).requires_grad_(requires_grad=False).eval(), config)
    step = Training(1, 32, 8, ("q", "v"), 3, precision)
    found = kept_by_autograd(backbone, 16, step, checkpointing=False)
    assert memory.footprint(memory.architecture(config), step).kept(16, checkpointing=False) == pytest.approx(
        found, rel=0.15
    )


@pytest.mark.slow
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("size", "windows"), [("tiny", 24), ("small", 3), ("base", 1)])
def test_the_estimate_is_within_15_percent_of_resident_memory(size: str, windows: int, checkpointing: bool) -> None:
    found = in_own_process(Case(size, 64, windows, "fp32", checkpointing))
    assert found.estimate == pytest.approx(found.resident, rel=0.15)


@pytest.mark.slow
def test_so_is_the_estimate_of_a_wide_window_whose_channels_pass_in_slices() -> None:
    found = in_own_process(Case("small", 64, 12, "fp32", checkpointing=True, at_once=132))
    assert found.estimate == pytest.approx(found.resident, rel=0.15)
    assert found.kept_estimate == pytest.approx(found.kept, rel=0.15)


@pytest.mark.slow
def test_moment_small_takes_a_step_of_8_windows_and_88_channels_in_4_gb_of_host_memory() -> None:
    command = "from tests.memory_bench import step_within; step_within(4, 'small', 64)"
    answer = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert "0" == answer.stdout.splitlines()[-1], "the estimate should have made the parts small enough"


@pytest.mark.parametrize(("size", "parameters"), [("small", 18_891_976), ("base", 84_967_304), ("large", 308_349_448)])
def test_weights_count_four_bytes_a_parameter_without_the_vocabulary(size: str, parameters: int) -> None:
    assert 4 * parameters == parts(size).weights


def test_adapters_cost_sixteen_bytes_a_parameter() -> None:
    size = memory.architecture(published.configuration("large"))
    step = Training(88, 64, rank=8, targets=("q", "v"), layers=24)
    assert 16 * 786_432 == memory.footprint(size, step).trained


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("size", ["small", "base", "large"])
@pytest.mark.parametrize("length", [64, 512])
def test_eight_windows_of_88_channels_fit_every_card_in_parts(card: int, size: str, length: int) -> None:
    found = passes(memory_caps.gpu_cap(card), size, length, precision="bf16")
    assert 1 <= found.micro_batch <= 8
    assert found.gb <= card


def test_moment_large_at_full_length_fits_8_gb_only_by_computing_activations_again() -> None:
    found = passes(memory_caps.gpu_cap(8), "large", 512, precision="bf16")
    assert found.checkpointing
    assert not passes(memory_caps.gpu_cap(80), "large", 512, precision="bf16").checkpointing


def test_moment_large_on_short_windows_fits_8_gb_without_computing_anything_twice() -> None:
    assert not passes(memory_caps.gpu_cap(8), "large", 32, precision="bf16").checkpointing


@given(gb=st.floats(2, 80), size=st.sampled_from(["small", "base"]), channels=st.integers(1, 120))
def test_what_is_chosen_stays_under_the_cap_or_is_refused(gb: float, size: str, channels: int) -> None:
    cap, found = memory_caps.gpu_cap(gb), parts(size, 128, channels)
    try:
        chosen = moment_memory.lora_passes(found, lora(), channels, 100, cap)
    except MemoryCapError:
        assert found.bytes_in_parts(1) > memory_caps.SHARE * cap.allocator_gb * memory.GB
    else:
        assert chosen.gb <= gb
        whole = found.bytes(chosen.micro_batch, checkpointing=chosen.checkpointing)
        used = whole if chosen.channels is None else found.bytes_in_parts(chosen.channels)
        assert used <= cap.allocator_gb * memory.GB


@given(gb=st.floats(3, 40), more=st.floats(0, 40))
def test_more_memory_never_makes_parts_smaller(gb: float, more: float) -> None:
    def effort(gb: float) -> tuple[bool, int, int]:
        found = passes(memory_caps.gpu_cap(gb), "base", 64, 300)
        return found.checkpointing, -found.micro_batch, -(found.channels or 300)

    assert effort(gb) >= effort(gb + more)


def test_a_window_that_cannot_fit_is_refused_with_the_gb_it_would_need() -> None:
    cap, found = memory_caps.gpu_cap(8), parts("large", 512, channels=20_000)
    with pytest.raises(
        MemoryCapError,
        match=r"needs \d+\.\d GB .*checkpointing and one channel at a time, .*gpu_memory_gb is 8; .*keep",
    ):
        moment_memory.lora_passes(found, lora(), 20_000, 100, cap)
    enough = memory_caps.gpu_cap(memory_caps.needed_gb(found, cap) + 1e-6)
    assert 1 == moment_memory.lora_passes(found, lora(), 20_000, 100, enough).channels


def test_the_channels_of_a_wide_window_pass_in_equal_slices_where_a_window_does_not_fit() -> None:
    cap, found = memory_caps.gpu_cap(8), parts("large", 512, channels=1000)
    assert found.bytes(1, checkpointing=True) > memory_caps.SHARE * cap.allocator_gb * memory.GB
    chosen = moment_memory.lora_passes(found, lora(), 1000, 100, cap)
    assert (1, True) == (chosen.micro_batch, chosen.checkpointing)
    assert chosen.channels is not None
    slices = -(-1000 // chosen.channels)
    assert chosen.channels == -(-1000 // slices)
    assert found.bytes_in_parts(chosen.channels) <= memory_caps.SHARE * cap.allocator_gb * memory.GB


def test_merged_adapters_leave_less_room_for_scoring_by_their_weights() -> None:
    large, cap = published.configuration("large"), memory_caps.gpu_cap(8)
    merged, beside = (
        moment_memory.scored_at_once(large, lora(targets="q,k,v,o,wi_0,wi_1,wo", precision=precision), 512, cap)
        for precision in ("fp32", "bf16")
    )
    size = memory.architecture(large)
    copies = 4 * memory.adapted_weights(size, 24, ("q", "k", "v", "o", "wi_0", "wi_1", "wo"))
    channel = memory.scoring_bytes(size, 512, "fp32")
    free = memory_caps.SHARE * cap.allocator_gb * memory.GB - 4 * size.parameters
    assert int((free - copies) // channel) == merged
    assert beside == int(free // memory.scoring_bytes(size, 512, "bf16"))


def test_scoring_takes_the_channels_of_a_wide_window_in_slices_too() -> None:
    config, cap = MomentZeroShotConfig(), memory_caps.gpu_cap(8)
    found = moment_memory.scoring_passes(published.configuration("large"), config, 20_000, 512, cap)
    assert 1 == found.micro_batch
    assert found.channels == moment_memory.scored_at_once(published.configuration("large"), config, 512, cap)
    assert moment_memory.scoring_passes(published.configuration("large"), config, 88, 512, cap).channels is None


def test_weights_that_alone_exceed_the_cap_are_refused_with_the_way_out() -> None:
    with pytest.raises(MemoryCapError, match="use a smaller backbone"):
        passes(memory_caps.gpu_cap(1.5), "large")


def test_channels_that_do_not_go_through_the_backbone_take_no_activations() -> None:
    assert parts("base", channels=16).window == parts("base", channels=88, keep={"keep": 16}).window


def test_the_cap_of_a_trial_follows_its_device() -> None:
    assert memory_caps.gpu_cap(8) == moment_memory.cap_of(
        TrialResources(device="cuda", gpu_memory_gb=8, host_memory_gb=4)
    )
    assert memory_caps.host_cap(4) == moment_memory.cap_of(TrialResources(gpu_memory_gb=8, host_memory_gb=4))
    assert moment_memory.cap_of(TrialResources()) is None


def test_tensors_may_fill_the_cap_less_what_cuda_itself_takes() -> None:
    assert 9.25 == memory_caps.gpu_cap(10).allocator_gb
    assert 0.5 == memory_caps.gpu_cap(1).allocator_gb


def out_of_memory_above(most: int, error: BaseException) -> Any:
    """Losses of which no more than `most` fit."""
    sizes: list[int] = []
    weight = torch.ones(3, requires_grad=True)

    def losses(index: torch.Tensor) -> torch.Tensor:
        sizes.append(len(index))
        if len(index) > most:
            raise error
        return (weight * index[:, None]).square().sum(1)

    return losses, weight, sizes


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate")],
)
def test_running_out_of_memory_halves_the_parts_and_gives_the_same_gradient(error: BaseException) -> None:
    losses, weight, sizes = out_of_memory_above(2, error)
    batch = torch.arange(8.0)
    small = MicroBatches(8)
    loss = small.accumulate(losses, batch, [weight])
    assert [8, 4, 2, 2, 2, 2] == sizes
    assert (2, 2) == (small.size, small.halvings)
    whole, expected, _ = out_of_memory_above(8, error)
    assert loss == pytest.approx(MicroBatches(8).accumulate(whole, batch, [expected]))
    torch.testing.assert_close(weight.grad, expected.grad)


def test_a_part_that_fails_late_leaves_nothing_behind_in_the_gradient() -> None:
    losses, weight, sizes = out_of_memory_above(8, RuntimeError())
    calls = iter([False, True, False, False, False, False])

    def fails_on_the_second(index: torch.Tensor) -> torch.Tensor:
        if next(calls):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.as_tensor(losses(index))

    MicroBatches(2).accumulate(fails_on_the_second, torch.arange(4.0), [weight])
    whole, expected, _ = out_of_memory_above(8, RuntimeError())
    MicroBatches(4).accumulate(whole, torch.arange(4.0), [expected])
    assert [2, 1, 1, 1, 1] == sizes
    torch.testing.assert_close(weight.grad, expected.grad)


def test_at_a_single_window_checkpointing_comes_next_and_then_the_end() -> None:
    losses, weight, sizes = out_of_memory_above(0, torch.OutOfMemoryError("tried to allocate 3 GiB"))
    small = MicroBatches(2, may_checkpoint=True)
    with pytest.raises(MemoryCapError, match="does not fit with gradient checkpointing: tried to allocate 3 GiB"):
        small.accumulate(losses, torch.arange(2.0), [weight])
    assert [2, 1, 1] == sizes
    assert small.checkpointing


def test_after_checkpointing_the_channels_are_halved_down_to_one() -> None:
    losses, weight, sizes = out_of_memory_above(0, torch.OutOfMemoryError("tried to allocate 3 GiB"))
    small = MicroBatches(1, may_checkpoint=True, all_channels=5)
    with pytest.raises(MemoryCapError, match="does not fit with gradient checkpointing"):
        small.accumulate(losses, torch.arange(1.0), [weight])
    assert (1, True, 1, 5) == (small.size, small.checkpointing, small.channels, small.halvings)
    assert [1] * 5 == sizes  # whole, recomputed, then 3, 2 and 1 channels


def test_slices_of_equal_size_give_the_values_of_the_whole() -> None:
    values, sizes = torch.arange(10.0), []

    def doubled(part: torch.Tensor) -> torch.Tensor:
        sizes.append(len(part))
        return 2 * part

    assert torch.equal(2 * values, in_slices(doubled, values, 4))
    assert [4, 4, 2] == sizes
    assert 0 == len(in_slices(doubled, values[:0], 4))


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    losses, weight, _ = out_of_memory_above(1, RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        MicroBatches(4).accumulate(losses, torch.arange(4.0), [weight])


def test_scoring_goes_on_in_smaller_parts_and_keeps_the_order() -> None:
    sizes = []

    def doubled(index: torch.Tensor) -> torch.Tensor:
        sizes.append(len(index))
        if len(index) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 2 * index

    assert [0, 2, 4, 6, 8] == in_parts(doubled, 5, 4).tolist()
    assert [4, 2, 1, 1, 1, 1, 1] == sizes


def test_a_single_window_that_cannot_be_scored_is_refused() -> None:
    def never(index: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(MemoryCapError, match="a single window does not fit"):
        in_parts(never, 3, 4)
