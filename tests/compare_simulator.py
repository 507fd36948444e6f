"""What simulated telemetry is like beside real telemetry: `python -m tests.compare_simulator [FOLDER]`.

Not a test: prints the tables of docs/simulator.md. FOLDER holds the tables of real systems (default ../shared/data).
Each number is a median over columns, or over faults; columns that never vary are left out.
    faulty        share of the usable rows that are labelled faulty
    fault         median length of a fault in rows, and its 10 % and 90 % quantiles
    between       median rows from the end of a fault to the start of the next
    missing       share of the cells
    acf 1, 10     autocorrelation of a column at a lag of 1 and of 10 rows, fault-free rows
    tail          99.9 % quantile of the distance from the median over the 75 % one, fault-free rows: 4.9 for a normal
    correlation   median absolute Spearman correlation of two columns, fault-free rows
    shift         mean over faults of the largest robust z-score that a column's median during the fault reaches
    drift         distance of the medians of the first and last quarter, fault-free rows, in robust spreads
"""

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from trainables.data import load_source
from trainables.data.series import LabelledSeries
from trainables.evaluate import run_trial
from trainables.protocol import Scalar, TrialResources
from trainables.settings import (
    DataSettings,
    FewShotSettings,
    PartShares,
    SimulatorSettings,
    SplitSettings,
    ThresholdSettings,
    WindowCaps,
)
from trainables.trial import EvaluationSettings, TrialRequest

DRAWS = 5
CAPS = WindowCaps(reference=400, validation=200, test=600)


@dataclass(frozen=True)
class Kind:
    """A source, and how it is split for the detectors."""

    name: str
    data: DataSettings
    by: Literal["event", "run"] = "event"


def kinds(folder: Path) -> Iterator[Kind]:
    """Yield what is compared: the simulator at its defaults and made to resemble TrainTicket, then real tables."""
    yield Kind("simulated, defaults", DataSettings())
    trainticket = SimulatorSettings(
        faults_per_1000_rows=4, fault_mix={"network_delay": 14, "cpu_contention": 3}, severity=(1.5, 4.0),
        label_delay=(0, 1), label_jitter=1, drift=0.5, deployment_every=None,
    )  # fmt: skip
    yield Kind("simulated, like TrainTicket", DataSettings(simulator=trainticket))
    for name, path, load, minutes, by in REAL:
        if (folder / path).is_file():
            data = DataSettings(
                source="table", path=folder / path, segments=("2023-01-30_load",) if load else "all",
                window=8 if minutes else 32, score_stride=1 if minutes else 4,
            )  # fmt: skip
            yield Kind(name, data, by)


REAL: tuple[tuple[str, str, bool, bool, Literal["event", "run"]], ...] = (
    ("TrainTicket traces, load", "trainticket_traces_4s/trainticket_traces_4s.parquet", True, False, "event"),
    ("TrainTicket metrics", "trainticket_metrics_1min/2023-01-30.parquet", False, True, "event"),
    ("Online Boutique metrics", "onlineboutique_metrics_1min/2022-08-22.parquet", False, True, "event"),
    ("Sock Shop RCD", "sockshop_rcd_1s/sockshop_rcd.parquet", False, False, "run"),
    ("Sock Shop mesh", "sockshop_mesh_latency_1s/sockshop_mesh_latency.parquet", False, False, "run"),
    ("SMD machine-1-6", "smd_1min/machine-1-6.parquet", False, False, "event"),
    ("ASD", "asd_5min/asd.parquet", False, False, "event"),
)
"""Name, table, its part under load only, rows of a minute with three rows a fault, how it is split."""


def statistics(series: LabelledSeries) -> dict[str, str]:
    """Return a line of the first table."""
    normal = series.usable & (series.labels == 0)
    table = series.values  # noqa: PD011  (an array)
    values = table[:, _varying(table)].astype(np.float64)
    lengths = np.asarray([event.stop - event.start for event in series.events])
    pauses = [b.start - a.stop for a, b in zip(series.events, series.events[1:], strict=False)]
    quiet = values[normal]
    low, high = np.quantile(lengths, [0.1, 0.9])
    middle = np.nanmedian(quiet, axis=0)
    distance = np.abs(quiet - middle)
    with np.errstate(invalid="ignore", divide="ignore"):
        tail = np.nanquantile(distance, 0.999, axis=0) / np.nanquantile(distance, 0.75, axis=0)
    spread = np.nanquantile(quiet, 0.75, axis=0) - np.nanquantile(quiet, 0.25, axis=0)
    return {
        "rows x columns": f"{len(series):,} x {values.shape[1]}",
        "step, s": f"{series.step_s:g}",
        "faults": f"{len(series.events)}",
        "faulty": f"{(series.labels[series.usable] == 1).mean():.1%}",
        "fault, rows": f"{np.median(lengths):.0f} ({low:.0f} to {high:.0f})",
        "between": f"{np.median(pauses):.0f}" if pauses else "-",
        "missing": f"{np.isnan(values).mean():.1%}",
        "acf 1": f"{_acf(series, values, normal, 1):.2f}",
        "acf 10": f"{_acf(series, values, normal, 10):.2f}",
        "tail": f"{np.nanmedian(tail[np.isfinite(tail)]):.1f}",
        "correlation": f"{_correlation(quiet):.2f}",
        "shift": f"{_shift(series, values, middle, spread):.1f}",
        "drift": f"{_drift(quiet, spread):.2f}",
    }


