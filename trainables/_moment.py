"""MOMENT as a backbone: momentfm's own weights and layers, computed at the window's own length.

A window of L < 512 steps is left-padded to 512 by momentfm and the padding masked out of attention. Attention
then sees the observed patches only, relative positions do not change, and the absolute position of patch p is
p + (512 - L) / 8. So the same numbers come from the L / 8 patches alone with shifted positions, at a fraction of
the cost. The layers' arithmetic is in `_moment_blocks`; weights, their names and what they mean are momentfm's and
transformers' own.

References
----------
Goswami et al., "MOMENT: a family of open time-series foundation models", ICML 2024; momentfm 0.1.4.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (the name everybody uses)
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainables import backbones
from trainables._moment_blocks import blocks_of, merge, rms_norm
from trainables.errors import MissingPackageError, WeightsError

REVIN_EPS = 1e-5
"""Added to the standard deviation by momentfm's RevIN."""

ALIGNMENT = 64
"""Bytes: where torch lets its own tensors start."""

COPIED_BYTES = 2**20
"""Tensors below this size may be copied: all of the bundled backbone, no large one of a published model."""


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """Low-rank adapters W + scale B A on some matrices of the last layers.

    Attributes
    ----------
    rank, alpha, dropout
        As in PEFT.
    targets
        Of "q", "k", "v", "o" in attention and "wi_0", "wi_1", "wo" in the gated layer.
    first_layer
        Blocks from this one on are adapted.
    rank_stabilised
        scale = alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023, arXiv 2312.03732).
    """

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    first_layer: int
    rank_stabilised: bool = False

    @property
    def scale(self) -> float:
        """What B A is multiplied with."""
        return self.alpha / (self.rank**0.5 if self.rank_stabilised else self.rank)


class MomentBackbone:
    """A MOMENT whose blocks can be run one by one; fulfils `_backbone.Backbone`.

    Parameters
    ----------
    module
        momentfm's MOMENT, in eval mode and frozen.
    config
        Its config.json.
    """

    def __init__(self, module: nn.Module, config: Mapping[str, Any]) -> None:
        t5 = config["t5_config"]
        self.module = module
        self.config = config
        self.width = int(t5["d_model"])
        self.layers = int(t5["num_layers"])
        self.patch = int(config["patch_len"])
        self.longest = int(config["seq_len"])
        self._heads = int(t5["num_heads"])
        self._blocks = blocks_of(self._part("encoder"))
        self._bias: dict[int, Tensor] = {}

    def tokens(self, x: Tensor, hidden: Tensor | None = None) -> Tensor:
        """As `Backbone.tokens`: patches, embedded, at the positions of a left-padded window."""
        embedding = self._part("patch_embedding")
        states = F.linear(x.unfold(-1, self.patch, self.patch), embedding.value_embedding.weight)  # [S, P, d]
        if hidden is not None:
            states = torch.where(hidden[..., None], embedding.mask_embedding, states)
        first = (self.longest - x.shape[-1]) // self.patch
        positions: Tensor = embedding.position_embedding.pe[:, first : self.longest // self.patch]
        return states + positions

    def run(
        self, states: Tensor, start: int, stop: int, *, last_only: bool = False, save_memory: bool = False
    ) -> Tensor:
        """As `Backbone.run`."""
        patches = states.shape[1]
        bias = self._relative_bias(patches)
        for number in range(start, stop):
            queries = 1 if last_only and number == self.layers - 1 else patches
            arguments = (states, bias[:, :, -queries:], self._heads)
            if save_memory and torch.is_grad_enabled():
                states = checkpoint(self._blocks[number], *arguments, use_reentrant=False)
            else:
                states = self._blocks[number](*arguments)
        return states[:, -1:] if last_only else states

    def finish(self, states: Tensor) -> Tensor:
        """As `Backbone.finish`."""
        return rms_norm(states, self._part("encoder").final_layer_norm)

    def reconstruct(self, embeddings: Tensor) -> Tensor:
        """As `Backbone.reconstruct`."""
        head = self._part("head").linear
        return F.linear(embeddings, head.weight, head.bias).flatten(start_dim=1)  # [S, P x patch]

    def add_lora(self, settings: LoraSettings) -> dict[str, Tensor]:
        """Put PEFT's LoRA layers in place and return their tensors by name, in PEFT's naming."""
        from peft import LoraConfig, get_peft_model  # noqa: PLC0415  (seconds to import, only adapters need it)

        layers = "|".join(str(number) for number in range(settings.first_layer, self.layers))
        lora = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=rf"encoder\.block\.({layers})\.layer\.\d\.\w+\.({'|'.join(settings.targets)})",
            use_rslora=settings.rank_stabilised,
            bias="none",
        )
        self.adopt(get_peft_model(self.module, lora))
        return {name: tensor for name, tensor in self.adapted.named_parameters() if tensor.requires_grad}

    def adopt(self, adapted: Any) -> None:
        """Take the adapters that PEFT has put into the module."""
        self.adapted = adapted
        self._blocks = blocks_of(self._part("encoder"))

    def merge(self) -> None:
        """Compute with adapters added to their weights from now on; module and adapters stay as they are."""
        merge(self._blocks)

    def _relative_bias(self, patches: int) -> Tensor:
        """Return the bias of attention by distance [1, heads, P, P]; computed once where it is frozen."""
        attention = self._part("encoder").block[0].layer[0].SelfAttention
        if attention.relative_attention_bias.weight.requires_grad:
            trained: Tensor = attention.compute_bias(patches, patches)
            return trained
        if patches not in self._bias:
            with torch.no_grad():
                self._bias[patches] = attention.compute_bias(patches, patches)
        return self._bias[patches]

    def _part(self, name: str) -> Any:
        return getattr(self.module, name)


