"""Make the bundled tiny MOMENT: `python -m trainables.pretrain`.

At this stage the weights are random: the folder shows shape, files and card, and every detector runs on it,
but nothing was learned. Real pretraining replaces `tiny_state` and the card's text, nothing else.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.backbones import CONFIG_FILE, POSITIONS, VOCABULARY, WEIGHTS_FILE, WEIGHTS_FOLDER

if TYPE_CHECKING:
    from torch import Tensor

SEED = 13
"""Of the random weights; MOMENT's own pretraining seed."""

TINY: Mapping[str, object] = {
    "task_name": "reconstruction",
    "model_name": "MOMENT-tiny",
    "transformer_type": "encoder_only",
    "transformer_backbone": "google/flan-t5-small",
    "seq_len": 512,
    "patch_len": 8,
    "patch_stride_len": 8,
    "d_model": 96,
    "revin_affine": False,
    "untrained": True,
    "t5_config": {
        "d_model": 96,
        "d_kv": 32,
        "d_ff": 256,
        "num_heads": 3,
        "num_layers": 4,
        "vocab_size": 1,
        "feed_forward_proj": "gated-gelu",
        "dense_act_fn": "gelu_new",
        "is_gated_act": True,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 128,
        "dropout_rate": 0.1,
        "layer_norm_epsilon": 1e-6,
        "initializer_factor": 1.0,
        "model_type": "t5",
        "is_encoder_decoder": True,
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
        "eos_token_id": 0,
    },
}
"""MOMENT's published fields at a fiftieth of the size of MOMENT-1-small's encoder."""

CARD = """# MOMENT-tiny: UNTRAINED

**These weights are random. Nothing was pretrained.** Results with them say what the detectors around the
backbone do, not what a foundation model knows, and must never be called results of MOMENT.

| | |
|---|---|
| architecture | momentfm's MOMENT: width 96, 4 layers, 3 heads of 32, feed-forward 256, patch 8, up to 512 steps |
| parameters | {parameters:,} |
| training data, steps | none, 0 |
| seed | {seed} |
| precision | fp32 |
| sha256 of model.safetensors | {digest} |
| made by | `python -m trainables.pretrain` |

The files are in the layout of the hub's AutonLab/MOMENT-1 folders. The unused vocabulary and the sinusoidal
positions, which are computed, are left out.
"""


def tiny_state(seed: int) -> "dict[str, Tensor]":
    """Return the tensors of a tiny MOMENT with random weights; the same for the same seed."""
    import torch  # noqa: PLC0415  (a command, not a library: torch only when it runs)

    from trainables._moment import build  # noqa: PLC0415

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = build(TINY)
    state = module.state_dict()
    return {key: tensor.contiguous() for key, tensor in sorted(state.items()) if key not in {VOCABULARY, POSITIONS}}


def write(folder: Path, seed: int = SEED) -> Path:
    """Write config.json, model.safetensors and the card to a folder; return the weights file."""
    from safetensors.torch import save_file  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    state = tiny_state(seed)
    weights = folder / WEIGHTS_FILE
    save_file(state, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # save_file makes it private
    (folder / CONFIG_FILE).write_text(json.dumps(TINY, indent=2) + "\n", encoding="utf-8")
    card = CARD.format(
        parameters=sum(tensor.numel() for tensor in state.values()),
        seed=seed,
        digest=hashlib.sha256(weights.read_bytes()).hexdigest(),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    return weights


def main() -> None:
    """Write the bundled backbone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=WEIGHTS_FOLDER, help="folder to write (default: the bundled one)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the random weights")
    arguments = parser.parse_args()
    write(arguments.output, arguments.seed)


if __name__ == "__main__":
    main()
