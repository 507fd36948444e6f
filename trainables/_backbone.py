"""What a foundation model must offer to be used by the detectors here."""

from typing import Protocol

from torch import Tensor


class Backbone(Protocol):
    """A frozen encoder of single channels; S sequences of L steps become P states of width d.

    Attributes
    ----------
    width
        d, numbers a patch state has.
    layers
        Number of encoder blocks.
    patch
        Steps a patch has; L must be a multiple of it.
    longest
        Largest L.
    """

    width: int
    layers: int
    patch: int
    longest: int

    def tokens(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """Turn sequences [S, L] into the states [S, P, d] before the first block.

        `hidden` masks patches: bool [P] the same of all sequences, [S, P] of each its own.
        """
        ...

    def run(
        self, states: Tensor, start: int, stop: int, *, last_only: bool = False, save_memory: bool = False
    ) -> Tensor:
        """Pass states [S, P, d] through the blocks start..stop - 1.

        `last_only` gives only the last patch [S, 1, d], computing no more than that needs;
        `save_memory` recomputes activations in the backward pass instead of keeping them.
        """
        ...

    def finish(self, states: Tensor) -> Tensor:
        """Normalise the output of the last block: embeddings [S, P, d]."""
        ...

    def reconstruct(self, embeddings: Tensor) -> Tensor:
        """Turn embeddings [S, P, d] back into sequences [S, P x patch]."""
        ...
