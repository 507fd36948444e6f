"""When which simulated fault strikes which service, and what it does there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trainables.data.readers.simulated_system import Disturbance
from trainables.settings import SimulatorSettings

ROUND_ROWS = 2500
MIN_ROUNDS = 4
MIN_PITCH = 80
"""Fewest rows from one fault to the next: short series hold fewer fault types, not faster ones."""
PRONE_SERVICES = 2
"""Services that a fault type may strike: some code has the slow queries, some pods the tight memory."""
RECOVERY_TIME = 4.0
"""Rows in which a fault's trace falls to 1/e after it ends."""


@dataclass(frozen=True, slots=True, eq=False)
class Injection:
    """One fault: rows in which it acts, and the rows an operator noted, if any did."""

    fault_type: str
    service: int
    severity: float
    start: int
    stop: int
    recovered: int
    noted_start: int
    noted_stop: int
    jitter: NDArray[np.float64]
    accomplices: tuple[int, ...]
    noted: bool = True

    def apply(self, disturbance: Disturbance) -> None:
        """Write the fault's effect into the disturbance."""
        rows = slice(self.start, self.recovered)
        age = np.arange(self.recovered - self.start, dtype=np.float64)
        active = np.minimum(1.0, (age + 1) / 3)
        ended = self.stop - self.start
        active[ended:] = np.exp(-(age[ended:] - ended + 1) / RECOVERY_TIME)
        _EFFECTS[self.fault_type](disturbance, rows, self, self.severity * active * self.jitter)