def load(folder: Path, device: torch.device, *, random_seed: int | None = None) -> MomentBackbone:
    """Build the MOMENT of a folder, frozen, in eval mode and in fp32.

    On a CPU the weights stay in the file and are mapped into memory: processes of a machine share one copy,
    and what is never read, like the vocabulary, takes none. Weights stored in another type are converted and
    then belong to the process.

    Parameters
    ----------
    folder
        As `backbones.resolve` gives it.
    device
        Where to put it.
    random_seed
        Draw the weights at random with this seed instead of reading them (the control for pretraining).

    Raises
    ------
    WeightsError
        The folder is incomplete or does not fit its configuration.
    MissingPackageError
        momentfm cannot be imported.
    """
    config = backbones.read_config(folder)
    if random_seed is None:
        backbones.check_folder(folder)
        module = _filled(config, _stored(folder / backbones.WEIGHTS_FILE))
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(random_seed)
            module = build(config)
    module.requires_grad_(requires_grad=False)
    return MomentBackbone(module.eval().to(device), config)


def twin(backbone: MomentBackbone) -> MomentBackbone:
    """Return a second MOMENT on the very same weights, which adapters can be added to without a second copy.

    The weights must stay as they are in both: who merges adapters into them needs a backbone of its own.
    """
    module = _filled(backbone.config, backbone.module.state_dict())
    module.requires_grad_(requires_grad=False)
    return MomentBackbone(module.eval(), backbone.config)


def build(config: Mapping[str, Any]) -> nn.Module:
    """Build momentfm's MOMENT with random weights and without the unused vocabulary.

    Raises
    ------
    MissingPackageError
        momentfm, transformers or peft is missing or too old.
    WeightsError
        Not an encoder with gated feed-forward layers.
    """
    backbones.check_packages()
    try:
        from momentfm.models.moment import MOMENT  # noqa: PLC0415  (seconds to import)
        from momentfm.utils.utils import NamespaceWithDefaults  # noqa: PLC0415
    except ImportError as err:
        mend = f"pip install --no-deps momentfm=={backbones.MOMENTFM_VERSION}"
        raise MissingPackageError(f"momentfm cannot be imported ({err}); run: {mend}") from err
    if config.get("transformer_type", "encoder_only") != "encoder_only":
        raise WeightsError(f"transformer_type must be encoder_only, got {config['transformer_type']!r}")
    fields = dict(config)
    fields.pop("task_name", None)
    namespace = NamespaceWithDefaults(
        **fields | {"t5_config": dict(config["t5_config"]) | {"vocab_size": 1, "eos_token_id": 0}},
        task_name="reconstruction",
        enable_gradient_checkpointing=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=UserWarning)
        module: nn.Module = MOMENT(namespace)
    return module


def window_normalised(x: Tensor) -> Tensor:
    """Return sequences [S, L] with mean 0 and standard deviation 1 each, as momentfm's RevIN does."""
    mean, deviation = window_scale(x)
    return (x - mean) / deviation


def window_scale(visible: Tensor) -> tuple[Tensor, Tensor]:
    """Return RevIN's mean and deviation [S, 1] of the visible steps [S, L'] of sequences."""
    return visible.mean(-1, keepdim=True), visible.std(-1, keepdim=True, unbiased=False) + REVIN_EPS


def _stored(weights: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file  # noqa: PLC0415

    unused = {backbones.VOCABULARY, backbones.POSITIONS}
    return {key: _aligned(tensor.float()) for key, tensor in load_file(weights).items() if key not in unused}


def _aligned(tensor: Tensor) -> Tensor:
    """Return a tensor that starts where torch's own would: the last bits of a product depend on it.

    A file starts its tensors anywhere. Large ones stay mapped, so that processes share them; their products are the
    same in every process that maps the file, but may differ in the last bits from those of a pickled copy.
    """
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT and tensor.nbytes < COPIED_BYTES else tensor


def _filled(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> nn.Module:
    """Build a MOMENT around tensors that exist: no random weights are drawn first, nothing is copied."""
    with torch.device("meta"):
        module: Any = build(config)
    positions = module.patch_embedding.position_embedding
    _, longest, width = positions.pe.shape
    computed = {backbones.VOCABULARY: torch.zeros(1, width), backbones.POSITIONS: type(positions)(width, longest).pe}
    module.load_state_dict(computed | dict(state), assign=True)
    filled: nn.Module = module
    return filled


def adapted_from(adapted_layers: int | str, backbone: MomentBackbone) -> int:
    """Return the first adapted block."""
    return 0 if isinstance(adapted_layers, str) else backbone.layers - adapted_layers
