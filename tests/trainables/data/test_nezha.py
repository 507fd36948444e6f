# ruff: noqa: PD011  (values is our array, not a frame's)
"""Nezha and TraStrainer: clocks of the fault lists, pods, edges, spans."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.fakes.layouts import LAYOUTS, SPANS, START, csv, fault_list, put, span, zoned
from trainables.data import load_source
from trainables.data.readers.nezha_faults import annotate, read_faults, service_of
from trainables.data.series import Quality
from trainables.errors import DataError
from trainables.settings import DataSettings


def read(source, path, **settings):
    return load_source(DataSettings(source=source, path=path, **settings))


def entry(text, epoch, pod="ts-food-service-f5756978c-6sb8t"):
    return {"inject_time": text, "inject_timestamp": str(epoch), "inject_pod": pod, "inject_type": "return"}


def starts_of(folder, *entries):
    put(folder / "2023-01-29-fault_list.json", json.dumps({"09": list(entries)}))
    notes = []
    return [fault.start for fault in read_faults(folder, folder, notes.append)], notes


NINE = int(pd.Timestamp("2023-01-29T09:00:00Z").timestamp())


@pytest.mark.parametrize(
    ("epoch", "start"),
    [
        (NINE, NINE),
        (NINE + 60, NINE + 60),  # a minute apart: the epoch field fits the onset
        (NINE - 8 * 3600 + 40, NINE + 40),  # eight hours behind, as on 2023-01-29
        (NINE - 500, NINE),  # neither: the text counts
    ],
)
def test_the_epoch_field_counts_unless_it_contradicts_the_text(tmp_path, epoch, start):
    assert [start] == starts_of(tmp_path, entry("2023-01-29 09:00:00", epoch))[0]


def test_an_epoch_that_repeats_its_predecessor_gives_way_to_the_text(tmp_path):
    first, second = entry("2023-01-29 09:03:53", NINE - 28800 + 273), entry("2023-01-29 09:12:56", NINE - 28800 + 273)
    starts, notes = starts_of(tmp_path, first, second)
    assert [NINE + 273, NINE + 776] == starts
    moved = "2023-01-29-fault_list.json: the epoch field of 1 fault was moved by whole hours, "
    assert [f"{moved}1 start taken from the text field."] == notes


def test_a_service_is_its_pod_without_the_last_two_parts():
    assert "ts-food-service" == service_of("ts-food-service-f5756978c-6sb8t")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a JSON file"),
        ("[]", "an object of hour -> list of faults"),
        ('{"09": [{"inject_time": "2023-01-29 09:00:00"}]}', r"09\[0\]: inject_time, inject_timestamp"),
    ],
)
def test_a_fault_list_that_cannot_be_understood_is_refused_by_place(tmp_path, text, says):
    put(tmp_path / "label.json", text)
    with pytest.raises(DataError, match=says):
        read_faults(tmp_path, tmp_path, lambda note: None)


def test_the_middle_of_the_interval_decides_and_rows_around_are_guard(tmp_path):
    start = starts_of(tmp_path, entry("2023-01-29 09:00:00", NINE))[0][0]
    faults = read_faults(tmp_path, tmp_path, lambda note: None)
    seconds = start + np.arange(-180, 600, 60)
    said = annotate(seconds, 60, faults, "2023-01-29")
    assert [60, 120, 180] == (seconds - start)[said.labels == 1].tolist()
    assert [0, 240, 300, 360] == (seconds - start)[said.quality == Quality.GUARD].tolist()


def test_files_stamped_seconds_apart_share_a_row_and_a_wrong_epoch_column_is_told_and_does_no_harm(tmp_path):
    series = read("nezha", LAYOUTS["nezha"].write(tmp_path))
    assert [START + 60 * i for i in range(20)] == (series.timestamps[:20].astype(np.int64) // 10**9).tolist()
    assert list(range(20)) == series.values[:20, series.columns.index("ts-food-service_CpuUsage(m)")].tolist()
    assert any("its column TimeStamp is up to" in note for note in series.notes)


def test_several_pods_of_a_service_keep_their_names(tmp_path):
    root = LAYOUTS["nezha"].write(tmp_path)
    metric = root / "day0" / "metric"
    (metric / "ts-food-service-f5756978c-other_metric.csv").write_text(
        (metric / "ts-food-service-f5756978c-6sb8t_metric.csv").read_text()
    )
    series = read("nezha", root)
    assert "ts-food-service-f5756978c-other_CpuUsage(m)" in series.columns
    assert any("day0: several pods of ts-food-service" in note for note in series.notes)


def test_latencies_of_edges_are_features_of_their_own(tmp_path):
    root = LAYOUTS["nezha"].write(tmp_path)
    rows = [(zoned(START + 60 * i + 1), START, i) for i in range(20)]
    for end in ("source_50", "destination_50"):
        put(root / "day0" / "metric" / f"{end}.csv", csv("time,timestamp,frontend_cartservice", *rows))
    columns = read("nezha", root).columns
    assert {"edge_frontend_cartservice_source_50", "edge_frontend_cartservice_destination_50"} <= set(columns)


def test_a_time_without_a_zone_is_refused_by_line(tmp_path):
    root = LAYOUTS["nezha"].write(tmp_path)
    path = root / "day1" / "metric" / "front_service.csv"
    put(path, csv("Time,TimeStamp,ServiceName,a", (zoned(START), 1, "F", 1), ("noon", 1, "F", 1)))
    with pytest.raises(DataError, match=r"front_service\.csv: line 3: 'noon' is not a time with its zone"):
        read("nezha", root)


def test_one_list_above_several_batches_serves_them_all(tmp_path):
    root = LAYOUTS["nezha_traces"].write(tmp_path)
    for day in ("day0", "day1"):
        (root / day / "label.json").unlink()
    put(root / "label.json", fault_list(START + 300, START + 86_400 + 300))
    assert 2 == len(read("nezha_traces", root).events)


def test_spans_become_rates_and_both_sides_of_a_latency(tmp_path):
    series = read("nezha_traces", LAYOUTS["nezha_traces"].write(tmp_path))
    values = dict(zip(series.columns, series.values.T, strict=True))
    assert {50.0} == set(values["ts-food-service_server_latency_mean_ms"].tolist())
    assert {60.0} == set(values["ts-food-service_client_latency_mean_ms"].tolist())
    assert {100.0} == set(values["ts-gateway-service_server_latency_p99_ms"].tolist())
    assert 8 / 30 == pytest.approx(float(values["ts-gateway-service_requests_per_s"].mean()), rel=1e-6)
    assert 0.75 == pytest.approx(float(values["all_spans_per_s"].mean()), rel=0.1)


def test_repeated_spans_count_once_and_silence_is_missing_not_zero(tmp_path):
    spans = [span(i, 0, "root", "ts-gateway-service", START + i, 10) for i in range(120)]
    spans += [span(50, 1, "s50.0", "ts-food-service", START + 50, 5)] * 3
    put(tmp_path / "trace" / "00_00_trace.csv", csv(SPANS, *spans))
    put(tmp_path / "label.json", fault_list(START + 60))
    series = read("nezha_traces", tmp_path)
    food = series.values[:, series.columns.index("ts-food-service_server_latency_mean_ms")]
    calls = series.values[:, series.columns.index("ts-food-service_requests_per_s")]
    assert [0.0] == sorted(set(calls[np.isnan(food)].tolist()))
    assert 1 / 30 == pytest.approx(float(calls.max()))
    assert any("2 repeated spans left out" in note for note in series.notes)


def test_missing_minutes_have_no_rows(tmp_path):
    spans = [span(i, 0, "root", "ts-gateway-service", START + (i if i < 100 else i + 500), 10) for i in range(200)]
    put(tmp_path / "trace" / "00_00_trace.csv", csv(SPANS, *spans))
    put(tmp_path / "label.json", fault_list(START + 60))
    series = read("nezha_traces", tmp_path)
    assert 2 == len(series.segments)
    gap = np.diff(series.timestamps.astype(np.int64) // 10**9).max()
    assert 500 + 30 <= gap <= 500 + 30 + 8


def test_the_day_beside_the_project_is_that_of_its_table(shared_data):
    series = read("nezha", shared_data / "raw_samples/nezha")
    table = pd.read_parquet(shared_data / "trainticket_metrics_1min/2023-01-30.parquet")
    assert table["timestamp"].tolist() == (series.timestamps.astype(np.int64) // 10**9).tolist()
    assert table["label"].tolist() == series.labels.tolist()
    assert 17 == len(series.events)
    np.testing.assert_array_equal(table[list(series.columns)].to_numpy(), series.values)
    qualities = table["label_quality"].str.upper().map({quality.name: int(quality) for quality in Quality})
    assert (qualities.to_numpy() == series.quality).mean() > 0.99


def test_the_minute_of_spans_beside_the_project_gives_rows_of_the_table(shared_data):
    series = read("nezha_traces", shared_data / "raw_samples/nezha")
    table = pd.read_parquet(shared_data / "trainticket_traces_4s/trainticket_traces_4s.parquet").set_index("timestamp")
    assert (8, 85) == series.values.shape  # one of 28 services has no call in that minute
    assert [name for name in table.columns if name in series.columns] == list(series.columns)
    known = table.loc[series.timestamps.astype(np.int64) // 10**9, list(series.columns)]
    np.testing.assert_allclose(known.to_numpy(), series.values, rtol=1e-4)
