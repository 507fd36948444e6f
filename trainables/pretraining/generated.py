"""Generated series in the shapes that telemetry takes. Every function makes many series at once.

None of them comes from the project's own simulator: zero-shot results on that stay clean.
A function takes a generator, a count n and a length L and returns float64 [n, L] in arbitrary units.

References
----------
Composition of kernels: Ansari et al., "Chronos: learning the language of time series", TMLR 2024 (KernelSynth).
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Scalar = TypeVar("Scalar", bound=np.generic)
Array = NDArray[np.float64]
Generate = Callable[[np.random.Generator, int, int], Array]

WARM_UP = 64
"""Steps a process runs before its series begins."""


def kernel_composed(rng: np.random.Generator, count: int, steps: int) -> Array:
    """Return sums and products of periodic, smooth, straight and wandering parts, with noise."""
    value = np.zeros((count, steps))
    for number in range(4):
        part = _one_of_kernels(rng, count, steps)
        taken = _column(rng.random(count) < (1.0 if number == 0 else 0.5))
        multiplied = _column(rng.random(count) < 0.3) & (number > 0)
        value = np.where(taken, np.where(multiplied, value * part, value + part), value)
    return value + _column(10 ** rng.uniform(-2.5, -0.2, count)) * _spread(value) * rng.normal(size=value.shape)


def bursty_counters(rng: np.random.Generator, count: int, steps: int) -> Array:
    """Return counts per step: Poisson around a slow rate, with bursts that decay, smoothed by up to 8 steps."""
    rate = _log_uniform(rng, count, 0.3, 300) * np.exp(0.4 * _smooth(rng, count, steps))
    t = np.arange(steps)
    for _ in range(4):
        since = t - rng.integers(-steps, steps, (count, 1))  # half of the bursts began before the series
        burst = _column(rng.uniform(0.5, 8, count)) * np.exp(-np.maximum(since, 0) / _log_uniform(rng, count, 1, 60))
        rate = rate * np.where(since >= 0, 1 + burst, 1)
    counts = rng.poisson(np.minimum(rate, 1e6)).astype(np.float64)
    return _moving_mean(counts, rng.integers(1, 9, count))


def saw_tooth_memory(rng: np.random.Generator, count: int, steps: int) -> Array:
    """Return memory that grows until a collection or a restart brings it down."""
    ceiling, period = rng.uniform(0.5, 2, count), np.exp(rng.uniform(np.log(6), np.log(400), count))
    growth = _column(ceiling / period) * np.exp(rng.normal(0, 0.5, (count, steps)))
    level, limit = rng.uniform(0, 1, count) * ceiling, ceiling * rng.uniform(0.8, 1.2, count)
    value = np.empty((count, steps))
    for step in range(steps):
        level = level + growth[:, step]
        full = level > limit
        level = np.where(full, rng.uniform(0, 0.3, count) * ceiling, level)
        limit = np.where(full, ceiling * rng.uniform(0.8, 1.2, count), limit)
        value[:, step] = level
    return value + _column(ceiling * 10 ** rng.uniform(-3, -1, count)) * rng.normal(size=value.shape)


def heavy_tailed_latencies(rng: np.random.Generator, count: int, steps: int) -> Array:
    """Return latencies: log-normal around an autocorrelated level, now and then a spike of Pareto height."""
    level = _column(rng.uniform(0.05, 0.6, count)) * _autoregressive(rng, count, steps, 0.5, 0.99)
    noise = _column(10 ** rng.uniform(-2, -0.3, count)) * rng.normal(size=(count, steps))
    spikes = rng.random((count, steps)) < _column(rng.uniform(0, 0.04, count))
    height = np.where(spikes, 1 + rng.pareto(2.5, (count, steps)), 1)
    return np.exp(level + 0.3 * _smooth(rng, count, steps) + noise) * height


def gauge_steps(rng: np.random.Generator, count: int, steps: int) -> Array:
    """Return gauges that jump between levels: replicas, connections, limits; a jump each 10 to 500 steps."""
    jumps = rng.random((count, steps)) < 1 / _log_uniform(rng, count, 10, 500)
    jumps[np.arange(count), rng.integers(0, steps, count)] = True
    level = np.cumsum(np.where(jumps, rng.normal(size=jumps.shape), 0), axis=1)
    back = _column(rng.uniform(0, 0.9, count)) * level  # some return towards where they began
    level = np.where(np.cumsum(jumps, axis=1) % 2 == 0, level - back, level)
    return level + _column(10 ** rng.uniform(-3, -0.3, count)) * rng.normal(size=level.shape)


def daily_loads(rng: np.random.Generator, count: int, steps: int) -> Array:
    """Return request rates over days of 24 to 600 steps: a skewed shape, a weekly swing, autocorrelated noise."""
    angle = 2 * np.pi * (np.arange(steps) / _log_uniform(rng, count, 24, 600) + rng.random((count, 1)))
    second = _column(rng.uniform(0, 0.7, count)) * np.sin(2 * angle + rng.uniform(0, 6, (count, 1)))
    shape = np.exp(_column(rng.uniform(0.3, 1.5, count)) * np.sin(angle) + second)
    week = 1 + _column(rng.uniform(0, 0.4, count)) * np.sin(angle / 7)
    noise = _column(10 ** rng.uniform(-2, -0.5, count)) * _autoregressive(rng, count, steps, 0, 0.95)
    return shape * week * np.exp(noise)


def autoregressive_noise(rng: np.random.Generator, count: int, steps: int) -> Array:
    """Return stationary noise, from white to slowly wandering: utilisation of a busy but healthy service."""
    return _autoregressive(rng, count, steps, 0, 0.99)


def queue_backlogs(rng: np.random.Generator, count: int, steps: int) -> Array:
    """Return queues that fill and drain (Lindley's recursion): never trained on, kept for the gate."""
    total = steps + WARM_UP
    load = rng.uniform(0.7, 1.05, (count, 1)) * np.exp(0.2 * _smooth(rng, count, total))
    served = _log_uniform(rng, count, 2, 50)
    change = rng.poisson(load * served) - served
    walk = np.cumsum(change, axis=1)
    backlog = walk - np.minimum(np.minimum.accumulate(walk, axis=1), 0)
    return backlog[:, WARM_UP:]


TRAINED: Mapping[str, Generate] = MappingProxyType(
    {
        "kernel_composed": kernel_composed,
        "bursty_counters": bursty_counters,
        "saw_tooth_memory": saw_tooth_memory,
        "heavy_tailed_latencies": heavy_tailed_latencies,
        "gauge_steps": gauge_steps,
        "daily_loads": daily_loads,
        "autoregressive_noise": autoregressive_noise,
    }
)
"""Kinds of series that pretraining sees."""

HELD_OUT: Mapping[str, Generate] = MappingProxyType({"queue_backlogs": queue_backlogs})
"""Kinds that only the gate sees."""


def as_recorded(rng: np.random.Generator, series: Array) -> Array:
    """Return series [n, L] as collectors store some of them.

    One in five is a trailing mean over 2 to 32 steps, one in ten rounded, one in five held between readings that
    come every 2 to 16 steps, on time in one half of them and at random moments in the other.
    """
    count, steps = len(series), int(series.shape[1])
    width = np.exp(rng.uniform(np.log(2), np.log(33), count)).astype(np.int64)
    series = _moving_mean(series, np.where(rng.random(count) < 0.2, width, 1))
    step = _spread(series) * _column(10 ** rng.uniform(-2, 0, count))
    rounded = np.where(step > 0, np.round(series / np.where(step > 0, step, 1)) * step, series)
    series = np.where(_column(rng.random(count) < 0.1), rounded, series)
    return np.take_along_axis(series, _last_readings(rng, count, steps), axis=1)


def _last_readings(rng: np.random.Generator, count: int, steps: int) -> NDArray[np.int64]:
    """Return the step [n, L] at which the value shown at each step was read."""
    t = np.arange(steps)
    every = np.exp(rng.uniform(np.log(2), np.log(17), count)).astype(np.int64)
    every = np.where(rng.random(count) < 0.2, every, 1)
    on_time = t % _column(every) == 0
    at_random = rng.random((count, steps)) < 1 / _column(every)
    read = np.where(_column(rng.random(count) < 0.5), on_time, at_random)
    return np.maximum.accumulate(np.where(read, t, 0), axis=1)


def _one_of_kernels(rng: np.random.Generator, count: int, steps: int) -> Array:
    kinds = rng.integers(0, 4, count)
    t = np.linspace(-1, 1, steps)
    parts = (
        _periodic(rng, count, steps),
        _smooth(rng, count, steps, shortest=4),
        _column(2 * rng.normal(size=count)) * t,
        np.cumsum(rng.normal(size=(count, steps)), axis=1) / np.sqrt(steps),
    )
    return np.select([_column(kinds == kind) for kind in range(4)], parts)


def _periodic(rng: np.random.Generator, count: int, steps: int) -> Array:
    angle = 2 * np.pi * np.arange(steps) / _log_uniform(rng, count, 5, 400)
    value = np.zeros((count, steps))
    for harmonic in (1, 2, 3):
        weight, phase = rng.normal(size=(count, 1)) / harmonic, rng.uniform(0, 2 * np.pi, (count, 1))
        value += weight * np.sin(harmonic * angle + phase)
    return value


def _smooth(rng: np.random.Generator, count: int, steps: int, shortest: float = 10, waves: int = 16) -> Array:
    """Return a Gaussian process with a squared-exponential kernel of 10 to 200 steps, by random Fourier features."""
    scale = _log_uniform(rng, count, shortest, 200)[:, :, None]
    frequency = rng.normal(size=(count, 1, waves)) / scale
    phase = rng.uniform(0, 2 * np.pi, (count, 1, waves))
    value: Array = np.cos(frequency * np.arange(steps)[None, :, None] + phase).sum(-1)
    return value * math.sqrt(2 / waves)


def _autoregressive(rng: np.random.Generator, count: int, steps: int, lowest: float, highest: float) -> Array:
    """Return first-order autoregressive noise of variance 1, its coefficient one of 16 between two bounds."""
    value = np.empty((count, steps))
    phis = rng.uniform(lowest, highest, 16)
    for phi, rows in zip(phis, np.array_split(np.arange(count), 16), strict=True):
        shocks = rng.normal(size=(len(rows), steps + WARM_UP))
        value[rows] = lfilter([np.sqrt(1 - phi**2)], [1, -phi], shocks, axis=1)[:, WARM_UP:]
    return value


def _moving_mean(series: Array, widths: NDArray[np.int64]) -> Array:
    """Return the trailing mean over each series' own number of steps (fewer at its beginning)."""
    steps = int(series.shape[1])
    total = np.concatenate([np.zeros((len(series), 1)), np.cumsum(series, axis=1)], axis=1)
    end = np.arange(1, steps + 1)
    start = np.maximum(end - widths[:, None], 0)
    mean: Array = (total[:, 1:] - np.take_along_axis(total, start, axis=1)) / (end - start)
    return mean


def _log_uniform(rng: np.random.Generator, count: int, low: float, high: float) -> Array:
    drawn: Array = np.exp(rng.uniform(np.log(low), np.log(high), (count, 1)))
    return drawn


def _spread(series: Array) -> Array:
    spread: Array = series.std(axis=1, keepdims=True)
    return spread


def _column(values: NDArray[Scalar]) -> NDArray[Scalar]:
    return values[:, None]
