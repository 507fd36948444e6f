"""Tests of what pretraining reads: generated shapes, real series of installed packages, windows of both."""

from pathlib import Path

import numpy as np
import pytest

from trainables.errors import DataError, MissingPackageError
from trainables.pretraining import corpus, generated, real_series
from trainables.pretraining.corpus import Corpus, SeriesTable, standardised

KINDS = {**generated.TRAINED, **generated.HELD_OUT}
ANOMALY_SETS = {"KDD-TSAD_135", "Daphnet_S06R02E0", "UnitTest"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "steps"), [(1, 32), (7, 512)])
def test_every_kind_gives_finite_series_that_vary_and_follow_the_seed(kind: str, count: int, steps: int) -> None:
    series = KINDS[kind](rng(), count, steps)
    assert (count, steps) == series.shape
    assert np.isfinite(series).all()
    assert len(np.unique(series)) > 1
    np.testing.assert_array_equal(series, KINDS[kind](rng(), count, steps))


def test_counters_and_queues_are_never_negative() -> None:
    assert 0 <= generated.bursty_counters(rng(), 50, 256).min()
    assert 0 <= generated.queue_backlogs(rng(), 50, 256).min()


def test_latencies_have_a_heavy_right_tail() -> None:
    series = standardised(generated.heavy_tailed_latencies(rng(), 200, 512))
    assert np.median(series.max(axis=1)) > 2 * np.median(-series.min(axis=1))


def test_saw_teeth_fall_faster_than_they_rise() -> None:
    changes = np.diff(generated.saw_tooth_memory(rng(), 200, 512), axis=1)
    assert np.median(-changes.min(axis=1)) > 2 * np.median(changes.max(axis=1))


def test_a_collector_averages_rounds_and_holds_some_series_and_leaves_the_others() -> None:
    series = rng().normal(size=(2000, 64))
    recorded = generated.as_recorded(rng(1), series)
    held = (np.diff(recorded, axis=1) == 0).mean(axis=1) > 0.3
    untouched = np.isclose(recorded, series).all(axis=1)
    assert 0.2 == pytest.approx(held.mean(), abs=0.05)
    assert 0.8 * 0.9 * 0.8 == pytest.approx(untouched.mean(), abs=0.05)


def test_a_constant_series_stays_constant_when_recorded() -> None:
    np.testing.assert_allclose(np.ones((50, 32)), generated.as_recorded(rng(), np.ones((50, 32))))


def test_windows_are_cut_from_one_series_each() -> None:
    table = SeriesTable.of([np.arange(100, dtype=np.float32), np.arange(1000, 1600, dtype=np.float32)])
    windows = table.windows(rng(), 500, 32, strides=(1,))
    np.testing.assert_array_equal(np.ones((500, 31)), np.diff(windows, axis=1))
    assert {True, False} == set((windows[:, 0] < 1000).tolist())


def test_a_stride_averages_neighbours_where_the_series_is_long_enough() -> None:
    table = SeriesTable.of([np.arange(100, dtype=np.float32), np.arange(1000, 1600, dtype=np.float32)])
    windows = table.windows(rng(), 500, 32, strides=(4,))
    long = windows[:, 0] > 1000
    np.testing.assert_array_equal(np.full((long.sum(), 31), 4), np.diff(windows[long], axis=1))
    np.testing.assert_array_equal(np.ones(((~long).sum(), 31)), np.diff(windows[~long], axis=1))


def test_flat_windows_are_drawn_again() -> None:
    series = np.zeros(1000, np.float32)
    series[500:] = np.sin(np.arange(500))
    assert SeriesTable.of([series]).windows(rng(), 200, 32).std(axis=1).min() > 0


def test_a_corpus_that_is_too_short_or_flat_is_an_error_with_the_reason() -> None:
    with pytest.raises(DataError, match="no series has 64 steps; the longest has 40"):
        SeriesTable.of([np.arange(40, dtype=np.float32)]).windows(rng(), 5, 64)
    flat = np.zeros(10_000, np.float32)
    flat[0] = 1
    with pytest.raises(DataError, match="nearly all are flat"):
        SeriesTable.of([flat]).windows(rng(), 500, 32)


def test_a_batch_mixes_all_sources_and_is_standardised() -> None:
    real = {name: [rng().normal(size=4000).astype(np.float32)] for name in ("simbench", "aeon")}
    batch = Corpus(real).batch(rng(), 64, 300)
    assert (300, 64) == batch.shape
    np.testing.assert_allclose(np.zeros(300), batch.mean(axis=1), atol=1e-5)
    deviations = batch.std(axis=1)
    np.testing.assert_allclose(np.ones(300), np.where(deviations == 0, 1, deviations), atol=1e-4)
    assert 1 == pytest.approx(sum(corpus.SHARES.values()))


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"simbench, which is missing; run: pip install --no-deps simbench=="):
        real_series.training_series()


def test_no_labelled_anomaly_set_is_read() -> None:
    assert not ANOMALY_SETS & {*real_series.AEON_TRAINED, *real_series.AEON_HELD_OUT}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small stand-ins for the files of simbench and aeon."""
    steps = np.arange(100)
    for year in real_series.SIMBENCH_YEARS:
        folder = tmp_path / "simbench" / "networks" / f"1-complete_data-mixed-all-{year}-sw"
        folder.mkdir(parents=True)
        for number, table in enumerate(real_series.SIMBENCH_TABLES):
            columns = {"time": steps, f"G0-A_{number}": steps * (number + 1), f"G{number}-M_pload": steps**2 + number}
            columns["constant"] = steps * 0
            lines = [";".join(columns), *(";".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
            (folder / f"{table}.csv").write_text("\n".join(lines))
    for name in (*real_series.AEON_TRAINED, *real_series.AEON_HELD_OUT):
        folder = tmp_path / "aeon" / "datasets" / "data" / name
        folder.mkdir(parents=True)
        for half in ("TRAIN", "TEST"):
            channel = ",".join(map(str, steps[:70]))
            text = f"# {name}\n@classLabel true a b\n@Data\n{channel}:{channel[:40]}:a\n?,{channel}:b\n"
            (folder / f"{name}_{half}.ts").write_text(text)
    monkeypatch.setattr(real_series, "package_folder", lambda name: tmp_path / name)
    return tmp_path


def test_columns_that_repeat_over_the_years_are_used_once_and_held_out_classes_are_left_out(packages: Path) -> None:
    series = real_series.training_series()["simbench"]
    assert [1, 2, 3, 4] == [int(one[1]) for one in series]  # four tables, three equal years, constants left out


def test_channels_that_are_short_or_have_gaps_are_left_out(packages: Path) -> None:
    series = real_series.training_series()["aeon"]
    assert [70] * 2 * len(real_series.AEON_TRAINED) == [len(one) for one in series]


@pytest.mark.parametrize(
    ("name", "held_out"),
    [("G3-M_pload", True), ("L2-M_qload", True), ("BL-H_pload", True), ("H0-A_pload", False), ("HS0_pload", False)],
)
def test_whole_classes_of_load_profiles_are_held_out(name: str, held_out: bool) -> None:
    assert held_out is (real_series.SIMBENCH_HELD_OUT.fullmatch(name) is not None)
