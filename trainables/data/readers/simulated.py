"""Simulated telemetry of a railway-ticket application: 11 services x 8 metrics, 14 fault types.

Not real data, and results on it say nothing about a real system: it exists so that everything can be
tried at once, with faults that are neither obvious nor hopeless. The same settings give the same bytes.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from trainables.data.assemble import RawColumns
from trainables.data.readers.reader import Reader, Say
from trainables.data.readers.simulated_faults import Injection, schedule
from trainables.data.readers.simulated_system import METRICS, SERVICES, Disturbance, simulate
from trainables.data.series import Quality
from trainables.settings import DataSettings

STEP_S = 15
START = np.datetime64("2024-03-04T00:00:00", "ns")
SIGNIFICANT_DIGITS = 5
"""Values are rounded as an exporter would, which also hides last-bit differences between processors."""


def recordings(data: DataSettings, say: Say) -> Iterator[RawColumns]:
    """Give `data.rows` rows of simulated telemetry for `data.seed`.

    Four or more rounds of time hold every fault type once each, in another order, on other services and
    with other severities. Labels begin and end a few rows off, as an operator's do; recovery after a
    fault is `guard`. Load spikes, deployments, batch jobs and housekeeping are normal.
    """
    streams = np.random.SeedSequence([0x7E1E, data.seed, data.rows]).spawn(3)
    injections = schedule(data.rows, np.random.default_rng(streams[0]))
    disturbance = Disturbance.quiet(data.rows)
    for injection in injections:
        injection.apply(disturbance)
    disturbance.add_benign(np.random.default_rng(streams[1]))
    values = simulate(disturbance, np.random.default_rng(streams[2]))
    labels, fault_type, service, quality = _annotate(injections, data.rows)
    say(f"Simulated telemetry (seed {data.seed}), not measured on a real system.")
    yield RawColumns(
        where="simulated",
        timestamps=START + np.arange(data.rows) * np.timedelta64(STEP_S, "s"),
        values=_rounded(values),
        columns=tuple(f"{service}_{metric}" for service in SERVICES for metric in METRICS),
        labels=labels,
        fault_type=fault_type,
        service=service,
        segment=np.full(data.rows, "all", dtype=object),
        quality=quality,
        line=lambda row: f"row {row}",
        simulated=True,
    )


READER = Reader(
    about="generated telemetry of a microservice system: 88 features, 14 fault types",
    example="simulated --rows 20000",
    recordings=recordings,
)


def _annotate(
    injections: list[Injection], rows: int
) -> tuple[NDArray[np.int8], NDArray[np.object_], NDArray[np.object_], NDArray[np.int8]]:
    """Return labels, fault types, services and label quality by row, as an operator would note them."""
    labels = np.zeros(rows, dtype=np.int8)
    fault_type, service = np.full(rows, "", dtype=object), np.full(rows, "", dtype=object)
    quality = np.full(rows, int(Quality.OK), dtype=np.int8)
    for injection in injections:
        noted = slice(injection.noted_start, injection.noted_stop)
        labels[noted] = 1
        fault_type[noted], service[noted] = injection.fault_type, SERVICES[injection.service]
        quality[injection.noted_stop : injection.recovered] = Quality.GUARD
    return labels, fault_type, service, quality


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return values to `SIGNIFICANT_DIGITS` digits; zero and NaN stay."""
    with np.errstate(divide="ignore"):
        exponent = np.floor(np.log10(np.abs(values)))
    exponent = np.where(np.isfinite(exponent), exponent, 0.0)
    scale = 10.0 ** (SIGNIFICANT_DIGITS - 1 - exponent)
    return np.asarray(np.round(values * scale) / scale, dtype=np.float32)
