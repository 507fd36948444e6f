"""The pretraining loop: AdamW, warm-up and cosine, checkpoints that a killed run continues from exactly.

Each batch is drawn from (seed, step) alone, so a continued run sees the batches that an unbroken one would.
"""

import csv
import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from trainables._moment import MomentBackbone, build
from trainables.backbones import VOCABULARY
from trainables.errors import NonFiniteError, WeightsError
from trainables.pretraining.corpus import LENGTHS, Corpus
from trainables.pretraining.gate import MaskedWindows
from trainables.pretraining.masked import backbone_errors, hidden_patches, masked_error, reconstructed

CHECKPOINT_FILE = "checkpoint.safetensors"
CURVE_FILE = "curve.csv"
RECIPE_FILE = "recipe.json"
CURVE_COLUMNS = ("step", "loss", "learning_rate", "held_out_error", "windows", "seconds")
MOMENTS = ("exp_avg", "exp_avg_sq")
"""AdamW's state of a tensor."""

CURVE_EVERY = 500
"""Steps between two lines of the loss curve."""

CHECKPOINT_SECONDS = 120.0
PROGRESS_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to pretrain. Published values but for the rate (1e-4 there), the batch (2,048 windows) and dropout (0.1).

    Attributes
    ----------
    steps
        Optimiser steps.
    seed
        Of weights, windows and masks.
    learning_rate
        Peak: linear warm-up from a hundredth of it over `warm_up` steps, then a cosine back to a hundredth.
    weight_decay, clip
        AdamW's decoupled decay; largest norm of the gradient.
    patches
        Patches a batch; windows of one batch have one length, 32 to 512 steps, its logarithm uniform.
    """

    steps: int
    seed: int = 13
    learning_rate: float = 1e-3
    warm_up: int = 500
    weight_decay: float = 0.05
    clip: float = 5.0
    patches: int = 2048

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, 0 being the first."""
        lowest = 0.01 * self.learning_rate
        if step < self.warm_up:
            return lowest + (self.learning_rate - lowest) * (step + 1) / self.warm_up
        done = (step - self.warm_up) / max(1, self.steps - self.warm_up)
        return lowest + (self.learning_rate - lowest) * 0.5 * (1 + math.cos(math.pi * done))


