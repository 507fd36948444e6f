"""Tests of the gate: what simple rivals fill in, what counts as held out, and what the bundled weights reach."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from trainables._moment import MomentBackbone, load
from trainables.backbones import WEIGHTS_FOLDER
from trainables.errors import DataError
from trainables.pretraining import gate
from trainables.pretraining.folder import GATE_FILE
from trainables.pretraining.gate import HeldOut, MaskedWindows
from trainables.pretraining.loop import read_recipe

RECORDED = pd.read_csv(WEIGHTS_FOLDER / GATE_FILE)
SHARED = Path(__file__).parents[4] / "shared" / "data"
TELEMETRY = (
    "trainticket_traces_4s/trainticket_traces_4s",
    "smd_1min/machine-1-6",
    "onlineboutique_metrics_1min/2022-08-20_normal",
)


@lru_cache(maxsize=2)
def backbone(random_seed: int | None) -> MomentBackbone:
    return load(WEIGHTS_FOLDER, torch.device("cpu"), random_seed=random_seed)


def one_gap(values: list[float], hidden: list[bool]) -> MaskedWindows:
    """Each value stands for a patch of 8 equal steps."""
    return MaskedWindows(np.repeat(np.array([values], np.float32), 8, axis=1), np.array([hidden]))


def test_the_last_value_is_held_and_the_beginning_takes_the_first_one_seen() -> None:
    filled = gate.last_value(one_gap([9, 1, 9, 4], [True, False, True, False]))
    np.testing.assert_array_equal(np.repeat([1, 1, 1, 4], 8), filled[0])


def test_interpolation_draws_a_line_over_the_gap_and_holds_the_edges() -> None:
    filled = gate.interpolation(one_gap([0, 50, 9, 50], [False, True, False, True]))
    np.testing.assert_allclose(np.arange(1, 9), filled[0, 8:16], rtol=1e-6)
    np.testing.assert_array_equal(np.full(8, 9), filled[0, 24:])


def test_the_visible_mean_leaves_hidden_steps_out() -> None:
    filled = gate.visible_mean(one_gap([1, 3, 100], [False, False, True]))
    np.testing.assert_array_equal(np.full(8, 2), filled[0, 16:])


def test_a_row_passes_only_below_all_rivals_and_the_visible_mean_is_none() -> None:
    table = pd.DataFrame(
        {
            "visible mean": [0.1, 9, 9, 9],
            "last value": [1, 0.5, 9, 9],
            "interpolation": [1, 9, 0.5, 9],
            "untrained": [1, 9, 9, 0.5],
            "pretrained": [0.5] * 4,
        }
    )
    assert [True, False, False, False] == gate.passed(table).tolist()


def test_telemetry_gives_stretches_without_faults_gaps_or_borders_of_segments(tmp_path: Path) -> None:
    rows = 400
    table = pd.DataFrame({"timestamp": pd.date_range("2026-01-01", periods=rows, freq="s"), "label": 0})
    table["segment"] = np.where(np.arange(rows) < 200, "first", "second")
    table["ramp"] = np.arange(rows, dtype=float)
    table["constant"] = 5.0
    table.loc[100:149, "label"] = 1
    table.loc[300, "ramp"] = np.nan
    table.to_parquet(tmp_path / "table.parquet")
    windows = gate.telemetry(tmp_path / "table.parquet").cut(np.random.default_rng(0), 500, 40)
    np.testing.assert_array_equal(np.ones((500, 39)), np.diff(windows, axis=1))
    starts, ends = windows[:, 0], windows[:, -1]
    assert not ((ends >= 100) & (starts < 150)).any()
    assert not ((ends >= 200) & (starts < 200)).any()
    assert not ((ends >= 300) & (starts <= 300)).any()


def test_a_table_without_a_complete_stretch_is_an_error(tmp_path: Path) -> None:
    table = pd.DataFrame({"timestamp": pd.date_range("2026-01-01", periods=40, freq="s"), "label": 1, "a": range(40)})
    table.to_parquet(tmp_path / "faulty.parquet")
    with pytest.raises(DataError, match="no column has 32 fault-free rows in a row without a gap"):
        gate.telemetry(tmp_path / "faulty.parquet")


def test_lengths_that_a_source_lacks_have_no_row() -> None:
    short = HeldOut("short", gate.SeriesTable.of([np.sin(np.arange(70, dtype=np.float32))]).windows)
    table = gate.measure(backbone(None), backbone(1), [short], count=5)
    assert {32, 64} == set(table["length"])
    assert set(gate.SEEDS) == set(table["seed"])


def test_the_bundled_weights_reach_their_recorded_figures_on_a_kind_of_series_they_never_saw() -> None:
    assert_recorded(*gate.held_out_generated())


@pytest.mark.parametrize("name", TELEMETRY)
def test_the_bundled_weights_reach_their_recorded_figures_on_real_telemetry(name: str) -> None:
    path = SHARED / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    assert_recorded(gate.telemetry(path))


def assert_recorded(source: HeldOut) -> None:
    """Measure one source again: the same figures as in gate.csv, and the verdict that the card shows."""
    untrained = backbone(read_recipe(WEIGHTS_FOLDER).seed)
    found = gate.measure(backbone(None), untrained, [source])
    recorded = RECORDED[RECORDED["source"] == source.name].reset_index(drop=True)
    assert len(recorded) > 0
    pd.testing.assert_frame_equal(recorded, found, rtol=1e-3, atol=1e-4)
    assert gate.passed(recorded).tolist() == gate.passed(found).tolist()


def test_the_bundled_weights_are_below_every_rival_on_nearly_all_that_was_measured() -> None:
    passed = gate.passed(RECORDED)
    assert set(gate.SEEDS) == set(RECORDED["seed"])
    assert passed[RECORDED["source"].str.startswith("generated")].all()
    assert passed.mean() > 0.9
    assert (RECORDED["pretrained"] < 0.6 * RECORDED["untrained"]).all()
