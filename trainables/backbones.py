"""Backbone names, where their weights lie, and whether they are complete. Free of torch.

A name is `bundled`, a hub id of a published MOMENT, or a local folder in the hub's layout.
The driver calls `resolve` once and hands workers the folder; nothing falls back from one name to another.
"""

import json
from collections.abc import Mapping
from importlib import metadata
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import cast

from safetensors import SafetensorError, safe_open

from trainables.errors import MissingPackageError, WeightsError
from trainables.paths import expanded

BUNDLED = "bundled"
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
WEIGHTS_FOLDER = Path(__file__).parent / "weights"
VOCABULARY = "encoder.embed_tokens.weight"
"""MOMENT's encoder carries T5's word embedding and never uses it."""
POSITIONS = "patch_embedding.position_embedding.pe"
"""Sinusoids, recomputed from the configuration."""
MOMENTFM_VERSION = "0.1.4"

Shapes = dict[str, tuple[int, ...]]


def _published(d_model: int, d_ff: int, heads: int, layers: int, t5: str) -> Mapping[str, object]:
    return MappingProxyType(
        {
            "seq_len": 512,
            "patch_len": 8,
            "patch_stride_len": 8,
            "transformer_type": "encoder_only",
            "transformer_backbone": f"google/flan-t5-{t5}",
            "d_model": d_model,
            "t5_config": {
                "d_model": d_model,
                "d_ff": d_ff,
                "d_kv": 64,
                "num_heads": heads,
                "num_layers": layers,
                "feed_forward_proj": "gated-gelu",
                "relative_attention_num_buckets": 32,
                "relative_attention_max_distance": 128,
                "layer_norm_epsilon": 1e-6,
                "dropout_rate": 0.1,
                "vocab_size": 32128,
            },
        }
    )


PUBLISHED: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "AutonLab/MOMENT-1-small": _published(512, 1024, 6, 8, "small"),
        "AutonLab/MOMENT-1-base": _published(768, 2048, 12, 12, "base"),
        "AutonLab/MOMENT-1-large": _published(1024, 2816, 16, 24, "large"),
    }
)
"""Published configurations, so that a plan needs no download."""


def find(name: str) -> Path | None:
    """Return the folder of a backbone if it is on this machine: bundled, local, or in the hub cache. Asks no hub."""
    if name == BUNDLED:
        return WEIGHTS_FOLDER
    if name in PUBLISHED:
        return _from_cache(name)
    folder = expanded(name)
    return folder if folder.is_dir() else None


def download_bytes(name: str) -> int:
    """Return the size of a published backbone's weights, the unused vocabulary included."""
    config = PUBLISHED[name]
    t5 = cast("Mapping[str, int]", config["t5_config"])
    numbers = sum(prod(shape) for shape in expected_shapes(config).values())
    return 4 * (numbers + t5["vocab_size"] * t5["d_model"])


