"""One small sample of every layout that has a reader, written as its documentation says, and what is in it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
}
"""Name of a reader -> its sample."""
