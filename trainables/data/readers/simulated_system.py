"""The simulated application: call graph, queueing, noise, and everything that is normal but not quiet."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from trainables.settings import SimulatorSettings

CALLS = {
    "ts-gateway-service": {
        "ts-preserve-service": 0.15,
        "ts-payment-service": 0.10,
        "ts-food-service": 0.12,
        "ts-travel-service": 0.45,
        "ts-order-service": 0.25,
    },
    "ts-preserve-service": {
        "ts-food-service": 0.5,
        "ts-travel-service": 0.8,
        "ts-seat-service": 0.8,
        "ts-order-service": 1.0,
    },
    "ts-payment-service": {"ts-order-service": 0.6},
    "ts-food-service": {"ts-route-service": 0.3, "ts-station-service": 0.5},
    "ts-travel-service": {"ts-basic-service": 0.9, "ts-seat-service": 0.6, "ts-route-service": 0.5},
    "ts-basic-service": {"ts-route-service": 0.5, "ts-price-service": 0.9, "ts-station-service": 0.8},
    "ts-seat-service": {"ts-order-service": 0.3},
    "ts-order-service": {"ts-station-service": 0.3},
    "ts-route-service": {},
    "ts-price-service": {},
    "ts-station-service": {},
}
"""Caller -> calls a request makes to each callee; callers before callees. After the TrainTicket benchmark."""

SERVICES = tuple(CALLS)
METRICS = (
    "requests_per_s",
    "latency_mean_ms",
    "latency_p99_ms",
    "errors_percent",
    "cpu_percent",
    "memory_mb",
    "network_kb_per_s",
    "threads_busy",
)

DAY_ROWS = 2000
"""Rows of one daily cycle: compressed, so that the default 10,000 rows show five of them."""
ERROR_ATTENUATION = 0.6
"""Share of a callee's errors that a caller passes on; the rest is retried or hidden."""
SERVICE_MS = np.array([6.0, 18.0, 12.0, 9.0, 14.0, 10.0, 8.0, 7.0, 5.0, 4.0, 4.0])
PEAK_UTILISATION = np.array([0.55, 0.5, 0.4, 0.45, 0.6, 0.6, 0.5, 0.55, 0.5, 0.4, 0.6])
MEMORY_MB = np.array([420.0, 510.0, 360.0, 440.0, 560.0, 480.0, 390.0, 620.0, 340.0, 310.0, 350.0])


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """Which services exist and what they are like: callers before callees, the gateway first.

    Attributes
    ----------
    services
        Names.
    calls
        By caller: calls a request makes to each callee.
    service_ms, peak_utilisation, memory_mb : float64 [services]
        Time of a request without queueing; utilisation at the daily peak; heap after a collection.
    requests_per_s
        At the gateway, on average over a day.
    drift
        Size of slowly wandering levels and of what a deployment changes for good; 1 is the default system.
    deployment_every
        Rows from one deployment to the next on average; None: there is none.
    """

    services: tuple[str, ...]
    calls: tuple[Mapping[int, float], ...]
    service_ms: NDArray[np.float64]
    peak_utilisation: NDArray[np.float64]
    memory_mb: NDArray[np.float64]
    requests_per_s: float
    drift: float
    deployment_every: int | None

    def __len__(self) -> int:
        return len(self.services)


