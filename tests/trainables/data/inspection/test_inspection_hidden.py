"""How many of the faults that nobody labelled the audit finds, and how many stretches it names for nothing."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from trainables.data.inspection.view import View
from trainables.data.inspection.visibility import visibility
from trainables.data.readers import load_source
from trainables.data.series import Quality
from trainables.settings import DataSettings, SimulatorSettings

HIDDEN = "unlabelled, looks like a fault"
PLAIN = SimulatorSettings(
    faults_per_1000_rows=2.0, severity=(1.5, 4.0), label_delay=(0, 0), label_jitter=0, drift=0.5,
    deployment_every=None,
)  # fmt: skip
"""Faults as strong as in the TrainTicket traces, and no deployments: those look like faults for good reason."""


def telemetry(seed, **changes):
    """Simulated telemetry as somebody has it who knows nothing of label quality."""
    settings = PLAIN.model_copy(update=changes)
    series = load_source(DataSettings(rows=10_000, seed=seed, simulator=settings))
    return dataclasses.replace(series, quality=np.full_like(series.quality, Quality.OK))


def hide(series, hidden):
    """The same telemetry, with these faults labelled normal."""
    kept = [number for number in range(len(series.events)) if number not in hidden]
    place = np.full(len(series.events) + 1, -1, dtype=np.int32)
    place[kept] = np.arange(len(kept))
    event = place[series.event]
    return dataclasses.replace(
        series,
        labels=np.where(event >= 0, series.labels, 0).astype(np.int8),
        event=event,
        events=tuple(series.events[number] for number in kept),
    )


def named(series):
    """Stretches that the audit names, as (first, last) time."""
    found = [finding.times for finding in visibility(View(series)) if finding.kind == HIDDEN]
    return [(pd.Timestamp(first), pd.Timestamp(last)) for first, last in (found[0] if found else ())]


def judged(series, hidden):
    """How many hidden faults lie in a named stretch, and how many stretches hold no fault at all."""
    times = pd.DatetimeIndex(series.timestamps).tz_localize("UTC")
    spans = [(times[event.start], times[event.stop - 1]) for event in series.events]
    stretches = named(hide(series, hidden))
    caught = sum(any(a <= last and first <= b for a, b in stretches) for first, last in (spans[n] for n in hidden))
    false = sum(not any(a <= last and first <= b for first, last in spans) for a, b in stretches)
    return caught, false


@pytest.mark.parametrize(
    ("rate", "hidden_of", "of", "found", "for_nothing"), [(2.0, 5, 16, 14, 31), (0.6, 1, 32, 15, 12)]
)
def test_hidden_faults_of_simulated_telemetry_are_found(rate, hidden_of, of, found, for_nothing):
    """A fifth of the faults without their labels, then all of them, so that there is nothing to compare with."""
    recordings = [telemetry(seed, faults_per_1000_rows=rate) for seed in (12, 13, 15, 16)]
    hidden = [range(0, len(series.events), hidden_of) for series in recordings]
    caught, false = np.sum([judged(*both) for both in zip(recordings, hidden, strict=True)], axis=0)
    assert of == sum(map(len, hidden))
    assert caught >= found - 1
    assert false <= for_nothing + 2


def test_few_stretches_are_named_where_no_fault_is():
    quiet = [telemetry(seed, severity=(0, 0)) for seed in (1, 2, 3, 4)]
    counts = [len(named(hide(series, range(len(series.events))))) for series in quiet]
    assert sum(counts) <= 15  # of 167 hours: load spikes and batch jobs are part of the simulation
