"""Slots: how many trials run at once on this machine, and what each asks Ray for.

Ray's GPU fraction is book-keeping, not a limit: it only decides how many trials share a card. The limit is
torch's allocator cap, which the trial sets in its own process, with a reserve for the CUDA context.
Sizes are in GB of 1,024 MiB, as `nvidia-smi` and card names count.
"""

import math
import os
import subprocess
from dataclasses import dataclass

from orchestrator.errors import PlanError
from orchestrator.spec import ResourceSettings

RESERVE_GB = 0.5
"""Left free on a card for contexts and fragmentation when trials are packed."""

NOMINAL = 0.95
"""A card sold as 8 GB reports a little less; it meets a cap of 8 GB."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card: sizes in GB."""

    name: str
    total_gb: float
    free_gb: float


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine has."""

    cpus: int
    gpus: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True)
class Slots:
    """How many trials run at once.

    Attributes
    ----------
    concurrent
        All trials together: one needs `threads` CPUs, with a GPU or without.
    gpu
        Trials that hold a share of a GPU; 0 where there is none, then GPU detectors run on the CPU.
    trials_per_gpu
        k, trials that share a card; 0 without a GPU.
    gpu_fraction
        What Ray is asked for, rounded down so that k of them fit; 0.0 without a GPU.
    threads
        CPUs of a trial.
    cards
        GPUs that hold trials.
    """

    concurrent: int
    gpu: int
    trials_per_gpu: int
    gpu_fraction: float
    threads: int
    cards: int = 0

    def request(self, *, gpu: bool) -> dict[str, float]:
        """Return what one trial asks Ray for."""
        wants_gpu = gpu and self.gpu > 0
        return {"CPU": float(self.threads), **({"GPU": self.gpu_fraction} if wants_gpu else {})}


def trials_per_gpu(gpu: Gpu, cap_gb: float, wanted: int | str) -> int:
    """Return how many trials of `cap_gb` share a card; 0 if the card is smaller than the cap.

    `auto` packs floor((free - reserve) / cap), at least 1 on a card that meets the cap.

    Raises
    ------
    PlanError
        A number of trials that the card cannot hold.
    """
    if gpu.total_gb < NOMINAL * cap_gb:
        return 0
    if isinstance(wanted, int):
        if wanted * cap_gb * NOMINAL > gpu.total_gb:
            raise PlanError(
                f"resources.trials_per_gpu: {wanted} trials of {cap_gb:g} GB do not fit {gpu.name} "
                f"with {gpu.total_gb:.1f} GB; use auto, fewer trials or a smaller gpu_memory_gb"
            )
        return wanted
    return max(1, math.floor((gpu.free_gb - RESERVE_GB) / cap_gb))


def gpu_fraction(trials: int) -> float:
    """Return Ray's share of a card for k trials: 1/k, rounded down to Ray's four digits so that k still fit."""
    return math.floor(10_000 / trials) / 10_000 if trials else 0.0


def plan_slots(machine: Machine, resources: ResourceSettings) -> Slots:
    """Return the slots of a machine; all cards share trials alike, as the smallest of them can.

    Raises
    ------
    PlanError
        More threads than CPUs, cards that are all smaller than the cap, or trials that do not fit.
    """
    concurrent = machine.cpus // resources.threads
    if concurrent < 1:
        raise PlanError(
            f"resources.threads: a trial of {resources.threads} threads needs more than {machine.cpus} CPUs"
        )
    shares = [trials_per_gpu(gpu, resources.gpu_memory_gb, resources.trials_per_gpu) for gpu in machine.gpus]
    fitting = [share for share in shares if share]
    if shares and not fitting:
        largest = max(machine.gpus, key=lambda gpu: gpu.total_gb)
        raise PlanError(
            f"resources.gpu_memory_gb: no GPU here holds a trial of {resources.gpu_memory_gb:g} GB; the largest is "
            f"{largest.name} with {largest.total_gb:.1f} GB. Lower it, or hide the GPUs with CUDA_VISIBLE_DEVICES="
        )
    share = min(fitting, default=0)
    return Slots(
        concurrent, min(share * len(fitting), concurrent), share, gpu_fraction(share), resources.threads, len(fitting)
    )


def local_machine() -> Machine:
    """Return CPUs that this process may use and GPUs that `nvidia-smi` lists; touches no GPU, imports no torch."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS has none
    return Machine(cpus, _local_gpus())


def _local_gpus() -> tuple[Gpu, ...]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None and visible.strip() in {"", "-1"}:
        return ()
    command = ["nvidia-smi", "--query-gpu=index,uuid,name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603
    except (FileNotFoundError, PermissionError, subprocess.SubprocessError):
        return ()  # no driver: no GPU that torch could use either
    return parse_gpus(answer.stdout, visible)


def parse_gpus(listing: str, visible: str | None = None) -> tuple[Gpu, ...]:
    """Read `nvidia-smi`'s lines (index, uuid, name, total MiB, free MiB); `visible` as CUDA_VISIBLE_DEVICES."""
    wanted = None if visible is None else {part.strip() for part in visible.split(",")}
    gpus = []
    for line in listing.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 5 or not (cells[3].isdigit() and cells[4].isdigit()):
            continue  # a card that reports no memory (MIG parent, error text) cannot be planned for
        index, uuid, name, total, free = cells
        if wanted is None or index in wanted or uuid in wanted:
            gpus.append(Gpu(name, int(total) / 1024, int(free) / 1024))
    return tuple(gpus)
