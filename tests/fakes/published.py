"""Folders in the hub's layout: a published configuration with random weights, as large or as small as a test wants."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from trainables import backbones

HUB_NAMES = {size: f"AutonLab/MOMENT-1-{size}" for size in ("small", "base", "large")}


def configuration(size: str, **t5: Any) -> dict[str, Any]:
    """The published config.json of a size; `t5` changes fields of its t5_config (fewer layers)."""
    config: dict[str, Any] = dict(backbones.PUBLISHED[HUB_NAMES[size]])
    return config | {"t5_config": {**config["t5_config"], **t5}}


def tensors(config: Mapping[str, Any], *, vocabulary: bool = True, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random tensors with every name and shape of a configuration, the unused ones included."""
    shapes = backbones.expected_shapes(config)
    width = config["d_model"]
    if vocabulary:
        shapes |= {backbones.VOCABULARY: (config["t5_config"]["vocab_size"], width)}
    shapes |= {backbones.POSITIONS: (1, 5000, width)}
    random = np.random.default_rng(seed)

    def one(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        if name.endswith("layer_norm.weight"):
            return np.ones(shape, dtype=np.float32)
        return random.standard_normal(shape, dtype=np.float32) * np.float32(shape[-1] ** -0.5)

    return {name: one(name, shape) for name, shape in shapes.items()}


def write_folder(
    folder: Path, config: Mapping[str, Any], state: Mapping[str, NDArray[np.float32]] | None = None
) -> Path:
    """Write config.json and model.safetensors."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / backbones.CONFIG_FILE).write_text(json.dumps(config), encoding="utf-8")
    save_file(dict(tensors(config) if state is None else state), folder / backbones.WEIGHTS_FILE)
    return folder
