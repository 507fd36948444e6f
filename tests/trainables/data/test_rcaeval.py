# ruff: noqa: PD011  (values is our array, not a frame's)
"""RCAEval's three layouts and their quirks."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from tests.fakes.layouts import START, csv, put
from trainables.data import load_source
from trainables.errors import DataError
from trainables.settings import DataSettings

TIMES = [START + i for i in range(10)]
CPU = [0.5 * i for i in range(10)]


def read(path):
    return load_source(DataSettings(source="rcaeval", path=path))


def nested(root, case="cart_cpu/1", inject=START + 6, text=None, name="data.csv"):
    default = csv("time,cart_cpu,cart_latency-90", *[(t, v, 1) for t, v in zip(TIMES, CPU, strict=True)])
    put(root / case / name, text or default)
    put(root / case / "inject_time.txt", f"{inject}\n")
    return root


def flat_json(root):
    metrics = {
        "cart_cpu": [[t, v] for t, v in zip(TIMES, CPU, strict=True)],
        "cart_latency-90": [[t, 1] for t in TIMES],
    }
    put(root / "re1ob_cart_cpu_1" / "metrics.json", json.dumps(metrics))
    put(root / "re1ob_cart_cpu_1" / "inject_time.txt", str(START + 6))
    return root


def flat_parquet(root):
    (root / "re1ob_cart_cpu_1").mkdir(parents=True)
    frame = pd.DataFrame({"time": TIMES, "cart_cpu": CPU, "cart_latency-90": 1.0})
    frame.to_parquet(root / "re1ob_cart_cpu_1" / "metrics.parquet")
    index = {"case": "re1ob_cart_cpu_1", "root_cause_service": "cart", "fault": "cpu", "inject_time": START + 6}
    pd.DataFrame([index]).to_parquet(root / "cases.parquet")
    return root


@pytest.mark.parametrize("layout", [nested, flat_json, flat_parquet])
def test_each_layout_gives_the_same_case(tmp_path, layout):
    series = read(layout(tmp_path))
    assert (("cart_cpu", "cart_latency-90"), 1) == (series.columns, len(series.segments))
    assert CPU == series.values[:, 0].tolist()
    assert [("cpu", "cart", 6, 10)] == [(e.fault_type, e.service, e.start, e.stop) for e in series.events]


def test_short_names_are_read_where_a_case_has_raw_ones_as_well(tmp_path):
    nested(tmp_path, name="simple_metrics.csv")
    nested(tmp_path, name="metrics.csv", text=csv("time,cart_container-cpu", *[(t, 0) for t in TIMES]))
    assert ("cart_cpu", "cart_latency-90") == read(tmp_path).columns


def test_a_case_a_suite_and_several_suites_can_be_read(tmp_path):
    nested(tmp_path / "RE1-OB", "cart_cpu/1")
    nested(tmp_path / "RE1-OB", "cart_cpu/2")
    nested(tmp_path / "RE2-TT", "ts-auth-service_socket/1", name="simple_metrics.csv")
    assert ("cart_cpu/1",) == read(tmp_path / "RE1-OB" / "cart_cpu" / "1").segments
    assert ("cart_cpu/1", "cart_cpu/2") == read(tmp_path / "RE1-OB").segments
    every = read(tmp_path)
    assert ("RE1-OB/cart_cpu/1", "RE1-OB/cart_cpu/2", "RE2-TT/ts-auth-service_socket/1") == every.segments
    assert "ts-auth-service" == every.events[2].service


def test_a_second_time_a_row_index_and_infinite_values_are_coped_with(tmp_path):
    rows = [(i, t, "inf" if i == 2 else i, t) for i, t in enumerate(TIMES)]
    series = read(nested(tmp_path, text=csv(",time,cart_cpu,time", *rows)))
    assert ("cart_cpu",) == series.columns
    assert np.isnan(series.values[2, 0])
    assert ("cart_cpu",) == read(
        nested(tmp_path, text=csv("time,cart_cpu,time.1", *[(t, 1, t) for t in TIMES]))
    ).columns


def test_helper_columns_are_left_out_and_named(tmp_path):
    header = "time,main_cpu,PassthroughCluster_error,istio-proxy_mem,redis_cpu,rabbitmq-exporter_cpu,redis-cart_cpu"
    series = read(nested(tmp_path, text=csv(header, *[(t, 1, 2, 3, 4, 5, 6) for t in TIMES])))
    assert ("redis-cart_cpu",) == series.columns
    assert any("5 helper columns left out" in note for note in series.notes)


def test_a_repeated_time_is_resolved_by_the_last_row_and_counted(tmp_path):
    rows = [(t, 1) for t in TIMES] + [(TIMES[-1], 9)]
    series = read(nested(tmp_path, text=csv("time,cart_cpu", *rows)))
    assert [1, 9] == series.values[-2:, 0].tolist()
    assert any("1 row with the time of another row" in note for note in series.notes)


@pytest.mark.parametrize("inject", [START - 5, START, START + 500])
def test_a_case_whose_injection_lies_outside_is_left_out_and_named(tmp_path, inject):
    nested(tmp_path, "cart_mem/1", inject=inject)
    with pytest.raises(DataError, match="1 case left out, injected outside the recording: cart_mem/1"):
        read(tmp_path)
    nested(tmp_path, "cart_cpu/1")
    series = read(tmp_path)
    assert ("cart_cpu/1",) == series.segments
    assert any("1 case left out" in note and "cart_mem/1" in note for note in series.notes)


def test_a_pause_before_the_injection_starts_a_new_segment(tmp_path):
    rows = [(t if i < 6 else t + 200_000, i) for i, t in enumerate(TIMES)]
    series = read(nested(tmp_path, text=csv("time,cart_cpu", *rows), inject=START + 200_006))
    assert ("cart_cpu/1", "cart_cpu/1#2") == series.segments


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda case: (case / "inject_time.txt").write_text("noon"), "inject_time.txt: one number, Unix seconds"),
        (
            lambda case: (case / "data.csv").write_text("when,cart_cpu\n1,2\n"),
            "data.csv: there is no column",
        ),
        (lambda case: (case / "data.csv").write_text("time,a,a\n1,2,3\n"), "data.csv: more than one column is named a"),
        (lambda case: (case / "data.csv").write_text("time,a\n1,2\n2,high\n"), "data.csv: line 3: column 'a' must be"),
        (lambda case: (case / "data.csv").write_text("time,a\n"), "data.csv: the file has a header and no rows"),
        (lambda case: (case / "data.csv").write_text("time,a,b\n1,2,3\n2,3\n"), "data.csv: line 3 has 2 values"),
        (lambda case: (case / "data.csv").write_text("time,a\n1,2\n2,3,4\n"), "data.csv: line 3 has 3 values"),
        (lambda case: shutil.move(case, case.parent.parent / "mycase"), "mycase: the case cannot be told"),
    ],
)
def test_a_case_that_cannot_be_read_is_refused_by_file(tmp_path, spoil, says):
    spoil(nested(tmp_path) / "cart_cpu" / "1")
    with pytest.raises(DataError, match=says):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "an object of column"), ("{}", "there is no column"), ('{"cart_cpu": [[1]]}', "an object of column")],
)
def test_broken_json_is_refused_by_file(tmp_path, text, says):
    (flat_json(tmp_path) / "re1ob_cart_cpu_1" / "metrics.json").write_text(text)
    with pytest.raises(DataError, match=f"metrics.json: {says}"):
        read(tmp_path)


def test_the_samples_beside_the_project_are_read(shared_data):
    series = read(shared_data / "raw_samples" / "rcaeval_layout_relaid")
    assert ["cpu", "cpu", "delay"] == sorted(event.fault_type for event in series.events)
    assert {"carts", "ts-basic-service", "ts-route-service"} == {event.service for event in series.events}
    shop = "sock-shop-1/carts_cpu/1"
    assert (292, 282) == tuple(
        int((series.segment == series.segments.index(name)).sum()) for name in (shop, f"{shop}#2")
    )
