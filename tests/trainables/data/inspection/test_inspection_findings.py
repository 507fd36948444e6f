"""Each pitfall, planted into a table that has none, is found; the table without it says next to nothing."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.fakes.telemetry_table import FAULT_ROWS, ROWS, clean_table, disturb
from trainables.data.inspection.finding import rounded
from trainables.data.inspection.inspection import findings_of, inspect_series
from trainables.data.inspection.stack import stack
from trainables.data.inspection.view import View
from trainables.data.readers import load_source
from trainables.settings import DataSettings, SplitSettings, ThresholdSettings


@pytest.fixture
def inspected(tmp_path):
    """Write a frame as a table, return its findings."""

    def inspect(frame: pd.DataFrame, **settings: object):
        path = tmp_path / "table.parquet"
        frame.to_parquet(path)
        source = DataSettings(source="table", path=path, **settings)
        return findings_of(View(load_source(source)))

    return inspect


def kinds(inspection) -> set[str]:
    return {finding.kind for finding in inspection}


def the(inspection, kind):
    return next(finding for finding in inspection if finding.kind == kind)


def test_a_clean_table_gives_no_finding(inspected):
    assert set() == kinds(inspected(clean_table()))


def test_simulated_telemetry_gives_few_findings_none_severe():
    found = findings_of(View(load_source(DataSettings(rows=4000))))
    assert len(found) <= 6
    assert "severe" not in {finding.severity for finding in found}


def two_days(frame):
    late = frame.iloc[ROWS // 2 :].copy()
    for name in [name for name in frame if "_memory" in name or "_cpu" in name]:
        late[name] = late[name] * 1.5
    return pd.concat([frame.iloc[: ROWS // 2].assign(segment="monday"), late.assign(segment="tuesday")])


def another_regime(frame):
    frame = frame.copy()
    for name in [name for name in frame if "requests" in name or "latency" in name]:
        frame.loc[4000:, name] = frame.loc[4000:, name] / 3
    return frame


def hidden_fault(frame):
    frame = frame.copy()
    free = np.flatnonzero(frame.label.rolling(150, center=True).max() == 0)[0]
    disturb(frame, "pay", slice(free, free + FAULT_ROWS))
    return frame


def invisible_faults(frame):
    frame = frame.copy()
    rows = frame.fault_type == "cpu"
    for name in frame.columns[1:17]:
        frame.loc[rows, name] = frame.loc[~rows, name].median() + np.random.default_rng(1).normal(0, 0.001, rows.sum())
    return frame


def short_labels(frame):
    frame = frame.copy()
    starts = np.flatnonzero(frame.label.diff() == 1)
    for start in starts:
        frame.loc[start + 10 : start + FAULT_ROWS, ["label", "fault_type", "fault_service"]] = [0, "normal", ""]
    return frame


def shuffled(frame):
    order = np.random.default_rng(0).permutation(len(frame))
    return frame.iloc[order].assign(timestamp=frame.timestamp.to_numpy())


def recorded_apart(frame):
    pieces = []
    for run in range(6):
        fault = run % 2
        start = pd.Timestamp("2024-05-01" if fault else "2024-04-02", tz="UTC") + pd.Timedelta(hours=run)
        piece = frame[frame.label == fault].iloc[:60].copy()
        piece["timestamp"] = start + pd.to_timedelta(np.arange(60), unit="s")
        piece["segment"] = f"run{run}"
        pieces.append(piece)
    return pd.concat(pieces)


def silent_latency(frame):
    frame = frame.copy()
    quiet = np.random.default_rng(2).random(len(frame)) < 0.1
    frame.loc[quiet, "cart_requests_per_s"] = 0.0
    frame.loc[quiet, "cart_latency_ms"] = np.nan
    return frame


def scaled(frame):
    return frame.assign(**{n: (frame[n] - frame[n].min()) / np.ptp(frame[n]) for n in frame.columns[1:17]})


def without_pauses(frame):
    near = frame[frame.label.rolling(90, center=True, min_periods=1).max() == 1]
    return near.assign(timestamp=frame.timestamp[: len(near)].to_numpy())


def faults_early_only(frame):
    frame = frame.copy()
    frame.loc[2000:, ["label", "fault_type", "fault_service"]] = [0, "normal", ""]
    return frame


def part(frame, name):
    return frame.assign(segment=name)


def faults_before_the_load_stopped(frame):
    early = faults_early_only(frame)
    for name in [name for name in frame if "requests" in name or "latency" in name]:
        early.loc[2000:, name] = early.loc[2000:, name] / 3
    return early


def another_version(frame):
    later = frame[3000:].drop(columns=frame.columns[1:5])
    return pd.concat([part(frame[:3000], "a"), part(later, "b")])


def counter(frame):
    total = np.cumsum(np.random.default_rng(4).poisson(3, len(frame))).astype(float)
    total[2500:] -= total[2500]
    return frame.assign(cart_requests_total=total)


PLANTED = {
    "clock": ("severe", lambda f: f.assign(uptime_s=np.arange(len(f)) * 30.0), ("uptime_s",)),
    "counters": ("warning", counter, ("cart_requests_total",)),
    "separates the classes alone": ("severe", lambda f: f.assign(alert=f.label + 0.001 * np.sin(f.index)), ("alert",)),
    "constant columns": ("note", lambda f: f.assign(success=1.0, gone=np.nan), ("gone", "success")),
    "repeated columns": ("warning", lambda f: f.assign(cpu_cores=f.cart_cpu * 8, cpu_again=f.cart_cpu), None),
    "missing means something": ("note", silent_latency, ("cart_latency_ms",)),
    "columns gone in segments": ("warning", another_version, None),
    "scaled before": ("warning", scaled, ()),
    "shift between segments": ("warning", two_days, None),
    "regime change": ("warning", another_regime, None),
    "unlabelled, looks like a fault": ("warning", hidden_fault, None),
    "faults that do not show": ("warning", invisible_faults, ()),
    "effects outlast the label": ("warning", short_labels, ()),
    "the time tells the faults": ("severe", faults_before_the_load_stopped, None),
    "no sequence": ("severe", shuffled, ()),
    "the time tells the label": ("severe", recorded_apart, ()),
    "no onset": ("warning", recorded_apart, ()),
    "few rows a fault": ("warning", lambda f: f.iloc[::8], ()),
    "faults close together": ("warning", without_pauses, ()),
    "faults in one place": ("warning", faults_early_only, ()),
    "cold start": ("note", lambda f: f.iloc[f.label.idxmax() - 10 :], ()),
    "synthetic times": ("note", lambda f: f.assign(timestamp=np.arange(len(f)) * 30), ()),
    "gaps": ("note", lambda f: f.drop(index=range(1000, 1100)), ()),
    "irregular steps": ("warning", lambda f: f.drop(index=range(0, ROWS, 20)), ()),
    "different steps": ("severe", lambda f: pd.concat([part(f[:3000], "a"), part(f[3000::3], "b")]), ()),
    "short segments": ("warning", lambda f: pd.concat([part(f[:5], "a"), part(f[5:], "b")]), ()),
    "unlabelled rows": ("note", lambda f: f.assign(label=f.label.astype("Int64").mask(f.index == 5)), ()),
    "no labels": ("severe", lambda f: f.drop(columns=["label", "fault_type", "fault_service"]), ()),
    "one class": ("severe", lambda f: f[f.label == 0], ()),
}  # fmt: skip


SECTIONS = {"data": DataSettings, "split": SplitSettings, "threshold": ThresholdSettings}


def check_line(line):
    """What a finding says to write into the sweep file is YAML that the sweep file takes."""
    for key, value in (yaml.safe_load(line) or {}).items():
        own = {"source": "table", "path": "table.csv"} if key == "data" else {}
        SECTIONS[key].model_validate_json(json.dumps(value | own), strict=True)


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_pitfall_is_found(inspected, kind):
    severity, plant, columns = PLANTED[kind]
    inspection = inspected(plant(clean_table()))
    assert kind in kinds(inspection)
    finding = the(inspection, kind)
    assert severity == finding.severity
    if columns is not None:
        assert columns == tuple(sorted(finding.columns))
    for entry in inspection:
        check_line(entry.yaml)


def test_a_fault_that_no_fold_can_test_is_counted(tmp_path):
    frame = clean_table(rows=2400, faults=10)
    first = frame.label.idxmax()
    frame["label_quality"] = np.where(frame.index.isin(range(first - 5, first + FAULT_ROWS)), "suspect", "ok")
    frame.to_parquet(tmp_path / "table.parquet")
    source = DataSettings(source="table", path=tmp_path / "table.parquet")
    prospects = inspect_series(load_source(source), source).prospects
    assert 9 == prospects.tested
    assert "Never tested: 1 fault, where no whole window of 16 steps with a trusted label ends." == prospects.claims[0]


def test_the_threshold_of_a_cold_start_is_the_one_that_a_sweep_file_gets(tmp_path):
    frame = clean_table(rows=2400, faults=10)
    frame.iloc[frame.label.idxmax() - 10 :].to_parquet(tmp_path / "table.parquet")
    source = DataSettings(source="table", path=tmp_path / "table.parquet")
    found = inspect_series(load_source(source), source)
    line = yaml.safe_load(the(found.findings, "cold start").yaml)
    assert {"threshold": found.suggestion.threshold.model_dump(include={"rule", "quantile"})} == line


@pytest.mark.parametrize(
    ("value", "shown"), [(962.3, "960"), (96_230.0, "96,000"), (0.00312, "0.0031"), (7.7, "7.7"), (1095.0, "1,100")]
)
def test_numbers_are_written_out(value, shown):
    assert shown == rounded(value, 2)


def test_a_hidden_fault_is_found_where_it_was_planted(inspected):
    frame = hidden_fault(clean_table())
    free = np.flatnonzero(clean_table().label.rolling(150, center=True).max() == 0)[0]
    times = the(inspected(frame), "unlabelled, looks like a fault").times
    assert 1 == len(times)
    first, last = (pd.Timestamp(moment) for moment in times[0])
    assert first <= frame.timestamp[free + FAULT_ROWS // 2] <= last


def test_a_fault_that_only_parts_two_columns_is_found(inspected):
    """The caller waits as long as it does on a busy day, and the service is as quick as on a quiet one."""
    frame, rng = clean_table(), np.random.default_rng(6)
    for name in ("cart", "order", "pay", "user"):
        frame[f"{name}_cpu"], frame[f"{name}_memory"] = rng.normal(size=(2, ROWS))
        frame[f"{name}_latency_ms"] = 20 + 40 * np.sin(np.arange(ROWS) / 7) ** 2 + rng.exponential(20, ROWS)
        frame[f"{name}_caller_ms"] = frame[f"{name}_latency_ms"] + 2 + rng.normal(0, 0.2, ROWS)
        frame.loc[frame.fault_service == name, f"{name}_caller_ms"] += 20
    free = np.flatnonzero(frame.label.rolling(150, center=True).max() == 0)[0]
    frame.loc[free : free + FAULT_ROWS - 1, "pay_caller_ms"] += 20
    assert frame.pay_caller_ms[free : free + FAULT_ROWS].max() < frame.pay_caller_ms[frame.label == 0].max()
    times = the(inspected(frame), "unlabelled, looks like a fault").times
    assert 1 == len(times)
    first, last = (pd.Timestamp(moment) for moment in times[0])
    assert first <= frame.timestamp[free + FAULT_ROWS // 2] <= last


def test_a_column_in_two_units_is_a_repeat_though_some_samples_were_taken_at_another_moment(inspected):
    frame = clean_table()
    frame["cart_cpu_percent"] = np.round(frame.cart_cpu * 100 / 8, 4)
    late = np.random.default_rng(8).choice(ROWS, ROWS // 100, replace=False)
    frame.loc[late, "cart_cpu_percent"] *= 3
    assert frame.cart_cpu.corr(frame.cart_cpu_percent) < 0.9
    assert ("cart_cpu_percent",) == the(inspected(frame), "repeated columns").columns


@pytest.mark.parametrize("noise", [0.002, 0.02, 0.2])
def test_a_column_that_merely_correlates_is_no_repeat(inspected, noise):
    frame = clean_table()
    rng = np.random.default_rng(9)
    width = np.ptp(frame.cart_latency_ms.quantile([0.05, 0.95]))
    frame["cart_caller_ms"] = frame.cart_latency_ms + rng.normal(0, noise * width, ROWS)
    frame["cart_memory_again"] = 3 * frame.order_memory + rng.normal(0, noise * 3 * frame.order_memory.std(), ROWS)
    frame["sparse"], frame["sparse_too"] = rng.random((2, ROWS)) > 0.99
    found = inspected(frame)
    if noise > 0.01:
        assert "repeated columns" not in kinds(found)
    else:
        assert "sparse" not in str(the(found, "repeated columns").columns)


def test_faults_in_one_place_are_not_told_by_the_time_while_nothing_else_changes(inspected):
    found = kinds(inspected(faults_early_only(clean_table())))
    assert "faults in one place" in found
    assert "the time tells the faults" not in found


def test_a_change_of_regime_is_dated(inspected):
    frame = another_regime(clean_table())
    times = the(inspected(frame), "regime change").times
    assert 1 == len(times)
    assert abs(pd.Timestamp(times[0][0]) - frame.timestamp[4000]) < pd.Timedelta(hours=1)


def test_two_tables_of_one_system_are_compared(tmp_path):
    tables = []
    for day, factor in (("2024-03-04", 1.0), ("2024-03-05", 1.6)):
        frame = clean_table(rows=1500, faults=5)
        frame["timestamp"] = pd.Timestamp(day, tz="UTC") + pd.to_timedelta(np.arange(1500) * 30, unit="s")
        for name in [name for name in frame if "_memory" in name or "_latency" in name]:
            frame[name] *= factor
        frame.to_parquet(tmp_path / f"{day}.parquet")
        tables.append(DataSettings(source="table", path=tmp_path / f"{day}.parquet"))
    series = stack([load_source(source) for source in tables])
    assert ("2024-03-04:all", "2024-03-05:all") == series.segments
    assert "shift between segments" in kinds(findings_of(View(series)))


def test_labels_are_judged_by_telemetry_only_where_it_shows_them(inspected):
    frame = clean_table()
    rng = np.random.default_rng(5)
    frame[frame.columns[1:17]] = rng.normal(size=(len(frame), 16))  # nothing shows any fault
    found = kinds(inspected(frame))
    assert "faults that do not show" in found
    assert "unlabelled, looks like a fault" not in found
