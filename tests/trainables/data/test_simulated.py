import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import average_precision_score

from orchestrator.plan import series_digest
from trainables.data import check_supply, draw_support, load_source, prepare
from trainables.data.readers import simulated
from trainables.data.readers.simulated_faults import FAULT_TYPES
from trainables.data.readers.simulated_system import CALLS, METRICS, SERVICES, Disturbance, make_system, simulate
from trainables.data.series import Quality
from trainables.settings import DataSettings, SimulatorSettings


@pytest.fixture(scope="module")
def series():
    return load_source(DataSettings())


def test_the_default_is_ten_thousand_rows_of_88_features_every_15_seconds(series):
    assert ((10_000, 88), 15.0) == (series.values.shape, series.step_s)
    assert series.simulated
    assert "not measured on a real system" in series.notes[0]


def test_column_names_are_service_underscore_metric(series):
    assert set(SERVICES) == {name.split("_", 1)[0] for name in series.columns}
    assert {8} == {sum(name.startswith(f"{service}_") for name in series.columns) for service in SERVICES}


def test_four_rounds_each_hold_every_fault_type_once(series):
    assert 56 == len(series.events)
    for number in range(4):
        kinds = [event.fault_type for event in series.events[14 * number : 14 * number + 14]]
        assert sorted(FAULT_TYPES) == sorted(kinds)


def test_types_are_shuffled_and_services_vary_between_rounds(series):
    orders = {tuple(event.fault_type for event in series.events[14 * n : 14 * n + 14]) for n in range(4)}
    assert 4 == len(orders)
    leaks = {event.service for event in series.events if event.fault_type == "memory_leak"}
    assert len({event.service for event in series.events}) >= 8
    assert leaks


def test_the_default_split_gives_two_rounds_support_one_validation_one_test(series, make_settings):
    parts = prepare(series, make_settings(window=32), 0)
    counts = [len(np.unique(windows.event[windows.y == 1])) for windows in (parts.pool, parts.validation, parts.test)]
    assert [28, 14, 14] == counts
    assert set(FAULT_TYPES) == set(parts.test.fault_type.tolist()) - {"normal"}


def test_a_seventh_to_a_quarter_of_the_rows_are_faulty(series):
    assert 0.15 <= series.labels.mean() <= 0.25


def test_recovery_is_guard_and_normal(series):
    guard = series.quality == Quality.GUARD
    assert guard.sum() > 300
    assert {0} == set(series.labels[guard].tolist())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(series):
    again, other = load_source(DataSettings()), load_source(DataSettings(seed=1))
    assert series.values.tobytes() == again.values.tobytes()
    assert series.events == again.events
    assert series.values.tobytes() != other.values.tobytes()


@pytest.mark.parametrize("rows", [1000, 1777, 4000, 20_000])
def test_any_size_from_a_thousand_rows_works(rows, make_settings):
    series = load_source(DataSettings(rows=rows))
    assert rows == len(series)
    assert [] == check_supply(series, make_settings(window=32, score_stride=4), (0, 100))
    assert all(first.stop < second.start for first, second in zip(series.events, series.events[1:], strict=False))


def test_values_are_plausible(series):
    def metric(name):
        return series.values[:, [i for i, column in enumerate(series.columns) if column.endswith(name)]]

    for name in ("requests_per_s", "latency_mean_ms", "latency_p99_ms", "memory_mb", "threads_busy"):
        assert np.nanmin(metric(name)) >= 0
    assert np.nanmax(metric("cpu_percent")) <= 100
    assert np.nanmax(metric("errors_percent")) <= 100
    assert 0.001 < np.isnan(series.values).mean() < 0.02


def test_the_call_graph_has_callers_before_callees():
    assert all(SERVICES.index(caller) < SERVICES.index(callee) for caller in CALLS for callee in CALLS[caller])


def test_a_network_delay_reaches_the_callers_weakened():
    rows = slice(200, 300)
    system = make_system(SimulatorSettings())
    quiet, slow = (Disturbance.quiet(400, len(SERVICES)) for _ in range(2))
    service = SERVICES.index("ts-station-service")
    slow.delay_ms[rows, service] += 100
    difference = simulate(system, slow, np.random.default_rng(1)) - simulate(system, quiet, np.random.default_rng(1))
    latency = difference.reshape(400, len(SERVICES), -1)[:, :, METRICS.index("latency_mean_ms")]
    own, caller, other = (
        float(np.nanmean(latency[rows, SERVICES.index(name)]))
        for name in ("ts-station-service", "ts-order-service", "ts-price-service")
    )
    assert 100 == pytest.approx(own, rel=0.01)
    assert 10 < caller < own
    assert 0 == pytest.approx(other)


def features(windows):
    x = windows.x
    steps = np.arange(x.shape[2]) - (x.shape[2] - 1) / 2
    return np.concatenate([x.mean(axis=2), x.std(axis=2), (x * steps).sum(axis=2)], axis=1)


def test_random_windows_flatter_a_random_forest(series, make_settings):
    found = {}
    for by in ("event", "random_windows"):
        settings = make_settings(by=by, window=32, score_stride=4, caps={"test": 600})
        parts = prepare(series, settings, 0)
        index = draw_support(parts.pool, source="simulated", shots=500, draw=100, few_shot=settings.few_shot)
        support = parts.pool.take(index)
        forest = RandomForestClassifier(60, random_state=0).fit(features(support), support.y)
        found[by] = average_precision_score(parts.test.y, forest.predict_proba(features(parts.test))[:, 1])
    assert 0.5 <= found["event"] <= 0.75  # measured 0.67
    assert found["random_windows"] >= found["event"] + 0.1  # measured 0.94


def test_the_default_telemetry_is_the_same_bytes_as_ever(series):
    assert "dc181c7b2d5d429de28919d2681cb7ac" == series_digest(series)


def test_long_telemetry_is_several_recordings_of_one_system_that_go_on_in_time(monkeypatch):
    monkeypatch.setattr(simulated, "RECORDING_ROWS", 1500)
    long = load_source(DataSettings(rows=4000))
    assert ("1", "2", "3") == long.segments
    assert 1 == len(np.unique(np.diff(long.timestamps)))
    assert 3 == len({long.values[long.segment == number][:100].tobytes() for number in range(3)})
