"""Simulated telemetry of a railway-ticket application: 11 services x 8 metrics, 14 fault types.

Not real data, and results on it say nothing about a real system: it exists so that everything can be
tried at once, with faults that are neither obvious nor hopeless. The same settings give the same bytes.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainables.data.assemble import RawColumns
from trainables.data.readers.reader import Reader, Say
from trainables.data.readers.simulated_faults import Injection, schedule
from trainables.data.readers.simulated_system import METRICS, Disturbance, System, make_system, simulate
from trainables.data.series import Quality
from trainables.settings import DataSettings, SimulatorSettings

STEP_S = 15
START = np.datetime64("2024-03-04T00:00:00", "ns")
RECORDING_ROWS = 100_000
"""Most rows that are generated together; longer telemetry is several recordings, each a segment."""
SIGNIFICANT_DIGITS = 5
"""Values are rounded as an exporter would, which also hides last-bit differences between processors."""


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give `data.rows` rows of simulated telemetry for `data.seed`, in recordings of at most `RECORDING_ROWS`.

    Four or more rounds of time hold every fault type once each, in another order, on other services and
    with other severities. Labels begin and end a few rows off, as an operator's do; recovery after a
    fault is `guard`. Load spikes, deployments, batch jobs and housekeeping are normal.
    """
    say(f"Simulated telemetry (seed {data.seed}), not measured on a real system.")
    count = -(-data.rows // RECORDING_ROWS)
    borders = np.linspace(0, data.rows, count + 1).astype(np.int64)
    for number, (first, stop) in enumerate(itertools.pairwise(borders.tolist())):
        entropy = [0x7E1E, data.seed, data.rows, *([number] if count > 1 else [])]
        yield _recording(
            data.simulator,
            np.random.SeedSequence(entropy),
            first,
            stop - first,
            f"{number + 1}" if count > 1 else "all",
        )


def _recording(
    settings: SimulatorSettings, seed: np.random.SeedSequence, first: int, rows: int, segment: str
) -> RawColumns:
    """Return one stretch of time with faults of its own; `first` is its place in the whole."""
    streams = seed.spawn(3)
    system = make_system(settings)
    injections = schedule(rows, len(system), settings, np.random.default_rng(streams[0]))
    disturbance = Disturbance.quiet(rows, len(system))
    for injection in injections:
        injection.apply(disturbance)
    disturbance.add_benign(system, np.random.default_rng(streams[1]))
    values = simulate(system, disturbance, np.random.default_rng(streams[2]))
    labels, fault_type, service, quality = _annotate(injections, system, rows)
    return RawColumns(
        where="simulated",
        timestamps=START + np.arange(first, first + rows) * np.timedelta64(STEP_S, "s"),
        values=_rounded(values),
        columns=tuple(f"{service}_{metric}" for service in system.services for metric in METRICS),
        labels=labels,
        fault_type=fault_type,
        service=service,
        segment=np.full(rows, segment, dtype=object),
        quality=quality,
        line=lambda row: f"row {first + row}",
        simulated=True,
    )


READER = Reader(
    about="generated telemetry of a microservice system: 88 features, 14 fault types",
    example="simulated --rows 20000",
    recordings=recordings,
    streams="by recording",
)


def _annotate(
    injections: list[Injection], system: System, rows: int
) -> tuple[NDArray[np.int8], NDArray[np.object_], NDArray[np.object_], NDArray[np.int8]]:
    """Return labels, fault types, services and label quality by row, as an operator would note them."""
    labels = np.zeros(rows, dtype=np.int8)
    fault_type, service = np.full(rows, "", dtype=object), np.full(rows, "", dtype=object)
    quality = np.full(rows, int(Quality.OK), dtype=np.int8)
    for injection in injections:
        if not injection.noted:
            continue
        noted = np.arange(injection.noted_start, injection.noted_stop)
        noted = noted[labels[noted] == 0]  # of two at once, the one that was noted first
        labels[noted] = 1
        fault_type[noted], service[noted] = injection.fault_type, system.services[injection.service]
        tail = np.arange(injection.noted_stop, injection.recovered)
        quality[tail[labels[tail] == 0]] = Quality.GUARD
    return labels, fault_type, service, quality


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return values to `SIGNIFICANT_DIGITS` digits; zero and NaN stay."""
    with np.errstate(divide="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
    exponent = np.where(np.isfinite(exponent), exponent, 0.0)
    scale = 10.0 ** (SIGNIFICANT_DIGITS - 1 - exponent)
    return np.asarray(np.round(values * scale) / scale, dtype=np.float32)