def schedule(rows: int, services: int, settings: SimulatorSettings, rng: np.random.Generator) -> list[Injection]:
    """Return the faults of a series, in order of time.

    Rounds of equal length, at least four; each holds the same fault types once, in a fresh order, unless
    `settings.fault_mix` weighs them: then the types of a round are drawn. `settings.faults_per_1000_rows` says how
    many faults a round has room for.
    """
    kinds = [number for number, name in enumerate(FAULT_TYPES) if settings.weight(name) > 0]
    rounds = max(MIN_ROUNDS, rows // ROUND_ROWS)
    round_rows = rows // rounds
    most, wanted = max(1, round_rows // MIN_PITCH), settings.faults_per_1000_rows
    count = min(len(kinds), most) if wanted is None else min(most, max(1, round(round_rows * wanted / 1000)))
    prone = {kind: rng.permutation(services)[:PRONE_SERVICES] for kind in range(len(FAULT_TYPES))}
    chosen = sorted(rng.permutation(kinds)[:count].tolist())
    pitch = round_rows // count
    scale = min(1.0, pitch / 150)
    injections = []
    for number in range(rounds):
        for place, kind in enumerate(_round(chosen, kinds, count, settings, rng)):
            slot = number * round_rows + place * pitch
            injections.append(_injection(FAULT_TYPES[kind], prone[kind], slot, pitch, scale, services, settings, rng))
            if settings.overlap and rng.uniform() < settings.overlap:
                injections.append(_within(injections[-1], kinds, prone, scale, services, settings, rng))
    return injections


def _round(
    chosen: list[int], kinds: list[int], count: int, settings: SimulatorSettings, rng: np.random.Generator
) -> list[int]:
    """Return the fault types of one round, in order of time."""
    if settings.fault_mix is not None:
        weights = np.asarray([settings.weight(FAULT_TYPES[kind]) for kind in kinds])
        return [int(kind) for kind in rng.choice(kinds, count, p=weights / weights.sum())]
    order = rng.permutation(chosen).tolist()
    while len(order) < count:
        order += rng.permutation(kinds).tolist()
    return [int(kind) for kind in order[:count]]


def _within(
    first: Injection,
    kinds: list[int],
    prone: Mapping[int, NDArray[np.int64]],
    scale: float,
    services: int,
    settings: SimulatorSettings,
    rng: np.random.Generator,
) -> Injection:
    """Return a second fault that begins while the first one lasts, and ends with it at the latest."""
    kind = int(rng.choice(kinds))
    second = _injection(FAULT_TYPES[kind], prone[kind], 0, MIN_PITCH, scale, services, settings, rng)
    start = int(rng.integers(first.start, first.stop))
    length = max(1, min(second.stop - second.start, first.stop - start))
    tail = first.recovered - first.stop
    return replace(
        second,
        start=start,
        stop=start + length,
        recovered=start + length + tail,
        noted_start=first.noted_start,
        noted_stop=first.noted_stop,
        jitter=np.resize(second.jitter, length + tail),
    )


def _injection(
    fault_type: str,
    prone: NDArray[np.int64],
    slot: int,
    pitch: int,
    scale: float,
    services: int,
    settings: SimulatorSettings,
    rng: np.random.Generator,
) -> Injection:
    length = round((30 + 30 * rng.beta(1.0, 3.0)) * scale)
    recovery = round(rng.integers(12, 22) * scale)
    (soonest, latest), jitter = settings.label_delay, settings.label_jitter
    late_start, late_stop = int(rng.integers(soonest, latest + 1)), int(rng.integers(-jitter, jitter + 1))
    start = slot + int(rng.integers(4, max(5, pitch - length - recovery - 8)))
    stop = start + length
    noted_start = min(start + round(late_start * scale), stop + recovery - 1)
    noted_stop = min(max(stop + round(late_stop * scale), noted_start + 1), stop + recovery)
    noise = rng.normal(0, 1, length + recovery)
    return Injection(
        fault_type=fault_type,
        service=int(rng.choice(prone)),
        severity=float(rng.uniform(*settings.severity)),
        start=start,
        stop=stop,
        recovered=stop + recovery,
        noted_start=noted_start,
        noted_stop=noted_stop,
        jitter=np.exp(0.25 * noise),
        accomplices=tuple(rng.permutation(services)[:2].tolist()),
        noted=settings.unnoted == 0 or bool(rng.uniform() >= settings.unnoted),
    )


Effect = Callable[[Disturbance, slice, Injection, NDArray[np.float64]], None]


def _cpu_contention(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.capacity[rows, it.service] *= 1 - 0.55 * np.minimum(strength, 1.2)
    d.cpu[rows, it.service] += 30 * strength


def _memory_leak(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    grown = np.cumsum(strength) / (it.stop - it.start)
    d.memory[rows, it.service] *= 1 + 0.8 * grown
    d.pause[rows, it.service] += 40 * grown**2


def _network_delay(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.delay_ms[rows, it.service] += 45 * strength


def _packet_loss(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.pause[rows, it.service] += 90 * strength
    d.errors[rows, it.service] += 0.015 * strength
    d.network[rows, it.service] *= 1 + 0.25 * strength


def _disk_pressure(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.slowness[rows, it.service] *= 1 + 1.2 * strength
    d.cpu[rows, it.service] -= 4 * strength
    d.pause[rows, it.service] += 30 * strength


def _connection_pool_exhaustion(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.threads[rows, it.service] += 14 * strength
    d.delay_ms[rows, it.service] += 25 * strength
    d.errors[rows, it.service] += 0.01 * strength


def _gc_pauses(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    pulse = (np.arange(len(strength)) % 6 < 2) * strength
    d.pause[rows, it.service] += 140 * pulse
    d.cpu[rows, it.service] += 10 * strength
    d.memory[rows, it.service] *= 1 + 0.15 * strength - 0.1 * pulse


def _slow_query(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.slowness[rows, it.service] *= 1 + 1.8 * strength


def _cache_failure(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.fan_out[rows, it.service] *= 1 + 0.6 * strength
    d.slowness[rows, it.service] *= 1 + 0.7 * strength
    d.network[rows, it.service] *= 1 + 0.4 * strength


def _pod_restart(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    phase = np.arange(len(strength)) % 15
    down = (phase < 2) * np.minimum(1.0, 0.9 * strength)
    d.throughput[rows, it.service] *= 1 - down
    d.errors[rows, it.service] += 0.1 * down
    d.memory[rows, it.service] *= 1 - 0.35 * np.minimum(1.0, strength) * (1 - phase / 20)
    d.slowness[rows, it.service] *= 1 + 0.8 * strength * np.exp(-phase / 5)


def _traffic_surge(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.demand[rows, it.service] *= 1 + 0.9 * strength


def _config_error(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.errors[rows, it.service] += 0.06 * strength
    d.slowness[rows, it.service] *= 1 - 0.2 * np.minimum(strength, 1.5)
    d.cpu[rows, it.service] -= 3 * strength


def _deadlock(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    d.threads[rows, it.service] += 10 * np.minimum(2.0, np.cumsum(strength) / 15)
    d.throughput[rows, it.service] *= 1 - 0.3 * np.minimum(strength, 1.5)
    d.cpu[rows, it.service] -= 6 * strength
    d.pause[rows, it.service] += 60 * strength


def _noisy_neighbour(d: Disturbance, rows: slice, it: Injection, strength: NDArray[np.float64]) -> None:
    for service in (it.service, *it.accomplices):
        d.capacity[rows, service] *= 1 - 0.3 * np.minimum(strength, 1.5)
        d.pause[rows, service] += 20 * strength


_EFFECTS: Mapping[str, Effect] = {
    "cpu_contention": _cpu_contention,
    "memory_leak": _memory_leak,
    "network_delay": _network_delay,
    "packet_loss": _packet_loss,
    "disk_pressure": _disk_pressure,
    "connection_pool_exhaustion": _connection_pool_exhaustion,
    "gc_pauses": _gc_pauses,
    "slow_query": _slow_query,
    "cache_failure": _cache_failure,
    "pod_restart": _pod_restart,
    "traffic_surge": _traffic_surge,
    "config_error": _config_error,
    "deadlock": _deadlock,
    "noisy_neighbour": _noisy_neighbour,
}

FAULT_TYPES = tuple(_EFFECTS)
