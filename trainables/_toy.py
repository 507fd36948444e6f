"""Small planted sources on which the contract of detectors is checked."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.data.scaling import LIMIT
from trainables.data.series import NORMAL
from trainables.data.windows import LabelledWindows, Windows

ToyKind = Literal["shift", "spike", "heavy", "constant"]
KINDS: tuple[ToyKind, ...] = ("shift", "spike", "heavy")
"""The three that every detector is scored on; `constant` is `shift` with a channel that never moves."""

FAULTS = ("cpu_contention", "network_delay")
"""Fault types; each lives in one channel of its own."""

LENGTH = 32
STEP_S = 4.0
CHANNELS = 6
SHIFT = 8.0
SPIKE = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Toy:
    """A scaled source with faults planted in it; no two windows share a row.

    Attributes
    ----------
    support
        24 labelled windows: 12 normal, 6 of each fault type, alternating.
    reference
        48 windows without labels, every eighth faulty.
    query
        60 labelled windows, every third faulty.
    """

    support: LabelledWindows
    reference: Windows
    query: LabelledWindows


def make_toy(kind: ToyKind) -> Toy:
    """Return a source, the same for every call.

    shift
        White noise of spread 1; a faulty window's last half is 8 higher in its fault's channel.
    spike
        The same noise; the last two steps are 20 higher.
    heavy
        Noise with Student's t distribution of 1.5 degrees of freedom; faults as in shift. In three query
        windows one channel ends a thousand, -1e6 and 1e6 spreads away: as far as scaling lets it.
        Here scores need be finite only.
    constant
        As shift, with one channel that is 0 everywhere.
    """
    rng = np.random.default_rng(np.random.SeedSequence([20240607, len(kind), ord(kind[1])]))
    support = np.tile([0, 1, 0, 2], 6)
    reference = np.where(np.arange(48) % 8 == 7, 1 + np.arange(48) // 8 % 2, 0)
    query = np.where(np.arange(60) % 3 == 2, 1 + np.arange(60) // 3 % 2, 0)
    fault = np.concatenate([support, reference, query])  # [N], 0 normal
    table = _planted(kind, fault, rng)
    if kind == "heavy":
        first = len(support) + len(reference)
        for number, value in enumerate((1e3, -LIMIT, LIMIT)):
            table[(first + 4 * number + 1) * LENGTH - 1, number] = value
    table.flags.writeable = False
    names = np.asarray([NORMAL, *FAULTS], dtype=np.str_)
    windows = LabelledWindows(
        table=table,
        ends=np.arange(1, len(fault) + 1, dtype=np.int64) * LENGTH - 1,
        length=LENGTH,
        columns=tuple(f"service_{number}_latency" for number in range(CHANNELS)),
        step_s=STEP_S,
        times=np.datetime64("2024-06-07", "ns") + np.arange(len(table)) * np.timedelta64(int(STEP_S), "s"),
        y=(fault > 0).astype(np.int8),
        fault_type=names[fault],
        event=np.where(fault > 0, np.cumsum(fault > 0) - 1, -1).astype(np.int32),
    )
    parts = np.split(np.arange(len(fault)), np.cumsum([len(support), len(reference)]))
    return Toy(windows.take(parts[0]), windows.take(parts[1]).unlabelled(), windows.take(parts[2]))


def _planted(kind: ToyKind, fault: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the table [N L, C] with each faulty window's channel raised."""
    size = (len(fault), LENGTH, CHANNELS)
    noise = np.clip(rng.standard_t(1.5, size), -LIMIT, LIMIT) if kind == "heavy" else rng.normal(size=size)
    steps, height = (2, SPIKE) if kind == "spike" else (LENGTH // 2, SHIFT)
    for number in (1, 2):
        noise[fault == number, -steps:, number - 1] += height
    if kind == "constant":
        noise[:, :, -1] = 0.0
    return noise.reshape(-1, CHANNELS).astype(np.float32)  # [N L, C]
