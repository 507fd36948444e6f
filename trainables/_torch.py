"""Shared torch work: seeding, threads, device, memory cap and the one training loop.

Detectors call this; nothing inherits from it. Nothing here changes global state for longer than a `with` block.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trainables.errors import NonFiniteError, UntrainedError
from trainables.protocol import TrialResources

Precision = Literal["fp32", "bf16"]

CONTEXT_RESERVE_GB = 0.75
"""Memory that CUDA context, kernels and workspaces take beside torch's allocator [order of magnitude; G-A07]."""

WARM_UP_SHARE = 0.1
"""Share of the steps over which the learning rate rises to its value."""


@contextmanager
def torch_session(resources: TrialResources) -> Iterator[torch.device]:
    """Seed torch, set its threads and memory cap, and undo all of it at the end.

    The same seed gives the same numbers in a fresh and in a reused process.
    """
    on_gpu = resources.device == "cuda"
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
        torch.manual_seed(resources.seed)
        torch.set_num_threads(resources.threads)
        if on_gpu and resources.gpu_memory_gb is not None:
            cap_memory(resources.gpu_memory_gb)
        try:
            yield torch.device(resources.device)
        finally:
            torch.set_num_threads(threads)


def cap_memory(cap_gb: float) -> None:
    """Limit torch's allocator to the cap minus a reserve for what lies outside it.

    This is cooperation, not isolation: memory outside the allocator is not limited.
    """
    total_gb = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory / 2**30
    torch.cuda.set_per_process_memory_fraction(min(1.0, allocator_gb(cap_gb) / total_gb))


def allocator_gb(cap_gb: float) -> float:
    """Return the GB of a cap that tensors may fill."""
    return max(cap_gb - CONTEXT_RESERVE_GB, 0.5 * cap_gb)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which bf16 is used where it is safe, or one that does nothing for fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to train.

    Attributes
    ----------
    learning_rate
        Peak of AdamW's rate: linear warm-up, then a cosine to zero.
    passes
        Examples seen in all (epochs x examples, or a cap on it); at least 1.
    batch
        Examples a step; the loss is their mean.
    micro_batch
        Examples a forward pass; gradients add up to the same objective.
    weight_decay
        AdamW's decoupled decay.
    clip
        Largest norm of the whole gradient.
    """

    learning_rate: float
    passes: int
    batch: int
    micro_batch: int
    weight_decay: float = 0.0
    clip: float = 1.0


def train(
    parameters: Mapping[str, Tensor],
    losses: Callable[[Tensor], Tensor],
    count: int,
    schedule: Schedule,
    *,
    seed: int,
    penalty: Callable[[], Tensor] | None = None,
    late: Collection[str] = (),
) -> int:
    """Minimise the mean loss of `count` examples; return the number of steps taken.

    Parameters
    ----------
    parameters
        Trainable tensors by name.
    losses
        Index int64 [B] -> loss of each example [B].
    count
        Number of examples; each is seen once before any is seen twice.
    seed
        Seed of the order.
    penalty
        Added once a step (a regulariser).
    late
        Names that may have a zero gradient at the first step (LoRA's A, while B is zero).

    Raises
    ------
    NonFiniteError
        The loss or the gradient became NaN or infinite.
    UntrainedError
        A tensor received no gradient.
    """
    optimiser = torch.optim.AdamW(
        list(parameters.values()), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    batches = torch.split(example_order(count, schedule.passes, seed), schedule.batch)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate_factor(step, len(batches)))
    waiting = set(parameters)
    for step, batch in enumerate(batches):
        optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for part in torch.split(batch, schedule.micro_batch):
            loss = losses(part).sum() / len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        if penalty is not None:
            extra = penalty()
            extra.backward()  # type: ignore[no-untyped-call]
            total += extra.item()
        if not math.isfinite(total):
            raise NonFiniteError(f"loss is {total} at step {step + 1} of {len(batches)}")
        waiting = _still_without_gradient(parameters, waiting, step, late)
        norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), schedule.clip).item()
        if not math.isfinite(norm):
            raise NonFiniteError(f"the gradient's norm is {norm} at step {step + 1} of {len(batches)}")
        optimiser.step()
        rate.step()
    return len(batches)


def example_order(count: int, passes: int, seed: int) -> Tensor:
    """Return `passes` example numbers, int64: whole permutations of 0..count - 1 one after another, the last cut."""
    generator = torch.Generator().manual_seed(seed)
    rounds = [torch.randperm(count, generator=generator) for _ in range(-(-passes // count))]
    return torch.cat(rounds)[:passes]


def _rate_factor(step: int, steps: int) -> float:
    """Return the share of the peak rate at a step: linear warm-up, then half a cosine to zero."""
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up + 1) / (steps - warm_up + 1)))


def _still_without_gradient(
    parameters: Mapping[str, Tensor], waiting: set[str], step: int, late: Collection[str]
) -> set[str]:
    """Return the names that never had a non-zero gradient; raise once they should have had one."""
    if not waiting:
        return waiting
    absent = [name for name in waiting if parameters[name].grad is None]
    if absent:
        raise UntrainedError(f"no gradient reached {_names(absent)}")
    waiting = {name for name in waiting if not parameters[name].grad.any()}  # type: ignore[union-attr]
    overdue = waiting - set(late) if step == 0 else waiting
    if overdue:
        raise UntrainedError(f"the gradient of {_names(overdue)} is zero after step {step + 1}")
    return waiting


def _names(names: Collection[str], shown: int = 4) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - shown} more" if len(ordered) > shown else ""
    return ", ".join(ordered[:shown]) + more
