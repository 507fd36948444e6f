"""What MOMENT costs here, beside momentfm as its tutorials use it, on one thread: `python -m tests.bench_moment`.

Not a test: it prints, from one run on the machine it is on. Seconds are of this process on the processor
(`time.process_time`, one thread), so that other work on the machine counts little; both sides take turns.

    against momentfm    one LoRA training step and one scoring pass on the same windows, at 64 and at 512 steps;
                        momentfm pads to 512 and checkpoints its blocks, as it does by default (dropout off on both
                        sides, so that the numbers can be compared)
    profile             where a training step of ours spends its time
    --draws             a whole LoRA draw, zero-shot scoring, and both with 16 of 88 channels (minutes)
"""

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables import _frozen, backbones
from trainables._moment import LoraSettings, MomentBackbone, load, window_normalised, window_scale
from trainables._torch import autocast
from trainables.data.windows import LabelledWindows, Windows
from trainables.moment_lora import MomentLora, MomentLoraConfig
from trainables.moment_zero_shot import MomentZeroShot, MomentZeroShotConfig
from trainables.protocol import TrialResources

CHANNELS, SHORT, FULL = 88, 64, 512
PROFILED = 20
"""Steps: the profiler sees the clock, so that whatever else runs must hit all operations alike."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: an adapted backbone and how windows reach it."""

    backbone: MomentBackbone
    tensors: dict[str, Tensor]
    padded: bool

    def embedded(self, x: Tensor) -> Tensor:
        """Embeddings [n, C, d] of the last patch of windows [n, C, L]."""
        if self.padded:
            module: Any = self.backbone.module
            found: Tensor = module.embed(**left_padded(x), reduction="none").embeddings[:, :, -1]
            return found
        states = self.backbone.tokens(window_normalised(x.flatten(0, 1)))
        last = self.backbone.run(states, 0, self.backbone.layers, last_only=True)
        return self.backbone.finish(last)[:, 0].view(*x.shape[:2], -1)

    def step(self, x: Tensor) -> tuple[float, Tensor]:
        """Loss and the gradient of the last block's B of one training step."""
        optimiser = torch.optim.AdamW(list(self.tensors.values()), lr=0.0)
        direction = torch.linspace(-1, 1, self.backbone.width)
        loss = (self.embedded(x).float() @ direction).square().mean()
        loss.backward()
        optimiser.step()
        name = next(name for name in reversed(self.tensors) if "q.lora_B" in name)
        gradient = self.tensors[name].grad
        assert gradient is not None
        kept = gradient.clone()
        optimiser.zero_grad(set_to_none=True)
        return loss.item(), kept

    @torch.no_grad()
    def scores(self, x: Tensor) -> Tensor:
        """Squared errors [n, C, 8] of the last patch, unmasked, in the windows' units."""
        if self.padded:
            module: Any = self.backbone.module
            found: Tensor = module.detect_anomalies(**left_padded(x)).anomaly_scores[:, :, -8:]
            return found
        flat = x.flatten(0, 1)
        mean, deviation = window_scale(flat)
        states = self.backbone.tokens((flat - mean) / deviation)
        last = self.backbone.finish(self.backbone.run(states, 0, self.backbone.layers, last_only=True))
        errors = (self.backbone.reconstruct(last).float() * deviation + mean - flat[:, -8:]).square()
        return errors.view(*x.shape[:2], 8)


def left_padded(x: Tensor) -> dict[str, Tensor]:
    whole, mask = torch.zeros(*x.shape[:2], FULL), torch.zeros(len(x), FULL)
    whole[:, :, FULL - x.shape[-1] :], mask[:, FULL - x.shape[-1] :] = x, 1
    return {"x_enc": whole, "input_mask": mask}


def side(*, padded: bool) -> Side:
    """Adapters of the same random values on either side; momentfm in train mode, where it checkpoints its blocks."""
    backbone = load(backbones.WEIGHTS_FOLDER, CPU)
    tensors = backbone.add_lora(LoraSettings(8, 16.0, 0.0, ("q", "v"), first_layer=0))
    generator = torch.Generator().manual_seed(0)
    for tensor in tensors.values():
        tensor.data.copy_(0.02 * torch.randn(tensor.shape, generator=generator))
    if padded:
        module: Any = backbone.module
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", category=FutureWarning)
            module.encoder.gradient_checkpointing_enable()  # as momentfm does by default
        module.train()
        for part in module.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = 0.0
            elif isinstance(getattr(part, "dropout", None), float):
                part.dropout = 0.0
    return Side(backbone, tensors, padded)


