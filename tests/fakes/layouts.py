"""One small sample of every layout that has a reader, written as its documentation says, and what is in it."""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

START = 1_700_000_000
"""Epoch seconds at which samples begin, unless their layout has no clock."""


@dataclass(frozen=True)
class Layout:
    """A sample of a layout.

    `write` puts it into a folder and returns the path to read. `events` are (fault type, service, rows).
    `needed` is a file below the folder without which the layout is refused, `named` how the refusal names it.
    """

    write: Callable[[Path], Path]
    rows: int
    columns: tuple[str, ...]
    segments: tuple[str, ...] = ("all",)
    events: tuple[tuple[str, str, int], ...] = ()
    needed: str = ""
    named: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def csv(header: str, *rows: object) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def write_simulated(root: Path) -> Path | None:
    return None


def write_table(root: Path) -> Path:
    rows = [(START + 10 * i, i * 0.5, i % 3, int(8 <= i < 12), "cpu" if 8 <= i < 12 else "", "cart") for i in range(20)]
    return put(root / "table.csv", csv("timestamp,a,b,label,fault_type,fault_service", *rows))


def answer(series: list[dict[str, object]]) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": series}})


def write_prometheus(root: Path) -> Path:
    times = [START + 15 * i for i in range(20)]
    requests = {
        "metric": {"__name__": "http_requests_total", "service": "cart"},
        "values": [[t, str(30 * i)] for i, t in enumerate(times)],
    }
    latency = {"metric": {"service": "cart"}, "values": [[t, str(0.1 + i / 100)] for i, t in enumerate(times)]}
    put(root / "requests.json", answer([requests]))
    put(root / "latency.json", answer([latency]))
    return root


def write_openmetrics(root: Path) -> Path:
    lines = ["# TYPE http_requests counter", "# TYPE memory gauge"]
    lines += [f'http_requests_total{{service="cart"}} {30 * i} {START + 15 * i}.0' for i in range(20)]
    lines += [f"memory {1000 + i} {START + 15 * i}.0" for i in range(20)]
    return put(root / "dump.txt", "\n".join([*lines, "# EOF"]) + "\n")


def write_long_csv(root: Path) -> Path:
    rows = [(START + 15 * i, name, '"{service=""cart""}"', i * 2.0) for i in range(20) for name in ("cpu", "memory")]
    return put(root / "samples.csv", csv("time,name,labels,value", *rows))


def write_rcaeval(root: Path) -> Path:
    suite = root / "RE1-OB"
    for number, (case, start) in enumerate([("cart_cpu", START), ("cart_delay", START + 100)]):
        rows = [(start + i, i * 0.1, "" if i == 3 else i, number + i) for i in range(10)]
        put(suite / case / "1" / "data.csv", csv("time,cart_cpu,cart_latency-90,main_mem", *rows))
        put(suite / case / "1" / "inject_time.txt", f"{start + 6}\n")
    return suite


def fault_list(*starts: int) -> str:
    faults = [
        {
            "inject_time": f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M:%S}",
            "inject_timestamp": str(start),
            "inject_pod": "ts-food-service-f5756978c-6sb8t",
            "inject_type": "network_delay",
        }
        for start in starts
    ]
    return json.dumps({"00": faults})


def zoned(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S.%f} +0000 UTC m=+0.1"


def write_nezha(root: Path) -> Path:
    for day in range(2):
        start = START + 86_400 * day
        folder = root / f"day{day}"
        front = [(zoned(start + 60 * i), start + 60 * i, "Frontend", i) for i in range(20)]
        put(folder / "metric" / "front_service.csv", csv("Time,TimeStamp,ServiceName,LatencyP90(s)", *front))
        pod = "ts-food-service-f5756978c-6sb8t"
        rows = [(zoned(start + 60 * i + 2.5), 17, pod, i, 2 * i) for i in range(20)]
        put(folder / "metric" / f"{pod}_metric.csv", csv("Time,TimeStamp,PodName,CpuUsage(m),SyscallRead", *rows))
        put(folder / f"day{day}-fault_list.json", fault_list(start + 300))
    return root


def span(trace: int, number: int, parent: str, service: str, end: float, milliseconds: float) -> tuple[object, ...]:
    nano = round(end * 1000) * 1_000_000
    length = round(milliseconds * 1000)
    pod = f"{service}-f5756978c-6sb8t"
    return (f"t{trace}", f"s{trace}.{number}", parent, pod, "op", nano - 1000 * length, nano, length)


SPANS = "TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration"


def write_nezha_traces(root: Path) -> Path:
    for day in range(2):
        start = START + 86_400 * day
        spans = []
        for i in range(150):  # a request every 4 s: gateway -> food, which takes 50 ms, 60 ms for its caller
            spans.append(span(i, 0, "root", "ts-gateway-service", start + 4 * i, 100))
            spans.append(span(i, 1, f"s{i}.0", "ts-gateway-service", start + 4 * i - 0.01, 60))
            spans.append(span(i, 2, f"s{i}.1", "ts-food-service", start + 4 * i - 0.015, 50))
        put(root / f"day{day}" / "trace" / "00_00_trace.csv", csv(SPANS, *spans))
        put(root / f"day{day}" / "label.json", fault_list(start + 300))
    return root


