"""Slots: how many trials run at once on this machine, and what each asks Ray for.

Ray's GPU fraction is book-keeping, not a limit: it only decides how many trials share a card. The limit is
torch's allocator cap, which the trial sets in its own process, with a reserve for the CUDA context.
Sizes are in GB of 1,024 MiB, as `nvidia-smi` and card names count.
"""

import math
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from orchestrator.errors import PlanError
from orchestrator.spec import ResourceSettings
from trainables.data.external_scores import ExternalScores
from trainables.protocol import TrialResources

Device = Literal["cpu", "cuda"]

RESERVE_GB = 0.5
"""Left free on a card for contexts and fragmentation when trials are packed."""

NOMINAL = 0.95
"""A card sold as 8 GB reports a little less; it meets a cap of 8 GB."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One card: sizes in GB; `id` as CUDA_VISIBLE_DEVICES takes it."""

    name: str
    total_gb: float
    free_gb: float
    id: str = ""


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
        Trials that hold a share of a GPU; 0 where there is none, then GPU detectors run on the CPU. One CPU slot
        is left for detectors that need no GPU, where there are two.
    trials_per_gpu
        k, trials that share a card; 0 without a GPU.
    gpu_fraction
        What Ray is asked for, rounded down so that k of them fit; 0.0 without a GPU.
    threads
        CPUs of a trial.
    cards
        GPUs that hold trials.
    roomy
        True if each of them has room for a trial of twice the cap, for a second attempt after it ran out of memory.
    visible
        Ids of the cards that hold trials, where others of this machine must not: CUDA_VISIBLE_DEVICES.
    notes
        Which cards hold no trial, and why.
    """

    concurrent: int
    gpu: int
    trials_per_gpu: int
    gpu_fraction: float
    threads: int
    cards: int = 0
    roomy: bool = False
    visible: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def request(self, *, gpu: bool, large: bool = False) -> dict[str, float]:
        """Return what one trial asks Ray for; a `large` one takes the room of two."""
        if gpu and self.gpu:
            share = min(1.0, 2 * self.gpu_fraction) if large else self.gpu_fraction
            return {"CPU": float(self.threads), "GPU": share}
        return {"CPU": float(self.threads * (2 if large else 1))}


def trials_per_gpu(gpu: Gpu, cap_gb: float, wanted: int | str) -> int:
    """Return how many trials of `cap_gb` share a card; 0 if it is smaller than the cap, or others fill it.

    `auto` packs floor((free - reserve) / cap), at least 1 on a card that meets the cap. A number is what is wanted
    of an empty card: of one that others use, as many as what is free holds.

    Raises
    ------
    PlanError
        A number of trials that the card cannot hold.
    """
    if gpu.total_gb < NOMINAL * cap_gb:
        return 0
    if isinstance(wanted, int) and wanted * cap_gb * NOMINAL > gpu.total_gb:
        raise PlanError(
            f"resources.trials_per_gpu: {wanted} trials of {cap_gb:g} GB do not fit {gpu.name} "
            f"with {gpu.total_gb:.1f} GB; use auto, fewer trials or a smaller gpu_memory_gb"
        )
    fits = math.floor(gpu.free_gb / (NOMINAL * cap_gb))
    if fits < 1:
        return 0
    return min(wanted, fits) if isinstance(wanted, int) else max(1, math.floor((gpu.free_gb - RESERVE_GB) / cap_gb))


def gpu_note(gpu: Gpu, cap_gb: float) -> str:
    """Say why a card holds no trial."""
    if gpu.total_gb < NOMINAL * cap_gb:
        return f"{gpu.name} with {gpu.total_gb:.1f} GB is smaller than the cap of {cap_gb:g} GB and gets no trial"
    return (
        f"{gpu.name} {gpu.id}".rstrip() + f" has {gpu.free_gb:.1f} of {gpu.total_gb:.1f} GB free, below the cap of "
        f"{cap_gb:g} GB: another program holds the rest, and it gets no trial"
    )


def gpu_fraction(trials: int) -> float:
    """Return Ray's share of a card for k trials: 1/k, rounded down to Ray's four digits so that k still fit."""
    return math.floor(10_000 / trials) / 10_000 if trials else 0.0


def plan_slots(machine: Machine, resources: ResourceSettings, *, needs_gpu: bool = True) -> Slots:
    """Return the slots of a machine; all cards share trials alike, as the fullest of them can.

    Parameters
    ----------
    machine, resources
        What is there, and what a trial may use of it.
    needs_gpu
        Trials will run here that ask for a GPU: cards that cannot hold one are refused. Otherwise no GPU is used
        then, and a note says why.

    Raises
    ------
    PlanError
        More threads than CPUs; with `needs_gpu` cards that are all smaller than the cap or full, or trials that do
        not fit.
    """
    concurrent = machine.cpus // resources.threads
    if concurrent < 1:
        raise PlanError(
            f"resources.threads: a trial of {resources.threads} threads needs more than {machine.cpus} CPUs"
        )
    try:
        return _slots_on(machine.gpus, concurrent, resources)
    except PlanError as err:
        if needs_gpu:
            raise
        return Slots(concurrent, 0, 0, 0.0, resources.threads, notes=(str(err),))


def _slots_on(gpus: Sequence[Gpu], concurrent: int, resources: ResourceSettings) -> Slots:
    cap = resources.gpu_memory_gb
    shares = [trials_per_gpu(gpu, cap, resources.trials_per_gpu) for gpu in gpus]
    notes = tuple(gpu_note(gpu, cap) for gpu, share in zip(gpus, shares, strict=True) if not share)
    fitting = [gpu for gpu, share in zip(gpus, shares, strict=True) if share]
    if gpus and not fitting:
        raise PlanError(
            f"resources.gpu_memory_gb: no GPU here holds a trial of {cap:g} GB: {'; '.join(notes)}. "
            "Lower it, or hide the GPUs with CUDA_VISIBLE_DEVICES="
        )
    share = min((share for share in shares if share), default=0)
    return Slots(
        concurrent,
        min(share * len(fitting), max(1, concurrent - 1)),
        share,
        gpu_fraction(share),
        resources.threads,
        cards=len(fitting),
        roomy=bool(fitting) and all(gpu.free_gb >= 2 * NOMINAL * cap for gpu in fitting),
        visible=tuple(gpu.id for gpu in fitting) if notes else (),
        notes=notes,
    )


def trial_resources(
    limits: ResourceSettings,
    device: Device,
    weights: Mapping[str, str],
    external: Mapping[str, ExternalScores],
    *,
    large: bool = False,
) -> TrialResources:
    """Return what a trial may use, twice the memory in a `large` slot; `run_trial` sets its seed."""
    room = 2 if large else 1
    return TrialResources(
        threads=limits.threads,
        device=device,
        gpu_memory_gb=room * limits.gpu_memory_gb if device == "cuda" else None,
        host_memory_gb=room * limits.host_memory_gb if device == "cpu" else None,
        weights=weights,
        external=external,
    )


def card_variables(slots: Slots) -> dict[str, str]:
    """Return what hides the cards that hold no trial from processes that we start on this machine."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(slots.visible)} if slots.visible else {}


def local_machine() -> Machine:
    """Return CPUs that this process may use and GPUs that `nvidia-smi` lists; touches no GPU, imports no torch."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # macOS has none
    return Machine(cpus, local_cards())


def local_cards() -> tuple[Gpu, ...]:
    """Return the GPUs that `nvidia-smi` lists, of those that this process sees (CUDA_VISIBLE_DEVICES)."""
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
            gpus.append(Gpu(name, int(total) / 1024, int(free) / 1024, uuid))
    return tuple(gpus)
