"""What practitioners have: Prometheus JSON, OpenMetrics text, long CSV; their dialects and their mistakes."""

import gzip
import json

import pytest

from trainables.data import load_source
from trainables.errors import DataError
from trainables.settings import DataSettings

T0 = 1_700_000_000


def matrix(*series, **answer):
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": list(series)}, **answer})


def series(metric, values, start=T0, step=15):
    return {"metric": metric, "values": [[start + step * i, str(value)] for i, value in enumerate(values)]}


@pytest.fixture
def load(tmp_path):
    """Write a file and read it."""

    def read(source, content, name, **settings):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return load_source(DataSettings(source=source, path=path, **settings))

    return read


def test_answers_for_successive_stretches_in_one_folder_are_one_series(tmp_path):
    for part in range(2):
        path = tmp_path / "latency" / f"{part}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(matrix(series({"service": "cart"}, range(part * 3, part * 3 + 3), T0 + 45 * part)))
    (tmp_path / "cpu.json.gz").write_bytes(gzip.compress(matrix(series({}, [1, 2, "NaN", "+Inf", 5, 6])).encode()))
    read = load_source(DataSettings(source="prometheus", path=tmp_path))
    assert ("cpu", 'latency{service="cart"}') == read.columns
    assert [0, 1, 2, 3, 4, 5] == read.values[:, 1].tolist()
    assert any("1 infinite value taken as missing" in note for note in read.notes)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not a JSON file"),
        ("[]", "not an answer of Prometheus"),
        (json.dumps({"status": "error", "errorType": "bad_data", "error": "parse error"}), "bad_data: parse error"),
        (json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}), "must be 'matrix'"),
        (matrix({"values": []}), r"data.result\[0\]: a series with 'metric'"),
        (matrix({"metric": {}, "values": [[T0, "many"]]}), r"data.result\[0\]: values must be pairs"),
        (matrix(), "there are no samples"),
        (matrix(series({}, [1])), "no series has two samples"),
    ],
)
def test_an_answer_that_is_no_range_of_samples_is_refused(load, content, says):
    with pytest.raises(DataError, match=says):
        load("prometheus", content, "answer.json")


def test_native_histograms_are_left_out_and_said(load):
    native = {"metric": {"__name__": "latency"}, "histograms": [[T0, {"count": "1"}]]}
    read = load("prometheus", matrix(native, series({"__name__": "up"}, [1, 1])), "answer.json")
    assert ("up",) == read.columns
    assert any("1 native histogram left out" in note for note in read.notes)


EXPOSITION = """\
# HELP http_requests Requests, by code.
# TYPE http_requests counter
http_requests_total{code="200",path="/a b, \\"c\\" }"} 10 1700000000.0
http_requests_total{code="200",path="/a b, \\"c\\" }"} 40 1700000015.0 # {trace_id="x"} 0.1 1700000014.9
http_requests_created{code="200",path="/a b, \\"c\\" }"} 1.6e9 1700000000.0
http_requests_created{code="200",path="/a b, \\"c\\" }"} 1.6e9 1700000015.0
# TYPE latency histogram
latency_bucket{le="+Inf"} 1 1700000000.0
latency_bucket{le="+Inf"} 4 1700000015.0
# TYPE free_total gauge
free_total 7 1700000000.0
free_total NaN 1700000015.0
# EOF
"""


def test_openmetrics_types_labels_exemplars_and_creation_times_are_understood(load):
    read = load("openmetrics", EXPOSITION, "dump.txt")
    requests = 'rate(http_requests_total{code="200",path="/a b, \\"c\\" }"})'
    assert (requests, 'rate(latency_bucket{le="+Inf"})', "free_total") == read.columns
    assert [2.0, pytest.approx(0.2)] == read.values[1, :2].tolist()


def test_prometheus_text_has_milliseconds(load):
    read = load("openmetrics", "up 1 1700000000000\nup 0 1700000015000\n", "dump.prom")
    assert (15.0, ["1.0", "0.0"]) == (read.step_s, [str(v) for v in read.values[:, 0]])


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("up 1\n", "line 1: the sample has no timestamp"),
        ("up 1 1700000000\nwhat is this line\n", "line 2: 'what is this line' is not a sample"),
        ("up many 1700000000\n", "line 1: could not convert"),
        ("up{a=1} 1 1700000000\n", "not of the form"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        ("", "there are no samples"),
    ],
)
def test_text_that_is_no_history_is_refused_by_line(load, content, says):
    with pytest.raises(DataError, match=says):
        load("openmetrics", content, "dump.txt")


LONG = "time,name,labels,value\n" + "".join(f"2024-01-01T00:00:{10 * i:02d}Z,cpu,{{labels}},{i}\n" for i in range(4))


@pytest.mark.parametrize(
    "labels",
    [
        '"{service=""cart"",zone=""a""}"',
        '"service=cart,zone=a"',
        "service=cart;zone=a",
        '"{""service"":""cart"",""zone"":""a""}"',
    ],
)
def test_each_way_to_write_labels_means_the_same(load, labels):
    read = load("long_csv", LONG.format(labels=labels), "samples.csv")
    assert ('cpu{service="cart",zone="a"}',) == read.columns
    assert [0, 1, 2, 3] == read.values[:, 0].tolist()


def test_other_columns_are_labels_and_common_headers_are_known(load):
    text = "Timestamp;metric;service;value\n" + "".join(f"{T0 + i};cpu;cart;{i},5\n" for i in range(3))
    read = load("long_csv", text, "samples.csv")
    assert (('cpu{service="cart"}',), [0.5, 1.5, 2.5]) == (read.columns, read.values[:, 0].tolist())


def test_times_without_an_offset_follow_the_declared_zone(load):
    text = "time,name,value\n2024-01-01 01:00:00,cpu,1\n2024-01-01 01:00:10,cpu,2\n"
    read = load("long_csv", text, "samples.csv", timezone="Europe/Berlin")
    assert "2024-01-01T00:00:00" == str(read.timestamps[0].astype("datetime64[s]"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "the file is empty"),
        ("time,name,value\n", "no samples"),
        ("time,metric,reading\n1,cpu,2\n", "no value, found: time, metric, reading"),
        ("time,ts,name,value\n1,1,cpu,2\n", "more than one column means time"),
        ("time,name,value\n1700000000,cpu,1\n1700000010,cpu,high\n", "line 3: column 'value' must be numeric"),
        ("time,name,value\n1700000000,,1\n", "line 2: name is empty"),
        ("time,name,value\n,cpu,1\n", "line 2: time is empty"),
        ("time,name,labels,value\n1700000000,cpu,broken,1\n", "line 2: labels 'broken' are not of the form"),
        ("time,name,value\n1,cpu,1\n2,cpu,1,5,6\n", "line 3 has 5 values, the header 3"),
        ("time,name,value\n1,cpu,1\n2,cpu\n", "line 3 has 2 values, the header 3; is the file cut off"),
    ],
)
def test_a_long_file_that_cannot_be_used_is_refused_by_line(load, content, says):
    with pytest.raises(DataError, match=says):
        load("long_csv", content, "samples.csv")
