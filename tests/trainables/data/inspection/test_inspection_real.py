"""What the description of the real tables warns of, found without being told (label quality left out)."""

import numpy as np
import pandas as pd
import pytest

from trainables.data.inspection.inspection import findings_of
from trainables.data.inspection.stack import stack
from trainables.data.inspection.view import View
from trainables.data.readers import load_source
from trainables.settings import DataSettings

HIDDEN = "unlabelled, looks like a fault"

EXPECTED = {
    "trainticket_traces_4s/trainticket_traces_4s": {
        HIDDEN, "shift between segments", "faults in one place", "faults close together", "missing means something",
        "cold start",
    },
    "trainticket_metrics_1min/2023-01-30": {
        HIDDEN, "shift between segments", "faults in one place", "faults close together", "few rows a fault",
        "constant columns", "repeated columns", "missing means something", "cold start",
    },
    "onlineboutique_metrics_1min/2022-08-22": {
        HIDDEN, "effects outlast the label", "faults close together", "few rows a fault", "constant columns",
        "repeated columns", "cold start",
    },
    "sockshop_rcd_1s/sockshop_rcd": {"the time tells the label", "no onset", "shift between days", "constant columns"},
    "sockshop_mesh_latency_1s/sockshop_mesh_latency": {"faults that do not show", "no onset"},
    "smd_1min/machine-2-1": {"scaled before", "constant columns", "synthetic times", "faults in one place"},
    "trainticket_requests/trainticket_requests": {"no sequence", "synthetic times", "few rows a fault"},
}  # fmt: skip
"""Table -> kinds of findings that its description lists as pitfalls."""


@pytest.fixture
def without_quality(shared_data, tmp_path):
    """Read a table as somebody would who does not know which labels can be trusted."""

    def read(name, *also):
        path = tmp_path / f"{name.rpartition('/')[2]}.parquet"
        pd.read_parquet(shared_data / f"{name}.parquet").drop(columns=["label_quality", *also]).to_parquet(path)
        return load_source(DataSettings(source="table", path=path))

    return read


@pytest.mark.slow
@pytest.mark.parametrize("table", EXPECTED, ids=lambda table: table.rpartition("/")[2])
def test_the_pitfalls_of_a_real_table_are_found(without_quality, table):
    found = {finding.kind for finding in findings_of(View(without_quality(table)))}
    assert set() == EXPECTED[table] - found


INJECTIONS = {
    "trainticket_traces_4s/trainticket_traces_4s": ("2023-01-30T11:44", "2023-01-30T12:23", "2023-01-30T13:37"),
    "trainticket_metrics_1min/2023-01-30": ("2023-01-30T11:44", "2023-01-30T12:23"),
    "onlineboutique_metrics_1min/2022-08-22": (
        "2022-08-22T06:05",
        "2022-08-22T06:18",
        "2022-08-22T06:44",
        "2022-08-22T07:32",
    ),
}
"""Injections that the published list leaves out. 2023-01-30 13:37 does not stand out in the metrics of that day."""


@pytest.mark.slow
@pytest.mark.parametrize("unknown", [(), ("segment",)], ids=["segments", "no segments"])
@pytest.mark.parametrize("table", INJECTIONS, ids=lambda table: table.rpartition("/")[2])
def test_injections_that_nobody_listed_are_found(without_quality, table, unknown):
    finding = next(it for it in findings_of(View(without_quality(table, *unknown))) if it.kind == HIDDEN)
    starts = [pd.Timestamp(first) for first, _ in finding.times]
    for injection in INJECTIONS[table]:
        moment = pd.Timestamp(injection, tz="UTC")
        assert any(pd.Timedelta(minutes=-5) <= start - moment <= pd.Timedelta(minutes=6) for start in starts), injection


@pytest.mark.slow
def test_a_column_in_two_units_counts_once(without_quality):
    view = View(without_quality("trainticket_metrics_1min/2023-01-30"))
    repeated = next(finding for finding in findings_of(view) if finding.kind == "repeated columns").columns
    varying = np.asarray(view.series.columns)[view.varying]
    pairs = [(name, name.replace("Usage(m)", "UsageRate(%)")) for name in varying if name.endswith("_CpuUsage(m)")]
    assert 43 == len(pairs)
    assert [] == [pair for pair in pairs if not {*pair} & {*repeated}]


@pytest.mark.slow
def test_days_with_other_deployments_are_told_apart(shared_data):
    paths = [
        shared_data / "onlineboutique_metrics_1min" / f"{day}.parquet" for day in ("2022-08-14_normal", "2022-08-22")
    ]
    days = stack([load_source(DataSettings(source="table", path=path)) for path in paths])
    assert "shift between segments" in {finding.kind for finding in findings_of(View(days))}