class Pretraining:
    """A network in training and everything its continuation needs.

    Parameters
    ----------
    config
        As config.json.
    recipe
        How to train.
    corpus
        Where windows come from.
    watched
        Held-out windows for the curve.
    folder
        Gets checkpoint, curve and recipe.
    """

    def __init__(
        self, config: Mapping[str, object], recipe: Recipe, corpus: Corpus, watched: list[MaskedWindows], folder: Path
    ) -> None:
        self.recipe, self.corpus, self.watched, self.folder = recipe, corpus, watched, folder
        self.module = initial_module(config, recipe.seed).requires_grad_(requires_grad=True)
        self.backbone = MomentBackbone(self.module.eval(), config)
        self.parameters = {name: one for name, one in self.module.named_parameters() if name != VOCABULARY}
        self.optimiser = torch.optim.AdamW(
            list(self.parameters.values()), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.step, self.windows, self.seconds = 0, 0, 0.0
        self._losses: list[float] = []

    def run(self) -> None:
        """Train to the last step.

        Raises
        ------
        NonFiniteError
            The loss or the gradient became NaN or infinite.
        """
        self._note_recipe()
        begun, earlier = time.monotonic(), self.seconds
        saved = shown = begun
        first = self.step
        while self.step < self.recipe.steps:
            self._losses.append(self._train_step())
            now = time.monotonic()
            self.seconds = earlier + now - begun
            if self.step % CURVE_EVERY == 0 or self.step == self.recipe.steps:
                self._extend_curve()
            if now - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = now
            if now - shown > PROGRESS_SECONDS:
                self._show((now - begun) / (self.step - first))
                shown = now
        self.save()

    def _note_recipe(self) -> None:
        """Write the recipe; where a continued run got another number of steps, from which step on."""
        file = self.folder / RECIPE_FILE
        planned = json.loads(file.read_text(encoding="utf-8"))["planned"] if self.step and file.exists() else {}
        if self.recipe.steps not in planned.values():
            planned[str(self.step)] = self.recipe.steps
        text = json.dumps(asdict(self.recipe) | {"planned": planned}, indent=2)
        file.write_text(text + "\n", encoding="utf-8")

    def _train_step(self) -> float:
        rng = np.random.default_rng([self.recipe.seed, self.step])
        length = drawn_length(rng)
        count = self.recipe.patches * self.backbone.patch // length
        windows = torch.from_numpy(self.corpus.batch(rng, length, count))
        hidden = torch.from_numpy(hidden_patches(rng, count, length // self.backbone.patch))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss = masked_error(windows, reconstructed(self.backbone, windows, hidden), hidden).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(list(self.parameters.values()), self.recipe.clip)
        value = loss.item()
        if not math.isfinite(value) or not math.isfinite(norm.item()):
            raise NonFiniteError(f"loss {value}, gradient norm {norm.item()} at step {self.step + 1}")
        self.optimiser.step()
        self.step += 1
        self.windows += count
        return value

    def held_out_error(self) -> float:
        """Return the mean over the watched sets of their mean masked error."""
        errors = [backbone_errors(self.backbone, one.windows, one.hidden).mean().item() for one in self.watched]
        return float(np.mean(errors))

    def _extend_curve(self) -> None:
        file = self.folder / CURVE_FILE
        new = not file.exists()
        with file.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(CURVE_COLUMNS)
            loss, rate = float(np.mean(self._losses)), self.recipe.rate(self.step - 1)
            figures = (
                f"{loss:.5f}",
                f"{rate:.3g}",
                f"{self.held_out_error():.5f}",
                self.windows,
                f"{self.seconds:.0f}",
            )
            writer.writerow((self.step, *figures))
        self._losses.clear()

    def _show(self, seconds_a_step: float) -> None:
        left = seconds_a_step * (self.recipe.steps - self.step)
        recent = self._losses[-100:]
        sys.stderr.write(
            f"step {self.step:,} of {self.recipe.steps:,}  loss {np.mean(recent) if recent else math.nan:.4f}  "
            f"{self.windows / self.seconds:,.0f} windows/s  {seconds_a_step:.3f} s/step  {left / 60:.0f} min left\n"
        )
        sys.stderr.flush()

    def save(self) -> None:
        """Write weights, optimiser state and position to the checkpoint, all or nothing."""
        tensors = {f"weight.{name}": tensor.detach() for name, tensor in self.parameters.items()}
        for name, tensor in self.parameters.items():
            for moment in MOMENTS:
                tensors[f"{moment}.{name}"] = self.optimiser.state[tensor][moment]
        position = {
            "step": self.step,
            "windows": self.windows,
            "seconds": self.seconds,
            "seed": self.recipe.seed,
            "losses": json.dumps(self._losses),
        }
        unfinished = self.folder / f"{CHECKPOINT_FILE}.unfinished"
        save_file(tensors, unfinished, metadata={key: str(value) for key, value in position.items()})
        unfinished.replace(self.folder / CHECKPOINT_FILE)

    def restore(self) -> None:
        """Continue from the folder's checkpoint; lines of the curve after it are cut.

        Raises
        ------
        WeightsError
            No checkpoint is there, or another seed made it.
        """
        file = self.folder / CHECKPOINT_FILE
        if not file.exists():
            raise WeightsError(f"{self.folder} has no {CHECKPOINT_FILE} to resume from")
        with safe_open(file, framework="pt") as stored:
            position = stored.metadata()
            if int(position["seed"]) != self.recipe.seed:
                raise WeightsError(f"{file} was made with seed {position['seed']}, not {self.recipe.seed}")
            with torch.no_grad():
                for name, tensor in self.parameters.items():
                    tensor.copy_(stored.get_tensor(f"weight.{name}"))
                    moments = {moment: stored.get_tensor(f"{moment}.{name}") for moment in MOMENTS}
                    self.optimiser.state[tensor] = {"step": torch.tensor(float(position["step"])), **moments}
        self.step, self.windows = int(position["step"]), int(position["windows"])
        self.seconds = float(position["seconds"])
        self._losses = json.loads(position["losses"])
        self._cut_curve()

    def _cut_curve(self) -> None:
        file = self.folder / CURVE_FILE
        if file.exists():
            header, *lines = file.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if int(line.split(",")[0]) <= self.step]
            file.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")


def read_recipe(folder: Path) -> Recipe:
    """Return the recipe that made a folder.

    Raises
    ------
    WeightsError
        The folder has none.
    """
    file = folder / RECIPE_FILE
    if not file.exists():
        raise WeightsError(f"{folder} has no {RECIPE_FILE}; python -m trainables.pretrain writes it")
    stored = json.loads(file.read_text(encoding="utf-8"))
    del stored["planned"]
    return Recipe(**stored)


def initial_module(config: Mapping[str, object], seed: int) -> nn.Module:
    """Build a MOMENT with random weights; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(config)


def drawn_length(rng: np.random.Generator) -> int:
    """Return a window length of `LENGTHS`, about as many from each octave."""
    shortest, longest = LENGTHS[0], LENGTHS[-1]
    value = math.exp(rng.uniform(math.log(shortest), math.log(longest + 8)))
    return int(value) // 8 * 8