def make_system(settings: SimulatorSettings) -> System:
    """Return the application: the first services of the ticket shop, or it and copies of it behind one gateway."""
    base = [(name, 0) for name in SERVICES]
    copies = -(-(settings.services - 1) // (len(SERVICES) - 1))
    base += [(name, copy) for copy in range(1, copies) for name in SERVICES[1:]]
    base = base[: settings.services]
    place = {key: number for number, key in enumerate(base)}
    calls = tuple(
        {
            place[callee, other]: made
            for other in (range(copies) if name == SERVICES[0] else [copy])
            for callee, made in CALLS[name].items()
            if (callee, other) in place
        }
        for name, copy in base
    )
    kind = [SERVICES.index(name) for name, _ in base]
    return System(
        services=tuple(name if copy == 0 else f"{name}-{copy + 1}" for name, copy in base),
        calls=calls,
        service_ms=SERVICE_MS[kind],
        peak_utilisation=PEAK_UTILISATION[kind],
        memory_mb=MEMORY_MB[kind],
        requests_per_s=settings.requests_per_s,
        drift=settings.drift,
        deployment_every=settings.deployment_every,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Disturbance:
    """What acts on each service at each row, all arrays float64 [T, services].

    `demand`, `capacity`, `slowness`, `fan_out`, `throughput`, `memory` and `network` multiply;
    `delay_ms` (network), `pause` (ms, slowest requests), `errors` (share), `cpu` (percentage points)
    and `threads` add.
    """

    demand: NDArray[np.float64]
    capacity: NDArray[np.float64]
    slowness: NDArray[np.float64]
    fan_out: NDArray[np.float64]
    throughput: NDArray[np.float64]
    memory: NDArray[np.float64]
    network: NDArray[np.float64]
    delay_ms: NDArray[np.float64]
    pause: NDArray[np.float64]
    errors: NDArray[np.float64]
    cpu: NDArray[np.float64]
    threads: NDArray[np.float64]

    @classmethod
    def quiet(cls, rows: int, services: int) -> Self:
        """Return a disturbance that changes nothing."""
        shape = (rows, services)
        adding = ("delay_ms", "pause", "errors", "cpu", "threads")
        return cls(*(np.zeros(shape) if field.name in adding else np.ones(shape) for field in fields(cls)))

    def add_benign(self, system: System, rng: np.random.Generator) -> None:
        """Add what looks odd and is not a fault: load spikes, deployments, batch jobs, wrong requests, housekeeping."""
        rows, services = self.demand.shape
        for _ in range(max(1, rows // 700)):  # load spikes: everything busier, nothing wrong
            start, length = int(rng.integers(rows)), int(rng.integers(20, 70))
            bump = np.sin(np.linspace(0, np.pi, length)) * rng.uniform(0.2, 0.8)
            self.demand[start : start + length, 0] *= 1 + bump[: rows - start]
        self._add_deployments(system, rng)
        for start in range(int(rng.integers(100)), rows, DAY_ROWS // 4):  # batch job on orders and stations
            for service in [number for number in (7, 10) if number < services]:
                self.cpu[start : start + 40, service] += 12
                self.slowness[start : start + 40, service] *= 1.25
        for _ in range(rows // 70):  # a client with wrong requests: errors and nothing else
            start, service = int(rng.integers(rows)), int(rng.integers(services))
            self.errors[start : start + int(rng.integers(4, 30)), service] += 0.05 * rng.exponential(1)
        self._add_housekeeping(rng)
        for _ in range(rows // 150):  # passing hiccups of one service, shorter than faults
            start, service = int(rng.integers(rows)), int(rng.integers(services))
            length, size = int(rng.integers(1, 8)), rng.exponential(0.5)
            self.pause[start : start + length, service] += 70 * size
            self.delay_ms[start : start + length, service] += 12 * size
            self.errors[start : start + length, service] += 0.006 * size

    def _add_deployments(self, system: System, rng: np.random.Generator) -> None:
        """Add fresh pods: a warm-up, then a slightly different build for good."""
        rows, services = self.demand.shape
        for _ in range(0 if system.deployment_every is None else max(1, rows // system.deployment_every)):
            start, service = int(rng.integers(rows)), int(rng.integers(services))
            warm = np.exp(-np.arange(min(30, rows - start)) / 6)
            self.memory[start : start + 30, service] *= 1 - 0.3 * warm
            self.cpu[start : start + 30, service] += 14 * warm
            self.pause[start : start + 30, service] += 50 * warm * rng.uniform(0.3, 1)
            self.slowness[start:, service] *= np.exp(rng.normal(0, 0.06 * system.drift))
            self.memory[start:, service] *= np.exp(rng.normal(0, 0.04 * system.drift))

    def _add_housekeeping(self, rng: np.random.Generator) -> None:
        """Add work of one pod that no request notices: it shows in one metric alone."""
        rows, services = self.demand.shape
        for _ in range(rows // 40):
            start, service = int(rng.integers(rows)), int(rng.integers(services))
            span, size = slice(start, start + int(rng.integers(15, 60))), rng.uniform(0.5, 1.5)
            match int(rng.integers(4)):
                case 0:  # compaction, profiling: low priority, so latency stays
                    self.cpu[span, service] += 22 * size
                case 1:  # backup, log shipping
                    self.network[span, service] *= 1 + 0.8 * size
                case 2:  # cache filled ahead of time
                    self.memory[span, service] *= 1 + 0.35 * size
                case 3:  # idle keep-alive connections
                    self.threads[span, service] += 10 * size


def simulate(system: System, disturbance: Disturbance, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return telemetry [T, services x metrics] of the application under a disturbance; NaN is missing."""
    d, shape = disturbance, disturbance.demand.shape
    rate, utilisation = _traffic(system, d, rng)
    busy = np.minimum(utilisation, 0.97)
    service_ms = system.service_ms * d.slowness * np.exp(_walk(rng, shape, 0.0015 * system.drift))
    own_ms = service_ms * (1 + 0.6 * busy**2 / (1 - busy)) * _noise(rng, shape, 0.07, 0.5) + d.delay_ms
    own_errors = 0.002 * _noise(rng, shape, 0.35, 0.3) + d.errors + 0.2 * np.maximum(0, utilisation - 0.95)
    latency, tail, errors = own_ms.copy(), own_ms * 3.2 + d.pause, own_errors.copy()
    for caller in range(len(system) - 1, -1, -1):  # callees come after callers, so their values are final
        for callee, calls in system.calls[caller].items():
            made = np.minimum(1.5, calls * d.fan_out[:, caller])
            latency[:, caller] += 0.8 * made * latency[:, callee]
            tail[:, caller] += 0.55 * made * tail[:, callee]
            errors[:, caller] += ERROR_ATTENUATION * np.minimum(1, made) * errors[:, callee]
    errors = np.clip(errors, 0, 1)
    threads = rate * latency / 1000 * 1.3 + 2 + d.threads
    metrics = {
        "requests_per_s": rate,
        "latency_mean_ms": latency,
        "latency_p99_ms": tail * _noise(rng, shape, 0.22, 0.2),
        "errors_percent": np.minimum(100, 100 * errors * _noise(rng, shape, 0.35, 0.3)),
        "cpu_percent": np.clip(4 + 78 * utilisation * _noise(rng, shape, 0.06, 0.6) + d.cpu, 0.5, 100),
        "memory_mb": _memory(system, d, rng),
        "network_kb_per_s": rate * 3.5 * d.network * _noise(rng, shape, 0.08, 0.4),
        "threads_busy": threads * _noise(rng, shape, 0.12, 0.3),
    }
    values = np.stack([metrics[name] for name in METRICS], axis=2).reshape(len(rate), -1)  # [T, services x metrics]
    return _with_missing(values, rng)


def _traffic(
    system: System, d: Disturbance, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return requests a second and utilisation, both [T, services]."""
    rows = len(d.demand)
    hour = 2 * np.pi * (np.arange(rows) / DAY_ROWS + rng.uniform())
    daily = 0.68 - 0.26 * np.cos(hour) + 0.06 * np.sin(2 * hour)
    rate = np.zeros_like(d.demand)
    rate[:, 0] = system.requests_per_s * daily * np.exp(_ar(rng, (rows,), 0.06, 0.97))
    nominal = np.zeros(len(system))
    nominal[0] = system.requests_per_s * 0.95
    noise = _noise(rng, rate.shape, 0.06, 0.5)
    for caller, callees in enumerate(system.calls):
        rate[:, caller] *= d.demand[:, caller] * d.throughput[:, caller] * noise[:, caller]
        for callee, calls in callees.items():
            rate[:, callee] += rate[:, caller] * calls * d.fan_out[:, caller]
            nominal[callee] += nominal[caller] * calls
    return rate, rate / (nominal / system.peak_utilisation) / d.capacity


def _memory(system: System, d: Disturbance, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return heap use: a saw-tooth of allocation and collection, each service with its own period."""
    rows, services = shape = d.memory.shape
    period = rng.uniform(35, 120, services)
    phase = (np.arange(rows)[:, None] / period + rng.uniform(size=services)) % 1.0
    wandering = np.exp(_walk(rng, shape, 0.001 * system.drift))
    return np.asarray(system.memory_mb * (1 + 0.18 * phase) * d.memory * wandering * _noise(rng, shape, 0.012, 0.5))


def _ar(rng: np.random.Generator, shape: tuple[int, ...], sigma: float, memory: float) -> NDArray[np.float64]:
    """Return stationary first-order autoregressive noise along the first axis with standard deviation sigma."""
    shocks = rng.normal(0, sigma * np.sqrt(1 - memory**2), shape)
    shocks[0] /= np.sqrt(1 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], shocks, axis=0))


def _noise(rng: np.random.Generator, shape: tuple[int, ...], sigma: float, memory: float) -> NDArray[np.float64]:
    """Return positive multiplicative noise [T, services] round 1, with a heavier tail upwards."""
    rare = (rng.uniform(size=shape) < 0.01) * rng.exponential(2.5 * sigma, shape)
    return np.exp(_ar(rng, shape, sigma, memory) + rare)


def _walk(rng: np.random.Generator, shape: tuple[int, ...], step: float) -> NDArray[np.float64]:
    """Return a slowly wandering level [T, services] that forgets over about a day."""
    memory = 1 - 1 / DAY_ROWS
    return _ar(rng, shape, step * np.sqrt(DAY_ROWS / 2), memory)


def _with_missing(values: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Blank single cells and, now and then, all metrics of a service for a few rows (a missed scrape)."""
    rows, per_service = len(values), len(METRICS)
    services = values.shape[1] // per_service
    values[rng.uniform(size=values.shape) < 0.002] = np.nan
    for _ in range(rows // 250):
        start, service = int(rng.integers(rows)), int(rng.integers(services))
        values[start : start + int(rng.integers(1, 4)), service * per_service : (service + 1) * per_service] = np.nan
    return values
