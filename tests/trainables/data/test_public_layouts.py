# ruff: noqa: PD011  (values is our array, not a frame's)
"""Eadro, Sock Shop of RCD, Server Machine Dataset and ASD: what is special about each."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest

from tests.fakes.layouts import LAYOUTS, START, csv, put
from trainables.data import load_source
from trainables.data.series import Quality
from trainables.errors import DataError
from trainables.settings import DataSettings


def read(source, path, **settings):
    return load_source(DataSettings(source=source, path=path, **settings))


def test_halves_of_a_machine_follow_each_other_and_only_train_is_presumed_clean(tmp_path):
    series = read("smd", LAYOUTS["smd"].write(tmp_path))
    assert list(range(0, 1200, 60)) == (series.timestamps.astype(np.int64) // 10**9).tolist()
    assert [Quality.ASSUMED_NORMAL] * 10 + [Quality.OK] * 10 == series.quality.tolist()


def test_each_machine_is_two_segments_of_its_own(tmp_path):
    root = LAYOUTS["smd"].write(tmp_path)
    for part in ("train", "test", "test_label"):
        put(root / part / "machine-2-1.txt", (root / part / "machine-1-1.txt").read_text())
    assert 4 == len(read("smd", root).segments)
    only = read("smd", root, segments=("machine-2-1_test",))
    assert (("machine-2-1_test",), 1) == (only.segments, len(only.events))


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("test_label", "0\n1\n", "2 labels for 10 rows of test"),
        ("test_label", "0\n" * 9 + "2\n", "line 10: a label must be 0 or 1, found 2"),
        ("train", "0.1,0.2\n", "has 2 columns in train and 3 in test"),
        ("test", "0.1,many\n", "test/machine-1-1.txt: lines of numbers"),
        ("test", "", "test/machine-1-1.txt: lines of numbers"),
    ],
)
def test_halves_that_do_not_fit_are_refused_by_file(tmp_path, file, content, says):
    root = LAYOUTS["smd"].write(tmp_path)
    put(root / file / "machine-1-1.txt", content)
    with pytest.raises(DataError, match=says):
        read("smd", root)


def test_the_machine_beside_the_project_has_the_labels_of_its_table(shared_data):
    series = read("smd", shared_data / "raw_samples/smd/ServerMachineDataset")
    assert (5000, 38) == series.values.shape
    assert [(2500 + 1200, 2500 + 1986)] == [(event.start, event.stop) for event in series.events]
    table = pd.read_parquet(shared_data / "smd_1min/machine-3-4.parquet")
    known = table.filter(like="m_").to_numpy()
    starts = [np.flatnonzero(np.abs(known[:, :8] - series.values[n, :8]).max(axis=1) < 1e-5) for n in (0, 2500)]
    for first, rows in zip(starts, (slice(0, 2500), slice(2500, 5000)), strict=True):
        fits = [np.abs(known[s : s + 2500] - series.values[rows]).max() for s in first if s + 2500 <= len(known)]
        assert min(fits) < 1e-6


def test_servers_are_read_in_order_of_their_number(tmp_path):
    root = LAYOUTS["asd"].write(tmp_path)
    for part in ("train", "test", "test_label"):
        (root / f"omi-10_{part}.pkl").write_bytes((root / f"omi-1_{part}.pkl").read_bytes())
        (root / f"omi-2_{part}.pkl").write_bytes((root / f"omi-1_{part}.pkl").read_bytes())
    expected = [f"omi-{n}_{part}" for n in (1, 2, 10) for part in ("train", "test")]
    assert sorted(expected) == sorted(read("asd", root).segments)
    assert 300.0 == read("asd", root).step_s


def test_an_array_of_another_shape_is_refused_by_file(tmp_path):
    root = LAYOUTS["asd"].write(tmp_path)
    (root / "omi-1_test.pkl").write_bytes(pickle.dumps(np.zeros(5), protocol=3))
    with pytest.raises(DataError, match=r"omi-1_test.pkl: an array of 2 dimension.*\(5,\)"):
        read("asd", root)


def test_runs_of_rcd_beside_the_project_are_those_of_the_table(shared_data):
    series = read("sockshop_rcd", shared_data / "raw_samples/sockshop_rcd")
    assert ("sock-shop-data/carts-cpu_1_normal", "sock-shop-data/carts-cpu_1_anomalous") == series.segments
    table = pd.read_parquet(shared_data / "sockshop_rcd_1s/sockshop_rcd.parquet")
    for number, kind in enumerate(("normal", "anomalous")):
        known = table[table["segment"] == f"carts-cpu_1_{kind}"].sort_values("timestamp")
        mine = pd.DataFrame(series.values[series.segment == number], columns=list(series.columns))
        shared = [name for name in series.columns if name in known]
        assert len(shared) >= 30
        np.testing.assert_allclose(known[shared].to_numpy(), mine[shared].to_numpy(), rtol=1e-6)
        assert ({"normal"}, {"cpu"})[number] == set(known["fault_type"])
    assert [("cpu", "carts")] == [(event.fault_type, event.service) for event in series.events]


def test_a_run_whose_folder_names_no_fault_is_refused(tmp_path):
    put(tmp_path / "carts" / "1" / "normal.csv", csv("time,a", (1, 2)))
    with pytest.raises(DataError, match="must be named <service>-<fault>"):
        read("sockshop_rcd", tmp_path)


def test_a_fault_of_eadro_includes_both_ends_and_rows_outside_the_record_are_left_out(tmp_path):
    series = read("eadro", LAYOUTS["eadro"].write(tmp_path))
    assert [(4, 7), (14, 17)] == [(event.start, event.stop) for event in series.events]
    assert 20 == len(series)


def test_overlapping_faults_keep_the_earlier_one_and_are_counted(tmp_path):
    root = LAYOUTS["eadro"].write(tmp_path)
    faults = [
        {"s": START + 5, "e": START + 8, "service": "ts-user-service"},
        {"s": START + 4, "e": START + 6, "service": "ts-order-service"},
    ]
    put(root / "records0.json", json.dumps({"start": START, "end": START + 9, "faults": faults}))
    series = read("eadro", root)
    assert [("ts-order-service", 4, 7), ("ts-user-service", 7, 9)] == [
        (event.service, event.start, event.stop) for event in series.events[:2]
    ]
    assert any("1 fault begun during an earlier one" in note for note in series.notes)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("{", "records0.json: an object with start, end and faults"),
        ('{"start": 1, "end": 2, "faults": [{"s": 1}]}', "records0.json: an object with start, end and faults"),
        ('{"start": 1, "end": 2, "faults": []}', "records0.json: no row of metrics0 lies between start and end"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_by_file(tmp_path, record, says):
    root = LAYOUTS["eadro"].write(tmp_path)
    put(root / "records0.json", record)
    with pytest.raises(DataError, match=says):
        read("eadro", root)
