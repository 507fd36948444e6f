"""What happens when memory runs out in spite of the estimate: the same step in smaller parts."""

import gc
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from trainables.errors import MemoryCapError, is_out_of_memory


@dataclass(slots=True)
class MicroBatches:
    """How many examples pass at once, for as long as memory lasts.

    Gradients of the parts add up to the gradient of the whole batch, so parts of half the size in twice the number
    change nothing but rounding (and which numbers dropout draws).

    Attributes
    ----------
    size
        Examples at once; halved when memory runs out.
    checkpointing
        Whether activations are computed again on the way back; who computes losses asks for it.
    may_checkpoint
        Whether that can be switched on when a single example does not fit.
    channels
        Channels of a single example that pass at once; halved when checkpointing is not enough. None: all.
    all_channels
        Of an example, where they may pass in parts.
    halvings
        Times that memory ran out.
    """

    size: int
    checkpointing: bool = False
    may_checkpoint: bool = False
    channels: int | None = None
    all_channels: int = 1
    halvings: int = 0

    def accumulate(self, losses: Callable[[Tensor], Tensor], batch: Tensor, parameters: Collection[Tensor]) -> float:
        """Add the gradient of the mean loss of a batch to parameters without one; return the loss.

        Parameters
        ----------
        losses
            Index int64 [B] -> loss of each example [B].
        batch
            Index int64.
        parameters
            What is trained.

        Raises
        ------
        MemoryCapError
            One example does not fit, with checkpointing and one channel at a time where that is possible.
        """
        while True:
            try:
                return self._accumulate(losses, batch)
            except (RuntimeError, MemoryError) as err:
                if not is_out_of_memory(err):
                    raise
                reason = str(err)  # the error itself holds on to the activations
            for parameter in parameters:
                parameter.grad = None
            self._shrink(len(batch), reason)
            release()

    def _accumulate(self, losses: Callable[[Tensor], Tensor], batch: Tensor) -> float:
        total = 0.0
        for part in torch.split(batch, self.size):
            loss = losses(part).sum() / len(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    def _shrink(self, batch: int, reason: str) -> None:
        self.halvings += 1
        tried = min(self.size, batch)
        if tried > 1:
            self.size = (tried + 1) // 2
        elif self.may_checkpoint and not self.checkpointing:
            self.checkpointing = True
        elif self.checkpointing and (self.channels or self.all_channels) > 1:
            self.channels = ((self.channels or self.all_channels) + 1) // 2
        else:
            with_checkpointing = " with gradient checkpointing" if self.checkpointing else ""
            raise MemoryCapError(f"a single window does not fit{with_checkpointing}: {reason}")

    def through(self, blocks: Callable[..., Tensor], states: Tensor, most: int) -> Tensor:
        """Pass states [S, ...] of channel-windows through blocks.

        Parameters
        ----------
        blocks
            Takes states, and `save_memory`: whether each block keeps its input alone for the way back.
        states
            Of all channels of one or more examples.
        most
            Channel-windows that pass at once where no gradient is needed.
        """
        if not torch.is_grad_enabled():
            return in_slices(blocks, states, most)
        if self.channels is None:
            return blocks(states, save_memory=self.checkpointing)
        parts = torch.split(states, self.channels)
        return torch.cat([checkpoint(blocks, part, use_reentrant=False) for part in parts])


def in_slices(function: Callable[[Tensor], Tensor], values: Tensor, most: int) -> Tensor:
    """Apply a function to values [S, ...], in slices of equal size and at most `most`, fewer when memory runs out.

    Raises
    ------
    MemoryCapError
        Not even one fits.
    """
    if not len(values):
        return function(values)
    size = slice_size(len(values), most)
    return in_parts(lambda index: function(values[int(index[0]) : int(index[-1]) + 1]), len(values), size)


def slice_size(count: int, most: int) -> int:
    """Return the size of slices of `count` values that are as equal as can be and at most `most`."""
    return math.ceil(count / math.ceil(count / most))


def in_parts(function: Callable[[Tensor], Tensor], count: int, size: int) -> Tensor:
    """Apply a function of an index int64 [n] to 0..count - 1, `size` at once and fewer when memory runs out.

    Raises
    ------
    MemoryCapError
        Not even one fits.
    """
    if not count:
        return function(torch.arange(0))
    results: list[Tensor] = []
    start = 0
    while start < count:
        index = torch.arange(start, min(start + size, count))
        try:
            results.append(function(index))
        except (RuntimeError, MemoryError) as err:
            if not is_out_of_memory(err):
                raise
            reason = str(err)
        else:
            start += len(index)
            continue
        if len(index) == 1:
            raise MemoryCapError(f"a single window does not fit: {reason}")
        size = (len(index) + 1) // 2
        release()
    return torch.cat(results)


def release() -> None:
    """Give cached memory back, so that what is free can be used in other sizes."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