def seconds(functions: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median processor seconds of each; they take turns, after one round that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(repeats + 1):
        for name, function in functions.items():
            started = time.process_time()
            function()
            if number:
                found[name].append(time.process_time() - started)
    return {name: float(np.median(values)) for name, values in found.items()}


def against_momentfm(repeats: int, count: int) -> None:
    theirs, ours = side(padded=True), side(padded=False)
    print(f"{count} windows x {CHANNELS} channels, bundled backbone, LoRA rank 8 on q, v; processor seconds, median")
    print(f"{'steps':>6} {'what':10} {'momentfm':>9} {'ours':>8} {'times':>6} {'bf16':>8} {'times':>6}  numbers")
    for length in (SHORT, FULL):
        x = torch.randn(count, CHANNELS, length, generator=torch.Generator().manual_seed(length))

        def in_bf16(function: Callable[[Tensor], object], x: Tensor = x) -> Callable[[], object]:
            def run() -> object:
                with autocast(CPU, "bf16"):
                    return function(x)

            return run

        for what, left, right in (("training", theirs.step, ours.step), ("scoring", theirs.scores, ours.scores)):
            timed = seconds(
                {"momentfm": lambda f=left, x=x: f(x), "ours": lambda f=right, x=x: f(x), "bf16": in_bf16(right)},
                repeats,
            )
            a, b, c = timed["momentfm"], timed["ours"], timed["bf16"]
            line = f"{length:6} {what:10} {a:9.3f} {b:8.3f} {a / b:6.1f} {c:8.3f} {a / c:6.1f}  "
            print(line + differences(left(x), right(x), in_bf16(right)()), flush=True)


def differences(theirs: Any, ours: Any, bf16: Any) -> str:
    if isinstance(ours, tuple):
        gradient = (theirs[1] - ours[1]).norm() / theirs[1].norm()
        return f"loss {theirs[0]:.6f} and {ours[0]:.6f}, gradient off by {gradient:.1e}"
    off = (theirs - ours).abs().max()
    root, rough = ours.mean(-1).sqrt(), bf16.mean(-1).sqrt()
    return (
        f"scores off by {off:.1e} of {theirs.max():.1f}; bf16 by {((rough - root).abs() / root).mean():.2%} on average"
    )


def profile(count: int) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    ours, x = side(padded=False), torch.randn(count, CHANNELS, SHORT)
    ours.step(x)
    with profiled(activities=[ProfilerActivity.CPU]) as record:
        for _ in range(PROFILED):
            ours.step(x)
    events = sorted(record.key_averages(), key=lambda event: -event.self_cpu_time_total)
    whole = sum(event.self_cpu_time_total for event in events)
    print(f"\nwhere a training step of ours goes ({SHORT} steps)")
    for event in events[:12]:
        print(f"  {event.self_cpu_time_total / whole:6.1%} {event.count // PROFILED:5} x {event.key}")


def telemetry(count: int, seed: int) -> LabelledWindows:
    """Windows of noise over 88 channels; a fault of one of 14 types raises a channel's last 16 steps."""
    rng = np.random.default_rng(seed)
    y = (np.arange(count) % 2).astype(np.int8)
    x = rng.normal(size=(count, SHORT, CHANNELS)).astype(np.float32)
    kind = np.arange(count) // 2 % 14
    for window, faulty, channel in zip(x, y, kind, strict=True):
        window[-16:, channel] += 3 * faulty
    return LabelledWindows(
        x.reshape(-1, CHANNELS),
        np.arange(1, count + 1) * SHORT - 1,
        SHORT,
        tuple(f"channel_{number}" for number in range(CHANNELS)),
        1.0,
        y,
        np.where(y == 1, np.char.add("fault_", kind.astype(np.str_)), "normal").astype(np.str_),
        np.where(y == 1, np.arange(count), -1).astype(np.int32),
    )


def draws(scored: int) -> None:
    """Whole draws: 100 shots, 5 epochs, 150 reference windows."""
    shots, reference, query = telemetry(100, 1), telemetry(150, 2).unlabelled(), telemetry(scored, 3).unlabelled()
    nothing = shots.take(np.zeros(0, dtype=np.int64))
    _frozen.frozen_backbone(backbones.WEIGHTS_FOLDER, CPU, "pretrained", 0)  # loaded once a process, not a draw
    print(f"\n{CHANNELS} channels, windows of {SHORT} steps, {scored} scored, processor seconds on one thread")
    for keep in ("all", 16):
        for state in ("computed", "from the cache"):
            zero_shot = MomentZeroShot(MomentZeroShotConfig.model_validate({"channels": keep}), TrialResources())
            _frozen._KEPT.clear()
            started = time.process_time()
            zero_shot.fit(nothing, reference).score(query)
            print(f"zero-shot, channels {keep}, {state}: {time.process_time() - started:.2f}", flush=True)
        for layers in ("all", 2):
            lora_draw({"epochs": 5, "adapted_layers": layers, "channels": keep}, shots, reference, query)


def lora_draw(settings: dict[str, object], shots: LabelledWindows, reference: Windows, query: Windows) -> None:
    """Nothing of it comes from a cache."""
    os.environ["FEWSHOT_CACHE"] = "off"
    _frozen._KEPT.clear()
    started = time.process_time()
    detector = MomentLora(MomentLoraConfig.model_validate(settings), TrialResources()).fit(shots, reference)
    trained = time.process_time()
    detector.score(query)
    ended = time.process_time()
    print(f"LoRA {settings}: {trained - started:.2f} to fit + {ended - trained:.2f} to score", flush=True)
    os.environ["FEWSHOT_CACHE"] = CACHE.name


CACHE = tempfile.TemporaryDirectory()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=0, metavar="N", help="whole draws too, N windows scored (minutes)")
    parser.add_argument("--repeats", type=int, default=5, help="of each step (default: 5)")
    parser.add_argument("--windows", type=int, default=2, help="a step (default: 2)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["FEWSHOT_CACHE"] = CACHE.name
    against_momentfm(arguments.repeats, arguments.windows)
    profile(arguments.windows)
    if arguments.draws:
        draws(arguments.draws)


if __name__ == "__main__":
    main()
