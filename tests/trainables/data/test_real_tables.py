# ruff: noqa: PD011  (values is our array, not a frame's)
"""On real telemetry beside the project; skipped where it is absent."""

import numpy as np
import pandas as pd
import pytest

from trainables.data import audit, check_supply, draw_support, load_source, prepare
from trainables.data.series import Quality
from trainables.data.splits import PART_NAMES
from trainables.settings import DataSettings

TRAINTICKET = "trainticket_traces_4s/trainticket_traces_4s"


def events_of(windows):
    return np.unique(windows.event[windows.y == 1]).tolist()


@pytest.fixture
def load_segment(make_settings, shared_data):
    """The load segment of the TrainTicket traces as search_spaces/trainticket.yaml cuts it."""
    settings = make_settings(
        source="table",
        path=shared_data / f"{TRAINTICKET}.parquet",
        segments=("2023-01-30_load",),
        window=32,
        score_stride=4,
        parts=(0.41, 0.235, 0.355),
    )
    return load_source(settings.data), settings


def test_seventeen_faults_are_dealt_seven_four_six_in_blocks(load_segment):
    series, settings = load_segment
    parts = prepare(series, settings, 0)
    assert [0, 1, 2, 3, 4, 5, 6] == events_of(parts.pool)
    assert [7, 8, 9, 10] == events_of(parts.validation)
    assert [11, 12, 13, 14, 15, 16] == events_of(parts.test)
    assert [] == check_supply(series, settings, (0, 20, 100, 400))


def test_each_fault_keeps_all_its_windows_and_the_calm_end_is_dealt(load_segment):
    series, settings = load_segment
    parts = prepare(series, settings, 0)
    assert {45} == set(np.bincount(parts.pool.event[parts.pool.y == 1]).tolist())
    scored = parts.test.event[parts.test.y == 1]
    assert min(np.bincount(scored)[11:]) >= 11  # 45 rows at a stride of 4
    changes = np.flatnonzero(np.diff(parts.territory)) + 1
    order = [PART_NAMES[parts.territory[row]] for row in (0, *changes)]
    assert ["support", "validation", "test", "support", "validation", "test"] == order
    calm = parts.territory[2315:]
    assert [0.41, 0.235, 0.355] == pytest.approx((np.bincount(calm) / len(calm)).tolist(), abs=0.001)


def test_shots_pass_the_audit_and_guard_rows_are_not_scored(load_segment):
    series, settings = load_segment
    parts = prepare(series, settings, 0)
    index = draw_support(parts.pool, source="tt", shots=400, draw=100, few_shot=settings.few_shot)
    audit(parts, parts.pool.take(index))
    assert {int(Quality.OK)} == set(series.quality[parts.test.ends].tolist())
    assert (series.quality == Quality.SUSPECT).sum() == 183
    assert 0.25 < parts.test.y.mean() < 0.33


def test_three_folds_test_every_fault_once(load_segment):
    series, settings = load_segment
    folded = settings.__class__(
        settings.data, settings.split.model_copy(update={"folds": 3}), settings.few_shot, settings.threshold
    )
    tested = [event for fold in range(3) for event in events_of(prepare(series, folded, fold).test)]
    assert list(range(17)) == sorted(tested)


def test_csv_and_parquet_of_one_table_agree(shared_data):
    one, other = (
        load_source(DataSettings(source="table", path=shared_data / f"{TRAINTICKET}{suffix}"))
        for suffix in (".parquet", ".csv.gz")
    )
    assert one.columns == other.columns
    assert one.events == other.events
    assert np.allclose(one.values, other.values, rtol=1e-5, equal_nan=True)
    assert one.timestamps.tolist() == other.timestamps.tolist()


@pytest.mark.parametrize(
    ("path", "rows", "features", "events", "segments"),  # columns without any value are dropped
    [
        (f"{TRAINTICKET}.parquet", 11_100, 88, 17, 2),
        ("trainticket_metrics_1min/2023-01-30.parquet", 741, 870, 17, 2),
        ("onlineboutique_metrics_1min/2022-08-22.parquet", 1209, 223, 24, 1),
        ("sockshop_rcd_1s/sockshop_rcd.parquet", 22_607, 38, 40, 80),
        ("sockshop_mesh_latency_1s/sockshop_mesh_latency.parquet", 40_200, 7, 64, 128),
        ("smd_1min/machine-3-4.parquet", 47_374, 38, 8, 2),
        ("asd_5min/asd.parquet", 103_680, 19, 46, 16),
        ("fixtures/trainticket_small.csv", 600, 88, 6, 1),
        ("fixtures/trainticket_tiny_12f.csv", 600, 12, 6, 1),
    ],
)
def test_every_real_table_is_read_as_its_readme_says(shared_data, path, rows, features, events, segments):
    series = load_source(DataSettings(source="table", path=shared_data / path))
    assert (rows, features) == series.values.shape
    assert (events, segments) == (len(series.events), len(series.segments))


def test_runs_of_sock_shop_are_dealt_by_run(make_settings, shared_data):
    settings = make_settings(
        by="run", source="table", path=shared_data / "sockshop_rcd_1s/sockshop_rcd.parquet", window=32, score_stride=16
    )
    series = load_source(settings.data)
    parts = prepare(series, settings, 0)
    audit(parts, parts.pool.take(np.arange(0, len(parts.pool), 97)))
    for windows in (parts.pool, parts.validation, parts.test):
        assert {"cpu", "mem", "normal"} == set(windows.fault_type.tolist())


def test_the_fault_list_beside_a_table_works_as_incidents(shared_data, tmp_path):
    folder = shared_data / "trainticket_traces_4s"
    labelled = load_source(DataSettings(source="table", path=folder / "trainticket_traces_4s.parquet"))
    frame = pd.read_parquet(folder / "trainticket_traces_4s.parquet").drop(columns=["label", "fault_type"])
    frame.to_parquet(tmp_path / "bare.parquet")
    listed = pd.read_csv(folder / "windows.csv").query("kind == 'listed'")
    listed.to_csv(tmp_path / "incidents.csv", index=False)
    data = DataSettings(source="table", path=tmp_path / "bare.parquet", incidents=tmp_path / "incidents.csv")
    series = load_source(data)
    assert [e.fault_type for e in labelled.events] == [e.fault_type for e in series.events]
    # A row stamped T stands for the 30 s before T, so labels begin up to 4 rows after the listed start.
    assert all(abs(one.start - other.start) <= 5 for one, other in zip(labelled.events, series.events, strict=True))