def write_eadro(root: Path) -> Path:
    for number, start in enumerate([START, START + 500]):
        fault = {"s": start + 4, "e": start + 6, "service": "ts-order-service"}
        record = {"start": start, "end": start + 9, "faults": [fault]}
        put(root / "TT" / f"records{number}.json", json.dumps(record))
        for service in ("ts-order-service", "ts-user-service"):
            rows = [(start + i, i, 2 * i) for i in range(12)]
            put(root / "TT" / f"metrics{number}" / f"{service}.csv", csv("timestamp,cpu_usage_total,rx_bytes", *rows))
    return root / "TT"


def write_sockshop_rcd(root: Path) -> Path:
    for half, start in (("normal", START), ("anomalous", START + 90_000)):
        rows = [(start + i, i * 0.1, i) for i in range(10)]
        put(root / "carts-cpu" / "1" / f"{half}.csv", csv("time,carts_cpu,front-end_lat_50", *rows))
    return root


def write_smd(root: Path) -> Path:
    for part in ("train", "test"):
        put(root / part / "machine-1-1.txt", "".join(f"0.{i},0.5,{i}\n" for i in range(10)))
    put(root / "test_label" / "machine-1-1.txt", "".join(f"{int(3 <= i < 6)}\n" for i in range(10)))
    return root


def write_asd(root: Path) -> Path:
    values = np.arange(20, dtype=np.float32).reshape(10, 2)
    label = (np.arange(10) // 3 == 1).astype(np.int64)
    for part, array in (("train", values), ("test", values + 20), ("test_label", label)):
        (root / f"omi-1_{part}.pkl").write_bytes(pickle.dumps(array, protocol=3))
    return root


LAYOUTS: Mapping[str, Layout] = {
    "simulated": Layout(
        write_simulated,
        rows=1000,
        columns=("front_request_rate",),
        settings={"rows": 1000},
    ),
    "table": Layout(write_table, 20, ("a", "b"), events=(("cpu", "cart", 4),), needed="table.csv", named="table.csv"),
    "prometheus": Layout(
        write_prometheus,
        20,
        ('latency{service="cart"}', 'rate(http_requests_total{service="cart"})'),
        needed="*.json",
        named="*.json",
    ),
    "openmetrics": Layout(
        write_openmetrics,
        20,
        ('rate(http_requests_total{service="cart"})', "memory"),
        needed="dump.txt",
        named="dump.txt",
    ),
    "long_csv": Layout(
        write_long_csv, 20, ('cpu{service="cart"}', 'memory{service="cart"}'), needed="samples.csv", named="samples.csv"
    ),
    "rcaeval": Layout(
        write_rcaeval,
        20,
        ("cart_cpu", "cart_latency-90"),
        segments=("cart_cpu/1", "cart_delay/1"),
        events=(("cpu", "cart", 4), ("delay", "cart", 4)),
        needed="cart_cpu/1/inject_time.txt",
        named="inject_time.txt",
    ),
    "nezha": Layout(
        write_nezha,
        40,
        ("front_LatencyP90(s)", "ts-food-service_CpuUsage(m)", "ts-food-service_SyscallRead"),
        segments=("day0", "day1"),
        events=(("network_delay", "ts-food-service", 3), ("network_delay", "ts-food-service", 3)),
        needed="day1-fault_list.json",
        named="<date>-fault_list.json",
    ),
    "nezha_traces": Layout(
        write_nezha_traces,
        2 * 142,
        (
            *(
                f"ts-food-service_{name}"
                for name in ("requests_per_s", "server_latency_mean_ms", "client_latency_mean_ms")
            ),
            *(f"ts-gateway-service_{name}" for name in ("requests_per_s", "server_latency_mean_ms")),
            *(f"ts-gateway-service_server_latency_{name}_ms" for name in ("p50", "p90", "p99", "max")),
            "all_spans_per_s",
        ),
        segments=("day0", "day1"),
        events=(("network_delay", "ts-food-service", 45), ("network_delay", "ts-food-service", 45)),
        needed="day0/label.json",
        named="label.json",
    ),
    "eadro": Layout(
        write_eadro,
        20,
        tuple(f"ts-{service}-service_{m}" for service in ("order", "user") for m in ("cpu_usage_total", "rx_bytes")),
        segments=("0", "1"),
        events=(("fault", "ts-order-service", 3), ("fault", "ts-order-service", 3)),
        needed="metrics1",
        named="metrics1/",
    ),
    "sockshop_rcd": Layout(
        write_sockshop_rcd,
        20,
        ("carts_cpu", "front-end_lat_50"),
        segments=("carts-cpu_1_normal", "carts-cpu_1_anomalous"),
        events=(("cpu", "carts", 10),),
        needed="anomalous.csv",
        named="anomalous.csv",
    ),
    "smd": Layout(
        write_smd,
        20,
        ("m_1", "m_2", "m_3"),
        segments=("machine-1-1_train", "machine-1-1_test"),
        events=(("anomaly", "", 3),),
        needed="test_label/machine-1-1.txt",
        named="test_label/machine-1-1.txt",
    ),
    "asd": Layout(
        write_asd,
        20,
        ("m_1", "m_2"),
        segments=("omi-1_train", "omi-1_test"),
        events=(("anomaly", "", 3),),
        needed="omi-1_test_label.pkl",
        named="omi-1_test_label.pkl",
    ),
}
"""Name of a reader -> its sample."""
