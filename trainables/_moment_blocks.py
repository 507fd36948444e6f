"""The arithmetic of MOMENT's encoder blocks on momentfm's own weights, with fused kernels.

RMS norm, tanh-GELU and scaled-dot-product attention are torch's; weights and what they mean are transformers' T5's.
What a pass needs is looked up once, because a pass of few channels is short.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (the name everybody uses)
from torch import Tensor

MATRICES = ("q", "k", "v", "o", "wi_0", "wi_1", "wo")


@dataclass(slots=True, eq=False)
class Matrix:
    """A weight [out, in], and the PEFT layer round it whose branch is added as long as it is trained."""

    weight: Tensor
    adapter: Any = None

    def __call__(self, x: Tensor) -> Tensor:
        """Multiply states [..., in]: [..., out], without PEFT's bookkeeping."""
        if self.adapter is None:
            return F.linear(x, self.weight)
        layer = self.adapter
        down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        branch = F.linear(F.linear(layer.lora_dropout["default"](x), down), up)
        adapted: Tensor = F.linear(x, self.weight) + branch * layer.scaling["default"]
        return adapted


@dataclass(slots=True, eq=False)
class Block:
    """One T5 encoder block: a matrix for each of `MATRICES`, and the norms before attention and gated layer."""

    q: Matrix
    k: Matrix
    v: Matrix
    o: Matrix
    wi_0: Matrix
    wi_1: Matrix
    wo: Matrix
    norm: Any
    gated_norm: Any

    def __call__(self, states: Tensor, bias: Tensor, heads: int) -> Tensor:
        """Pass states [S, P, d]; as many last patches come out as the bias [1, heads, queries, P] has rows."""
        queries = bias.shape[2]
        normed = rms_norm(states, self.norm)
        wanted = states if queries == states.shape[1] else states[:, -queries:]
        query = _split(self.q(normed if wanted is states else normed[:, -queries:]), heads)
        key, value = _split(self.k(normed), heads), _split(self.v(normed), heads)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias.to(query.dtype), scale=1.0)
        wanted = wanted + self.o(mixed.transpose(1, 2).flatten(2))
        normed = rms_norm(wanted, self.gated_norm)
        gate = F.gelu(self.wi_0(normed), approximate="tanh")
        return wanted + self.wo(gate * self.wi_1(normed))  # [S, queries, d]


def blocks_of(encoder: Any) -> list[Block]:
    """Return the blocks of a T5 encoder, with the adapters that PEFT has put into it."""
    return [_block(block.layer[0], block.layer[1]) for block in encoder.block]


@torch.no_grad()
def merge(blocks: list[Block]) -> None:
    """Add the adapters to copies of their weights: W + scale B A. Passes are then as fast as without adapters."""
    for block in blocks:
        for matrix in (getattr(block, name) for name in MATRICES):
            layer, matrix.adapter = matrix.adapter, None
            if layer is not None:
                up, down = layer.lora_B["default"].weight, layer.lora_A["default"].weight
                matrix.weight = matrix.weight + layer.scaling["default"] * (up @ down)


def rms_norm(x: Tensor, norm: Any) -> Tensor:
    """Divide by the root mean square over the last dimension, as T5 does."""
    return F.rms_norm(x, (x.shape[-1],), norm.weight, norm.variance_epsilon)


def _block(attention: Any, gated: Any) -> Block:
    layers = {name: getattr(attention.SelfAttention, name) for name in MATRICES[:4]}
    layers |= {name: getattr(gated.DenseReluDense, name) for name in MATRICES[4:]}
    matrices = {name: _matrix(layer) for name, layer in layers.items()}
    return Block(**matrices, norm=attention.layer_norm, gated_norm=gated.layer_norm)


def _matrix(layer: Any) -> Matrix:
    return Matrix(layer.base_layer.weight, layer) if hasattr(layer, "lora_A") else Matrix(layer.weight)


def _split(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)  # [S, heads, P, d_kv]
