"""What pretraining leaves behind: a folder in the hub's layout, and the model card made from its files."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from trainables.backbones import CONFIG_FILE, POSITIONS, VOCABULARY, WEIGHTS_FILE
from trainables.errors import WeightsError
from trainables.pretraining.corpus import SHARES
from trainables.pretraining.gate import RIVALS, SEEDS, WINDOWS, passed
from trainables.pretraining.loop import CURVE_FILE, RECIPE_FILE

CARD_FILE = "README.md"
GATE_FILE = "gate.csv"
WAYS = ("visible mean", *RIVALS, "pretrained")

TEMPLATE = Path(__file__).parent / "card.md"

WHITE = (
    "In {count} of the {rows} rows the visible mean is lower than the pretrained weights: hidden steps there have "
    "little to do with visible ones, and guessing the mean is right ({names})."
)
NO_GATE = "Not measured yet: `python -m trainables.pretrain --gate FOLDER` measures and writes it here."


def write_weights(folder: Path, config: Mapping[str, object], module: nn.Module) -> Path:
    """Write config.json and model.safetensors; return the weights file."""
    state = module.state_dict()
    kept = {key: tensor.contiguous() for key, tensor in sorted(state.items()) if key not in {VOCABULARY, POSITIONS}}
    weights = folder / WEIGHTS_FILE
    save_file(kept, weights, metadata={"format": "pt"})
    weights.chmod(0o644)  # save_file makes it private
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return weights


def write_card(folder: Path) -> Path:
    """Write the model card from the folder's own files; return it."""
    card = folder / CARD_FILE
    card.write_text(make_card(folder), encoding="utf-8")
    return card


def make_card(folder: Path) -> str:
    """Return the model card of a pretrained folder.

    Raises
    ------
    WeightsError
        A file that pretraining writes is missing.
    """
    for name in (CONFIG_FILE, WEIGHTS_FILE, RECIPE_FILE, CURVE_FILE):
        if not (folder / name).exists():
            raise WeightsError(f"{folder} has no {name}; python -m trainables.pretrain writes it")
    t5 = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["t5_config"]
    recipe = json.loads((folder / RECIPE_FILE).read_text(encoding="utf-8"))
    curve = pd.read_csv(folder / CURVE_FILE)
    first, last = curve.iloc[0], curve.iloc[-1]
    gate = folder / GATE_FILE
    return TEMPLATE.read_text(encoding="utf-8").format(
        **{key: t5[key] for key in ("d_kv", "d_ff")},
        **recipe | {"steps": int(last["step"])},
        **SHARES,
        width=t5["d_model"],
        layers=t5["num_layers"],
        heads=t5["num_heads"],
        parameters=_parameters(folder / WEIGHTS_FILE),
        windows=int(last["windows"]),
        every=int(first["step"]),
        first_loss=first["loss"],
        last_loss=last["loss"],
        first_error=first["held_out_error"],
        last_error=last["held_out_error"],
        digest=hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest(),
        seeds=len(SEEDS),
        count=WINDOWS,
        gate=gate_table(pd.read_csv(gate)) if gate.exists() else NO_GATE,
    )


def gate_table(figures: pd.DataFrame) -> str:
    """Return the gate's figures as a Markdown table, one line a source and length, means over seeds."""
    rows = figures.assign(passed=passed(figures)).groupby(["source", "length"], sort=False)
    lines = [f"| windows of | steps | {' | '.join(WAYS)} | passes |", f"|---|{'---|' * (len(WAYS) + 2)}"]
    for (source, length), seeds in rows:
        errors = " | ".join(f"{seeds[way].mean():.3f}" for way in WAYS)
        verdict = "yes" if seeds["passed"].all() else f"**no** ({seeds['passed'].sum()} of {len(seeds)} seeds)"
        lines.append(f"| {source} | {length} | {errors} | {verdict} |")
    means = rows[list(WAYS)].mean()
    white = means.index[means["visible mean"] < means["pretrained"]]
    lines += ["", f"{int(rows['passed'].all().sum())} of {len(means)} rows pass."]
    if len(white):
        names = ", ".join(f"{source} at {length}" for source, length in white)
        lines[-1] += " " + WHITE.format(count=len(white), rows=len(means), names=names)
    return "\n".join(lines)


def _parameters(weights: Path) -> int:
    with safe_open(weights, framework="numpy") as stored:
        shapes = [stored.get_slice(key).get_shape() for key in stored.keys()]  # noqa: SIM118  (not a dict)
    return sum(math.prod(shape) for shape in shapes)
