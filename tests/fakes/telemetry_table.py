"""A table without pitfalls, as a frame: four services, quiet noise, a slow daily wave, twenty plain faults."""

import numpy as np
import pandas as pd

ROWS = 6_000
STEP_S = 30
FAULT_ROWS = 24
SERVICES = ("cart", "order", "pay", "user")
METRICS = ("cpu", "memory", "latency_ms", "requests_per_s")


def clean_table(rows: int = ROWS, faults: int = 20, seed: int = 3) -> pd.DataFrame:
    """Timestamp, 16 features, label, fault_type, fault_service; faults raise three metrics of one service."""
    rng = np.random.default_rng(seed)
    wave = np.sin(2 * np.pi * np.arange(rows) * STEP_S / 86_400)
    columns = {}
    for number, service in enumerate(SERVICES):
        load = 10 + number + 0.6 * wave + rng.normal(0, 0.5, rows)
        columns[f"{service}_cpu"] = 0.2 + 0.01 * load + rng.normal(0, 0.02, rows)
        columns[f"{service}_memory"] = 300 + 40 * number + rng.normal(0, 3, rows)
        columns[f"{service}_latency_ms"] = 20 + 0.5 * load + rng.normal(0, 1.5, rows)
        columns[f"{service}_requests_per_s"] = load
    label, kind, where = (
        np.zeros(rows, dtype=int),
        np.full(rows, "normal", dtype=object),
        np.full(rows, "", dtype=object),
    )
    gap = rows // (faults + 1)
    for fault in range(faults):
        start = (fault + 1) * gap + int(rng.integers(0, gap // 3))
        service = SERVICES[fault % len(SERVICES)]
        disturb(columns, service, slice(start, start + FAULT_ROWS))
        label[start : start + FAULT_ROWS] = 1
        kind[start : start + FAULT_ROWS] = "cpu" if fault % 2 else "delay"
        where[start : start + FAULT_ROWS] = service
    frame = pd.DataFrame({name: np.round(values, 4) for name, values in columns.items()})
    frame.insert(
        0, "timestamp", pd.Timestamp("2024-03-04T00:00:00Z") + pd.to_timedelta(np.arange(rows) * STEP_S, unit="s")
    )
    return frame.assign(label=label, fault_type=kind, fault_service=where)


def disturb(columns: "dict[str, np.ndarray] | pd.DataFrame", service: str, rows: slice, size: float = 1.0) -> None:
    """Put a fault into the features, without a label."""
    for metric, shift in (("cpu", 0.15), ("latency_ms", 12.0), ("memory", 20.0)):
        values = np.array(columns[f"{service}_{metric}"])
        values[rows] += size * shift
        columns[f"{service}_{metric}"] = values
