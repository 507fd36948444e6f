"""Memory of a LoRA training step, estimated and measured: `python -m tests.memory_bench`.

Not a test: each line is a process of its own with random weights of a published size, that takes one step (forward,
backward, AdamW) of so many windows of 88 channels.
Recomputed in slices: one window of so many times 88 channels, of which a slice at a time passes through all blocks.
    kept       what autograd holds for the backward pass, by saved-tensor hooks
    resident   the largest resident memory of the process, sampled every 2 ms, less what it was before the backbone
    estimate   `trainables.memory`, of the same
"""

import argparse
import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from typing import Any, Self

CHANNELS = 88

MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Freed blocks go back to the system at once, so that resident memory is what tensors take and not what glibc holds
back (0.1 to 0.3 GB more, which the reserve of a trial on the CPU covers)."""


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    size: str
    length: int
    windows: int
    precision: str
    checkpointing: bool
    at_once: int | None = None
    targets: str = "q,v"
    adapted_layers: int | str = "all"


@dataclass(frozen=True)
class Measured:
    """Bytes."""

    kept: int
    kept_estimate: int
    resident: int
    estimate: int


CASES = [
    Case(size, 64, windows * (3 if checkpointing else 1), precision, checkpointing)
    for size, windows in (("tiny", 48), ("small", 6), ("base", 1))
    for precision in ("fp32", "bf16")
    for checkpointing in (False, True)
] + [
    Case(size, 64, windows, precision, True, at_once)
    for size, windows, at_once in (("tiny", 72, 2112), ("small", 18, 264), ("base", 6, 66))
    for precision in ("fp32", "bf16")
]


def measure(case: Case) -> Measured:
    """Take the step in this process."""
    import torch

    from tests.fakes import published
    from trainables import memory, moment_memory
    from trainables._memory import MicroBatches
    from trainables._moment import LoraSettings, MomentBackbone, build
    from trainables._torch import autocast
    from trainables.moment_lora import MomentLoraConfig
    from trainables.pretrain import TINY

    def built(config: Any) -> MomentBackbone:
        module = build(config).requires_grad_(requires_grad=False)
        return MomentBackbone(module.eval(), config)

    def step(backbone: MomentBackbone, windows: int) -> tuple[int, int]:
        first = 0 if case.adapted_layers == "all" else backbone.layers - int(case.adapted_layers)
        parameters = backbone.add_lora(LoraSettings(8, 16.0, 0.0, tuple(case.targets.split(",")), first))
        weights = {tensor.untyped_storage().data_ptr() for tensor in backbone.module.parameters()}
        kept: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        optimiser = torch.optim.AdamW(list(parameters.values()))
        with torch.no_grad(), autocast(torch.device("cpu"), case.precision):
            states = backbone.tokens(torch.randn(windows * CHANNELS, case.length))
            states = backbone.run(states, 0, first).float()
        divided = MicroBatches(windows, case.checkpointing, channels=case.at_once)

        def blocks(states: torch.Tensor, *, save_memory: bool = False) -> torch.Tensor:
            last = backbone.run(states, first, backbone.layers, last_only=True, save_memory=save_memory)
            return backbone.finish(last)[:, 0].float()

        with autocast(torch.device("cpu"), case.precision), torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
            embedded = divided.through(blocks, states, len(states))
        del states
        loss = (embedded - embedded.detach().mean()).clamp(-8, 8).square().mean()
        del embedded
        loss.backward()
        optimiser.step()
        return sum(kept.values()), len(parameters)

    torch.set_num_threads(2)
    step(built(TINY), 1)  # libraries and thread pools are there from now on
    with Resident() as resident:
        config = TINY if case.size == "tiny" else published.configuration(case.size)
        backbone = built(config)
        kept, _ = step(backbone, case.windows)
    settings = MomentLoraConfig.model_validate(
        {"precision": case.precision, "targets": case.targets, "adapted_layers": case.adapted_layers, "context": "none"}
    )
    channels = CHANNELS if case.at_once is None else CHANNELS * case.windows
    parts = moment_memory.lora_footprint(config, settings, moment_memory.Telemetry(channels, case.length, 1))
    if case.at_once is None:
        estimate = parts.bytes(case.windows, checkpointing=case.checkpointing)
        kept_estimate = parts.kept(case.windows, checkpointing=case.checkpointing)
    else:
        states = case.length // backbone.patch * backbone.width
        estimate, kept_estimate = parts.bytes_in_parts(case.at_once), memory.FP32 * channels * states
    vocabulary = memory.FP32 * backbone.width
    return Measured(kept, kept_estimate, resident.peak - vocabulary, estimate)


def divided_step(backbone: Any, precision: str, length: int, passes: Any, device: str = "cpu") -> Any:
    """Take one step on eight windows, divided as planned; return how it was divided in the end."""
    import torch

    from trainables._memory import MicroBatches
    from trainables._moment import LoraSettings
    from trainables._torch import autocast

    parameters = list(backbone.add_lora(LoraSettings(8, 16.0, 0.0, ("q", "v"), 0)).values())
    optimiser = torch.optim.AdamW(parameters)
    windows = torch.randn(8, CHANNELS, length)
    divided = MicroBatches(passes.micro_batch, passes.checkpointing)

    def losses(index: torch.Tensor) -> torch.Tensor:
        with autocast(torch.device(device), precision):
            states = backbone.tokens(windows[index].flatten(0, 1).to(device))
            last = backbone.run(states, 0, backbone.layers, last_only=True, save_memory=divided.checkpointing)
            return backbone.finish(last).float().square().mean((1, 2)).view(len(index), -1).mean(1)

    divided.accumulate(losses, torch.arange(8), parameters)
    optimiser.step()
    return divided


def step_within(gb: float, size: str, length: int) -> None:
    """Take one step on eight windows in a process that the system denies more memory than that; print its halvings."""
    import resource

    import torch

    from tests.fakes import published
    from trainables import memory_caps, moment_memory
    from trainables._moment import MomentBackbone, build
    from trainables.moment_lora import MomentLoraConfig

    resource.setrlimit(resource.RLIMIT_DATA, (int(gb * 2**30),) * 2)
    torch.set_num_threads(2)
    config = published.configuration(size)
    backbone = MomentBackbone(build(config).requires_grad_(requires_grad=False).eval(), config)
    parts = moment_memory.lora_footprint(config, MomentLoraConfig(), moment_memory.Telemetry(CHANNELS, length, 14))
    passes = moment_memory.lora_passes(parts, MomentLoraConfig(), CHANNELS, 8, memory_caps.host_cap(gb))
    print(divided_step(backbone, "fp32", length, passes).halvings)


class Resident:
    """Peak of resident memory within the block, over what it was before."""

    def __enter__(self) -> Self:
        import psutil

        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self._highest = self._before
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    @property
    def peak(self) -> int:
        return self._highest - self._before

    def _sample(self) -> None:
        while not self._done.wait(0.002):
            self._highest = max(self._highest, self._process.memory_info().rss)


def in_own_process(case: Case) -> Measured:
    """Measure in a fresh process, whose memory nothing else has touched."""
    command = [sys.executable, "-m", "tests.memory_bench", "--case", json.dumps(asdict(case))]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | MALLOC)
    return Measured(**json.loads(answer.stdout.splitlines()[-1]))


def line(case: Case, found: Measured) -> str:
    """One line of a table in Markdown."""
    recomputed = f"slices of {case.at_once}" if case.at_once else "yes" if case.checkpointing else "no"
    megabytes = [value / 2**20 for value in (found.kept, found.kept_estimate, found.resident, found.estimate)]
    ratios = found.kept_estimate / found.kept - 1, found.estimate / found.resident - 1
    return (
        f"| {case.size} | {case.precision} | {recomputed} | {case.windows * CHANNELS:,} | {megabytes[0]:,.0f} | "
        f"{megabytes[1]:,.0f} | {ratios[0]:+.0%} | {megabytes[2]:,.0f} | {megabytes[3]:,.0f} | {ratios[1]:+.0%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", help="measure one line in this process, print bytes as JSON")
    parser.add_argument("--sizes", nargs="+", default=["tiny", "small", "base"])
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(asdict(measure(Case(**json.loads(arguments.case))))))
        return
    print(
        "| backbone | precision | recomputed | channel-windows | kept, MB | estimated | | resident, MB | estimated | |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for case in CASES:
        if case.size in arguments.sizes:
            print(line(case, in_own_process(case)), flush=True)


if __name__ == "__main__":
    main()
