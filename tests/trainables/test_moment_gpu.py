"""Tests on a card: `pytest -m gpu`. They say what no CPU can: that the cap holds and the estimate is near."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.fakes import published, small_windows
from tests.memory_bench import CHANNELS, divided_step
from trainables import memory, memory_caps, moment_memory
from trainables._memory import MicroBatches
from trainables._moment import load
from trainables._torch import cap_memory, torch_session
from trainables.moment_lora import MomentLora, MomentLoraConfig
from trainables.protocol import TrialResources

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]

CAP_GB = 8.0


@pytest.fixture(autouse=True)
def _whole_card_afterwards() -> Iterator[None]:
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.write_folder(tmp_path_factory.mktemp("hub") / "large", published.configuration("large"))


@pytest.mark.parametrize("length", [64, 512])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_of_moment_large_stays_under_8_gb_and_near_its_estimate(large: Path, length: int, precision) -> None:
    config = MomentLoraConfig(backbone=str(large), precision=precision, context="none")
    cap = memory_caps.gpu_cap(CAP_GB)
    parts = moment_memory.lora_footprint(
        published.configuration("large"), config, moment_memory.Telemetry(CHANNELS, length, 1)
    )
    passes = moment_memory.lora_passes(parts, config, CHANNELS, 8, cap)
    device = torch.device("cuda")
    with torch_session(TrialResources(device="cuda", gpu_memory_gb=CAP_GB)):
        torch.cuda.reset_peak_memory_stats()
        backbone = load(large, device)
        divided = divided_step(backbone, precision, length, passes, "cuda")
    peak = torch.cuda.max_memory_allocated()
    assert 0 == divided.halvings
    assert torch.cuda.max_memory_reserved() <= cap.allocator_gb * memory.GB
    assert parts.bytes(passes.micro_batch, checkpointing=passes.checkpointing) == pytest.approx(peak, rel=0.15)


def test_the_allocator_refuses_what_lies_above_the_cap() -> None:
    cap_memory(1.0)
    with pytest.raises(torch.OutOfMemoryError):
        torch.empty(2**30, dtype=torch.uint8, device="cuda")


def test_a_real_lack_of_memory_ends_in_smaller_parts_and_the_same_gradient() -> None:
    weight = torch.ones(1, device="cuda", requires_grad=True)

    def losses(index: torch.Tensor) -> torch.Tensor:
        wide = weight * torch.ones(len(index), 32 * 2**20, device="cuda")  # 128 MB an example, kept for the way back
        return wide.square().mean(1)

    cap_memory(1.0)
    small = MicroBatches(8)
    loss = small.accumulate(losses, torch.arange(8), [weight])
    assert 1 <= small.size < 8
    assert 1 <= small.halvings
    assert loss == pytest.approx(1.0)
    assert weight.grad is not None
    assert weight.grad.item() == pytest.approx(2.0)


def test_lora_on_the_card_scores_as_on_the_cpu() -> None:
    config = MomentLoraConfig(epochs=2, rank=4)
    support, reference = small_windows.support(), small_windows.reference()
    scores = [
        MomentLora(config, resources).fit(support, reference).score(support.unlabelled())
        for resources in (TrialResources(), TrialResources(device="cuda", gpu_memory_gb=CAP_GB))
    ]
    np.testing.assert_allclose(scores[1], scores[0], rtol=1e-2, atol=1e-2)
