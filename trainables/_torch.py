"""Shared torch work: seeding, threads, device, memory cap and the one training loop.

Detectors call this; nothing inherits from it. Nothing here changes global state for longer than a `with` block.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from trainables import stopwatch
from trainables._memory import MicroBatches
from trainables.errors import NonFiniteError, UntrainedError
from trainables.memory_caps import gpu_cap
from trainables.protocol import TrialResources

Precision = Literal["fp32", "bf16"]
"""What is computed in; settings also know `auto`."""

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
    torch.cuda.set_per_process_memory_fraction(min(1.0, gpu_cap(cap_gb).allocator_gb / total_gb))


def resolved_precision(wanted: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """Return what `auto` means here: bf16 where the card or the processor has instructions for it, else fp32."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    abilities = torch.cpu.get_capabilities()  # avx512_bf16, amx_bf16; on ARM: bf16
    return "bf16" if any(name.endswith("bf16") and has for name, has in abilities.items()) else "fp32"


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


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """When to stop: the parameters with the lowest loss on held-out examples are kept, those before training too.

    Attributes
    ----------
    loss
        Of the held-out examples, from the parameters as they are.
    every
        Steps between two looks.
    patience
        Looks without a new lowest loss after which training ends.
    """

    loss: Callable[[], float]
    every: int
    patience: int


def train(
    parameters: Mapping[str, Tensor],
    losses: Callable[[Tensor], Tensor],
    count: int,
    schedule: Schedule,
    *,
    seed: int,
    penalty: Callable[[], Tensor] | None = None,
    late: Collection[str] = (),
    occasional: Collection[str] = (),
    stopping: EarlyStopping | None = None,
    micro_batches: MicroBatches | None = None,
) -> int:
    """Minimise the mean loss of `count` examples; return the number of steps whose result was kept.

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
    occasional
        Names whose gradient is zero wherever a batch says nothing of them (fault types, without a fault).
    stopping
        Ends training early; None takes all steps and keeps the last.
    micro_batches
        How a step is divided when memory is short, noted there; None starts from the schedule's.

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
    batches: Sequence[Tensor] = torch.split(example_order(count, schedule.passes, seed), schedule.batch)
    rate = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate_factor(step, len(batches)))
    waiting = set(parameters) - set(occasional)
    memory = MicroBatches(schedule.micro_batch) if micro_batches is None else micro_batches
    watch = stopwatch.current()
    if watch is not None:
        batches, stopping = _watch(watch, batches, schedule, stopping)
    best = None if stopping is None else _Best(parameters, stopping)
    for step, batch in enumerate(batches):
        with nullcontext() if watch is None else watch.timed(watch.steps):
            optimiser.zero_grad(set_to_none=True)
            where = f"at step {step + 1} of {len(batches)}"
            total = memory.accumulate(losses, batch, parameters.values())
            if penalty is not None:
                extra = penalty()
                extra.backward()  # type: ignore[no-untyped-call]
                total += extra.item()
            if not math.isfinite(total):
                raise NonFiniteError(f"loss is {total} {where}")
            waiting = _still_without_gradient(parameters, waiting, step, late)
            norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), schedule.clip).item()
            if not math.isfinite(norm):
                raise NonFiniteError(f"the gradient's norm is {norm} {where}")
            optimiser.step()
            rate.step()
        if best is not None and best.ends(step + 1, last=step + 1 == len(batches)):
            break
    return len(batches) if best is None else best.restore()


def _watch(
    watch: stopwatch.Stopwatch, batches: Sequence[Tensor], schedule: Schedule, stopping: EarlyStopping | None
) -> tuple[Sequence[Tensor], EarlyStopping | None]:
    """Tell a stopwatch what the schedule is; return as many batches as it wants to see, and stopping with its looks."""
    watch.passes, watch.batch = schedule.passes, schedule.batch
    if stopping is None:
        return batches[: watch.most_steps], None
    watch.most_looks = 1 + -(-len(batches) // stopping.every)
    loss = stopping.loss

    def look() -> float:
        with watch.timed(watch.looks):
            return loss()

    return batches[: watch.most_steps], replace(stopping, loss=look)


class _Best:
    """The parameters with the lowest held-out loss so far."""

    def __init__(self, parameters: Mapping[str, Tensor], stopping: EarlyStopping) -> None:
        self._parameters = parameters
        self._stopping = stopping
        self._without_gain = 0
        self._keep(0, self._loss(0))

    def ends(self, step: int, *, last: bool) -> bool:
        """Look at the held-out loss if it is time to; return True if training should end."""
        if step % self._stopping.every and not last:
            return False
        loss = self._loss(step)
        if loss < self._lowest:
            self._keep(step, loss)
            self._without_gain = 0
        else:
            self._without_gain += 1
        return self._without_gain >= self._stopping.patience

    def restore(self) -> int:
        """Put the best parameters back; return the step they are of."""
        with torch.no_grad():
            for name, tensor in self._parameters.items():
                tensor.copy_(self._values[name])
        return self._step

    def _keep(self, step: int, loss: float) -> None:
        self._step, self._lowest = step, loss
        self._values = {name: tensor.detach().clone() for name, tensor in self._parameters.items()}

    def _loss(self, step: int) -> float:
        loss = self._stopping.loss()
        if not math.isfinite(loss):
            raise NonFiniteError(f"the held-out loss is {loss} after step {step}")
        return loss


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
