import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestrator.plan import series_digest
from orchestrator.sweep import app
from trainables.data import big_tables, load_source, prepare, scaling
from trainables.data.canonical import write_canonical
from trainables.data.parts import preparation_notes
from trainables.data.readers import READERS
from trainables.settings import DataSettings, FewShotSettings, SplitSettings, ThresholdSettings
from trainables.trial import EvaluationSettings

ROWS = 4000

KILLED = (
    "import os, signal\nfrom trainables.data import big_tables as b\nb.LARGE = 0\n"
    "t = b.empty(100, 10); os.kill(os.getpid(), signal.SIGKILL)"
)


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Map tables from a kilobyte on, into a folder of their own, in blocks of a few rows."""
    monkeypatch.setattr(big_tables, "LARGE", 1024)
    monkeypatch.setattr(big_tables, "BLOCK_BYTES", 88 * 4 * 100)
    monkeypatch.setenv("FEWSHOT_SCRATCH", str(tmp_path / "scratch"))
    return tmp_path / "scratch"


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "table.parquet"
    write_canonical(READERS["simulated"], DataSettings(rows=ROWS), path)
    return DataSettings(source="table", path=path)


def settings(data):
    return EvaluationSettings(data, SplitSettings(), FewShotSettings(), ThresholdSettings())


def tables(folder):
    return sorted(path.name for path in folder.glob("*.table"))


def test_a_mapped_table_reads_scales_and_hashes_as_one_in_memory(table, small, monkeypatch):
    mapped = load_source(table)
    monkeypatch.setattr(big_tables, "LARGE", 2**40)
    plain = load_source(table)
    assert big_tables.file_of(mapped.values) is not None
    assert big_tables.file_of(plain.values) is None
    assert series_digest(plain) == series_digest(mapped)
    expected = prepare(plain, settings(table), 0)
    monkeypatch.setattr(big_tables, "LARGE", 1024)
    found = prepare(mapped, settings(table), 0)
    assert expected.pool.table.tobytes() == found.pool.table.tobytes()
    assert expected.test.x.tobytes() == found.test.x.tobytes()
    assert preparation_notes(plain, settings(table)) == preparation_notes(mapped, settings(table))
    assert not found.pool.table.flags.writeable


def test_a_value_held_over_the_border_of_a_block_is_held_and_over_that_of_a_segment_not(table, small, monkeypatch):
    monkeypatch.setattr(big_tables, "LARGE", 2**40)
    series = load_source(table)
    values = series.values.copy()
    values[50:350, :40], values[990:1200, 3] = np.nan, np.nan  # over three blocks, and over the new border
    segment = (np.arange(ROWS) >= 1000).astype(np.int32)
    holes = replace(series, values=values, segment=segment, segments=("a", "b"))
    in_blocks = prepare(holes, settings(table), 0).pool.table
    monkeypatch.setattr(big_tables, "BLOCK_BYTES", 2**40)
    assert prepare(holes, settings(table), 0).pool.table.tobytes() == in_blocks.tobytes()
    assert (in_blocks[50:350, 0] == in_blocks[49, 0]).all()
    assert in_blocks[999, 3] == in_blocks[989, 3] != in_blocks[1000, 3]


def test_processes_share_one_scaled_table_and_nobody_waits_for_ever(table, small):
    series = load_source(table)
    stored = big_tables.stored(series)
    first = prepare(series, settings(table), 0)
    again = prepare(stored.open(), settings(table), 0)  # as a worker would
    assert 2 == len(tables(small))
    assert np.shares_memory(first.pool.table, first.test.table)
    assert big_tables.file_of(first.pool.table) == big_tables.file_of(again.pool.table)


def test_files_go_with_the_last_array_on_them(table, small):
    series = load_source(table)
    parts = prepare(series, settings(table), 0)
    assert 2 == len(tables(small))
    del parts
    del series
    assert [] == tables(small)


def test_what_a_killed_process_left_is_removed_by_the_next(small):
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    assert 1 == len(tables(small))
    kept = big_tables.empty(1000, 10)
    assert 1 == len(tables(small))
    assert 10_000 == kept.size


def test_what_a_killed_process_left_is_removed_by_the_next_sweep(small, tmp_path, monkeypatch):
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    monkeypatch.setattr(big_tables, "LARGE", 2**40)
    (tmp_path / "header.csv").write_text("timestamp,a\n")  # refused when it is read
    arguments = ["search_spaces/smoke.yaml", "--data", str(tmp_path / "header.csv"), "--output", str(tmp_path / "run")]
    assert 2 == CliRunner().invoke(app, [*arguments, "--dry-run"]).exit_code
    assert 1 == len(tables(small))
    assert 2 == CliRunner().invoke(app, arguments).exit_code
    assert [] == tables(small)


def test_tables_that_follow_each_other_in_memory_are_never_taken_for_each_other(table, small, monkeypatch):
    monkeypatch.setattr(big_tables, "LARGE", 2**40)
    series = load_source(table)
    monkeypatch.setattr(big_tables, "LARGE", 1024)
    held = []
    for normalise in ("zscore", "minmax") * 5:
        asked = settings(table.model_copy(update={"normalise": normalise}))
        parts = prepare(series, asked, 0)
        expected = parts.scaler.apply(series.values, series.segment)
        assert expected.tobytes() == parts.pool.table.tobytes()
        held.append(parts.pool.table)  # its file stays, its scaler goes
        del parts


def test_a_table_that_was_not_finished_is_written_again(small):
    def fail(into):
        into[:] = 1
        raise RuntimeError("planted")

    with pytest.raises(RuntimeError, match="planted"):
        big_tables.shared("unfinished", (100, 10), fail)
    found = big_tables.shared("unfinished", (100, 10), lambda into: into.fill(2))
    assert 2 == found.min() == found.max()


def test_only_a_table_or_its_first_rows_can_be_handed_on_by_file(small):
    table = big_tables.empty(100, 10)
    table[:] = np.arange(1000, dtype=np.float32).reshape(100, 10)
    assert big_tables.file_of(table) == big_tables.file_of(table[:50])
    for part in (table[1:], table[:, :5], table.copy(), np.zeros((3, 2), dtype=np.float32)):
        assert big_tables.file_of(part) is None
    assert table[[5, 7]].tolist() == big_tables.rows_of(table, np.asarray([5, 7])).tolist()
    assert table[:, [1, 3]].tolist() == big_tables.columns_of(table, [1, 3]).tolist()


def test_memory_does_not_follow_the_number_of_rows(small, tmp_path, monkeypatch):
    """Reading and preparing allocate little beside the mapped tables: times, labels, places of windows."""

    monkeypatch.setattr(scaling, "COLUMN_BYTES", 64_000)

    def peak(rows):
        path = tmp_path / f"{rows}.parquet"
        write_canonical(READERS["simulated"], DataSettings(rows=rows), path)
        data = DataSettings(source="table", path=path, support_stride=16)
        tracemalloc.start()
        try:
            parts = prepare(load_source(data), settings(data), 0)
            assert len(parts.test)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(6_000), peak(18_000)
    assert many - few < 0.5 * 12_000 * 88 * 4  # of the float32 table; in memory it would be held three times