def _varying(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.nan_to_num(np.fmax.reduce(values, axis=0) - np.fmin.reduce(values, axis=0)) > 0


def _acf(series: LabelledSeries, values: NDArray[np.float64], normal: NDArray[np.bool_], lag: int) -> float:
    together = normal[lag:] & normal[:-lag] & (series.segment[lag:] == series.segment[:-lag])
    now, before = values[lag:][together], values[:-lag][together]
    found = [_pearson(now[:, column], before[:, column]) for column in range(values.shape[1])]
    return float(np.nanmedian(found))


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    there = ~(np.isnan(a) | np.isnan(b))
    if there.sum() < 30 or np.ptp(a[there]) == 0 or np.ptp(b[there]) == 0:
        return float("nan")
    return float(np.corrcoef(a[there], b[there])[0, 1])


def _correlation(quiet: NDArray[np.float64]) -> float:
    columns = np.random.default_rng(0).permutation(quiet.shape[1])[:60]
    rows = np.sort(np.random.default_rng(1).permutation(len(quiet))[:4000])
    table = pd.DataFrame(quiet[np.ix_(rows, columns)]).corr(method="spearman").abs().to_numpy()
    return float(np.nanmedian(table[np.triu_indices(len(columns), 1)]))


def _shift(
    series: LabelledSeries, values: NDArray[np.float64], middle: NDArray[np.float64], spread: NDArray[np.float64]
) -> float:
    kept = spread > 0
    worst = []
    for event in series.events:
        inside = values[event.start : event.stop][:, kept]
        worst.append(np.nanmax(np.abs(np.nanmedian(inside, axis=0) - middle[kept]) / (spread[kept] / 1.349)))
    return float(np.nanmedian(worst))


def _drift(quiet: NDArray[np.float64], spread: NDArray[np.float64]) -> float:
    quarter = len(quiet) // 4
    moved = np.abs(np.nanmedian(quiet[:quarter], axis=0) - np.nanmedian(quiet[-quarter:], axis=0))
    kept = spread > 0
    return float(np.nanmedian(moved[kept] / (spread[kept] / 1.349)))


DETECTORS: dict[str, tuple[int, dict[str, Scalar]]] = {
    "moving_variance": (0, {}),
    "pca": (0, {}),
    "isolation_forest": (0, {}),
    "moment_zero_shot": (0, {"channels": "all"}),
    "random_forest": (100, {}),
    "gradient_boosting": (100, {}),
    "logistic_regression": (100, {}),
}
"""Detector -> shots, settings."""


def ranking(kind: Kind, series: LabelledSeries) -> dict[str, str]:
    """Return mean average precision of each detector over draws, and what random scores get: the prevalence."""
    split = SplitSettings(by=kind.by, parts=PartShares(support=0.5, validation=0.2, test=0.3))
    settings = EvaluationSettings(
        kind.data.model_copy(update={"max_score_windows": CAPS}),
        split,
        FewShotSettings(shots=(0, 100), shortage="cap"),
        ThresholdSettings(),
    )
    found: dict[str, str] = {}
    for name, (shots, own) in DETECTORS.items():
        outcomes = [
            run_trial(TrialRequest(name, 0, shots, "report", 100 + draw, draw, own), settings, series, TrialResources())
            for draw in range(DRAWS if shots else 1)
        ]
        bad = [outcome.reason for outcome in outcomes if outcome.status != "ok"]
        values = [outcome.metrics["average_precision"] for outcome in outcomes if outcome.status == "ok"]
        found[name] = f"{np.mean([value for value in values if value is not None]):.2f}" if not bad else bad[0][:40]
        if not bad and outcomes[0].ledger is not None:
            found["prevalence"] = f"{outcomes[0].ledger.prevalence:.2f}"
            found["test faults"] = f"{outcomes[0].ledger.test_events}"
    return {"test faults": "-", "prevalence": "-"} | found


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/data"))
    parser.add_argument("--no-detectors", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)  # medians of columns without a value
    tables: tuple[list[dict[str, str]], list[dict[str, str]]] = ([], [])
    for kind in kinds(options.folder):
        series = load_source(kind.data)
        tables[0].append({"": kind.name} | statistics(series))
        if not options.no_detectors:
            tables[1].append({"": kind.name} | ranking(kind, series))
    for table in filter(None, tables):
        heads = list(dict.fromkeys(head for row in table for head in row))
        print("|", " | ".join(heads), "|")
        print("|" + "---|" * len(heads))
        for row in table:
            print("|", " | ".join(row.get(head, "-") for head in heads), "|")
        print()


if __name__ == "__main__":
    main()