def resolve(name: str) -> Path:
    """Return the folder that holds a backbone's config.json and model.safetensors, checked.

    Raises
    ------
    WeightsError
        Unknown name, files missing or incomplete, tensors missing or of the wrong shape, a pickle, no network.
    """
    if name == BUNDLED:
        folder = WEIGHTS_FOLDER
    elif name in PUBLISHED:
        folder = _from_hub(name)
    else:
        folder = expanded(name)
        if not folder.is_dir():
            known = ", ".join((BUNDLED, *PUBLISHED))
            raise WeightsError(f"backbone {name!r} is neither a folder nor a known name; known: {known}")
    check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Check that a folder holds a complete MOMENT: every tensor of the configuration, in its shape.

    Raises
    ------
    WeightsError
        As `resolve`.
    """
    config = read_config(folder)
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        pickles = sorted(
            path.name for path in folder.glob("*") if path.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
        )
        found = f"; {', '.join(pickles)} may run code when loaded and is refused" if pickles else ""
        raise WeightsError(f"{folder} has no {WEIGHTS_FILE}{found}")
    expected, found_shapes = expected_shapes(config), _stored_shapes(weights)
    missing = sorted(set(expected) - set(found_shapes))
    if missing:
        raise WeightsError(f"{weights} lacks {len(missing)} of {len(expected)} tensors: {_some(missing)}")
    foreign = sorted(set(found_shapes) - set(expected) - {VOCABULARY, POSITIONS})
    if foreign:
        raise WeightsError(
            f"{weights} holds {len(foreign)} tensors that its configuration does not know: {_some(foreign)}"
        )
    wrong = [f"{key} {found_shapes[key]}, not {shape}" for key, shape in expected.items() if found_shapes[key] != shape]
    if wrong:
        raise WeightsError(f"{weights} does not fit its {CONFIG_FILE}: {_some(wrong)}")


def read_config(folder: Path) -> dict[str, object]:
    """Read config.json of a backbone folder.

    Raises
    ------
    WeightsError
        Missing, not JSON, or without the fields that MOMENT needs.
    """
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise WeightsError(f"{folder} has no {CONFIG_FILE}") from err
    except (OSError, ValueError) as err:
        raise WeightsError(f"{path} cannot be read as JSON: {err}") from err
    needed = ("seq_len", "patch_len", "d_model", "t5_config")
    missing = [key for key in needed if not isinstance(config, dict) or key not in config]
    if missing:
        raise WeightsError(f"{path} is not a MOMENT configuration: it lacks {', '.join(missing)}")
    return dict(config)


def expected_shapes(config: Mapping[str, object]) -> Shapes:
    """Return the shape of every tensor that a MOMENT of this configuration must have.

    Raises
    ------
    WeightsError
        The configuration lacks a number that fixes a shape.
    """
    t5 = config["t5_config"]
    if not isinstance(t5, Mapping):
        raise WeightsError(f"t5_config must be a mapping, got {type(t5).__name__}")
    try:
        d, ff, heads, layers = (int(t5[key]) for key in ("d_model", "d_ff", "num_heads", "num_layers"))
        inner, buckets = int(t5["d_kv"]) * heads, int(t5.get("relative_attention_num_buckets", 32))
        patch = int(str(config["patch_len"]))
    except (KeyError, TypeError, ValueError) as err:
        raise WeightsError(f"not a MOMENT configuration: {type(err).__name__} {err}") from err
    shapes: Shapes = {
        "patch_embedding.mask_embedding": (d,),
        "patch_embedding.value_embedding.weight": (d, patch),
        "encoder.final_layer_norm.weight": (d,),
        "head.linear.weight": (patch, d),
        "head.linear.bias": (patch,),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (buckets, heads),
    }
    for layer in range(layers):
        block = f"encoder.block.{layer}.layer"
        shapes |= {f"{block}.0.SelfAttention.{part}.weight": (inner, d) for part in "qkv"}
        shapes |= {
            f"{block}.0.SelfAttention.o.weight": (d, inner),
            f"{block}.0.layer_norm.weight": (d,),
            f"{block}.1.DenseReluDense.wi_0.weight": (ff, d),
            f"{block}.1.DenseReluDense.wi_1.weight": (ff, d),
            f"{block}.1.DenseReluDense.wo.weight": (d, ff),
            f"{block}.1.layer_norm.weight": (d,),
        }
    return shapes


def check_packages() -> None:
    """Check that the packages MOMENT needs are installed, without importing them.

    Raises
    ------
    MissingPackageError
        One is missing, or momentfm is too old; the message names the command that mends it.
    """
    mend = f"pip install --no-deps momentfm=={MOMENTFM_VERSION}"
    try:
        found = metadata.version("momentfm")
    except metadata.PackageNotFoundError as err:
        raise MissingPackageError(f"the MOMENT detectors need momentfm; run: {mend}") from err
    if _numbers(found) < _numbers(MOMENTFM_VERSION):
        raise MissingPackageError(f"momentfm {found} is too old, {MOMENTFM_VERSION} is needed; run: {mend}")
    for package in ("torch", "transformers", "peft", "safetensors", "huggingface_hub"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError as err:
            raise MissingPackageError(f"the MOMENT detectors need {package}; run: pip install {package}") from err


def _from_hub(name: str) -> Path:
    """Return the snapshot folder of a published backbone, from the cache if it is there."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (slow to import, needed for hub names only)

    cached = _from_cache(name)
    if cached is not None:
        return cached
    try:
        folder = Path(snapshot_download(name, allow_patterns=[CONFIG_FILE, WEIGHTS_FILE]))
    except (OSError, ValueError) as err:
        detail = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
        raise WeightsError(
            f"{name} is not in the hub cache and cannot be fetched ({detail}); "
            f"without network give a folder with {CONFIG_FILE} and {WEIGHTS_FILE} as backbone"
        ) from err
    missing = [file for file in (CONFIG_FILE, WEIGHTS_FILE) if not (folder / file).exists()]
    if missing:  # without network the hub's client is content with a download that was broken off
        raise WeightsError(
            f"{name} is in the hub cache only in part and cannot be fetched: {folder} has no {', '.join(missing)}; "
            "start again with a network, which goes on with the download"
        )
    return folder


def _from_cache(name: str) -> Path | None:
    """Return the snapshot folder of a published backbone if the hub cache holds all of it."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.errors import LocalEntryNotFoundError  # noqa: PLC0415

    wanted = [CONFIG_FILE, WEIGHTS_FILE]
    try:
        folder = Path(snapshot_download(name, allow_patterns=wanted, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if all((folder / file).exists() for file in wanted) else None


def _stored_shapes(weights: Path) -> Shapes:
    try:
        with safe_open(weights, framework="numpy") as stored:
            return {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as err:
        raise WeightsError(f"{weights} is not a readable safetensors file (cut short?): {err}") from err


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


def _some(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
