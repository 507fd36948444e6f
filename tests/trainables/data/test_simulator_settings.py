"""What each parameter of the simulator does."""

import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from trainables.data import load_source
from trainables.data.readers.simulated_faults import FAULT_TYPES, schedule
from trainables.settings import DataSettings, SimulatorSettings

ROWS = 4000


def simulated(rows=ROWS, **parameters):
    return load_source(DataSettings(rows=rows, simulator=SimulatorSettings(**parameters)))


def injections(rows=20_000, services=11, **parameters):
    return schedule(rows, services, SimulatorSettings(**parameters), np.random.default_rng(0))


def of(series, metric):
    return series.values[:, [name.endswith(metric) for name in series.columns]]


@pytest.mark.parametrize("services", [2, 5, 12, 40])
def test_a_system_has_eight_features_a_service_and_load_on_each(services):
    series = simulated(services=services)
    assert 8 * services == len(series.columns) == len(set(series.columns))
    assert (np.nanmedian(of(series, "_requests_per_s"), axis=0) > 0.5).all()
    assert np.nanmedian(of(series, "_cpu_percent")) < 90
    assert series.events


def test_load_follows_the_requests_at_the_gateway():
    few, many = (float(np.nanmean(of(simulated(requests_per_s=rate), "_requests_per_s")[:, 0])) for rate in (6, 600))
    assert 100 == pytest.approx(many / few, rel=0.05)


def test_faults_come_as_often_as_asked():
    assert 112 == len(injections(rows=20_000))  # 14 kinds in 8 rounds
    assert 240 == len(injections(rows=20_000, faults_per_1000_rows=12))
    assert 40 == len(injections(rows=20_000, faults_per_1000_rows=2))
    few = injections(rows=20_000, faults_per_1000_rows=2)
    assert all(one.recovered <= after.start for one, after in itertools.pairwise(few))


def test_only_kinds_with_a_weight_occur_and_about_as_often():
    kinds = [one.fault_type for one in injections(fault_mix={"network_delay": 3, "deadlock": 1, "gc_pauses": 0})]
    assert {"network_delay", "deadlock"} == set(kinds)
    assert 0.75 == pytest.approx(kinds.count("network_delay") / len(kinds), abs=0.2)


def test_severity_multiplies_what_a_fault_does():
    mix = {"fault_mix": {"network_delay": 1}}
    rise = {}
    for name, severity in (("none", (0, 0)), ("mild", (1, 1)), ("grave", (4, 4))):
        series = simulated(severity=severity, **mix)
        worst = of(series, "_latency_mean_ms").max(axis=1)
        rise[name] = np.nanmean(worst[series.labels == 1]) - np.nanmean(worst[series.labels == 0])
    assert rise["none"] < 5 < rise["mild"] < rise["grave"] / 2


def test_a_second_fault_lies_within_the_first_and_shares_its_label():
    both = injections(overlap=1.0)
    for first, second in zip(both[::2], both[1::2], strict=True):
        assert first.start <= second.start < second.stop <= first.stop
    assert 2 * len(injections()) == len(both)
    assert len(simulated().events) == len(simulated(overlap=1.0).events)


def test_labels_are_late_and_off_as_told_and_some_faults_unnoted():
    prompt = injections(label_delay=(0, 0), label_jitter=0)
    assert all((one.noted_start, one.noted_stop) == (one.start, one.stop) for one in prompt)
    late = injections(label_delay=(10, 20), label_jitter=0)
    delays = {one.noted_start - one.start for one in late}
    assert 10 <= min(delays) < max(delays) <= 20
    missed = injections(unnoted=0.5)
    assert 0.5 == pytest.approx(np.mean([one.noted for one in missed]), abs=0.15)
    assert len(simulated(unnoted=0.5).events) < len(simulated().events)


def test_an_absurd_delay_leaves_every_fault_at_least_a_row():
    for one in injections(label_delay=(0, 500), label_jitter=500):
        assert one.noted_start < one.noted_stop
        assert one.noted_start < one.recovered
    assert len(simulated(label_delay=(0, 500), label_jitter=500)) == ROWS


def test_without_drift_and_deployments_levels_return():
    def wander(**parameters):
        memory = of(simulated(rows=12_000, **parameters), "_memory_mb")
        return float(np.abs(np.log(np.nanmedian(memory[:3000], axis=0) / np.nanmedian(memory[-3000:], axis=0))).mean())

    assert wander(drift=0, deployment_every=None) < 0.01 < wander() < wander(drift=5)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"services": 1}, "services"),
        ({"fault_mix": {"network_lag": 1}}, "network_lag"),
        ({"fault_mix": {"deadlock": 0}}, "every kind of fault the weight 0"),
        ({"fault_mix": {}}, "fault_mix"),
        ({"severity": (2, 1)}, r"severity must be \[least, most\], got \[2, 1\]"),
        ({"label_delay": (4, 0)}, "label_delay must be"),
        ({"overlap": 1.5}, "overlap"),
        ({"drift": float("nan")}, "drift"),
        ({"faults_per_1000_rows": 13}, "faults_per_1000_rows"),
        ({"services_": 3}, "services_"),
    ],
)
def test_what_cannot_be_is_refused_by_name(wrong, said):
    with pytest.raises(ValidationError, match=said):
        SimulatorSettings(**wrong)


def test_the_settings_know_every_kind_of_fault():
    assert dict.fromkeys(FAULT_TYPES, 1.0) == {kind: SimulatorSettings().weight(kind) for kind in FAULT_TYPES}
    assert set(FAULT_TYPES) == set(SimulatorSettings(fault_mix=dict.fromkeys(FAULT_TYPES, 1)).fault_mix)
