"""Every reader of telemetry through the same checks, on a sample in its documented layout."""

import shutil
from dataclasses import fields
from typing import get_args

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.fakes.layouts import LAYOUTS, START, put
from trainables.data import load_source
from trainables.data.__main__ import app
from trainables.data.canonical import write_canonical
from trainables.data.readers import READERS, simulated
from trainables.data.series import LabelledSeries, Quality
from trainables.errors import DataError
from trainables.settings import DataSettings, SourceName

NAMES = tuple(LAYOUTS)
OF_FILES = tuple(name for name in NAMES if name != "simulated")
LABELLED = tuple(name for name in OF_FILES if READERS[name].labelled)
OF_FOLDERS = tuple(name for name in OF_FILES if name != "table")


def settings_of(source, folder, **more) -> DataSettings:
    layout = LAYOUTS[source]
    folder.mkdir(parents=True, exist_ok=True)
    return DataSettings(source=source, path=layout.write(folder), **{**layout.settings, **more})


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Read the sample of a layout once."""
    done = {}

    def by_name(name) -> LabelledSeries:
        if name not in done:
            done[name] = load_source(settings_of(name, tmp_path_factory.mktemp(name), name="sample"))
        return done[name]

    return by_name


def facts(series) -> dict[str, object]:
    """All fields of a series as plain values that compare, NaN included."""
    values = {entry.name: getattr(series, entry.name) for entry in fields(series)}
    return {
        key: (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value
        for key, value in values.items()
    }


def test_every_reader_has_a_sample_and_a_name_that_sweep_files_may_use():
    assert set(READERS) == set(NAMES)
    assert list(READERS) == list(get_args(SourceName.__value__ if hasattr(SourceName, "__value__") else SourceName))


@pytest.mark.parametrize("name", NAMES)
def test_the_series_is_as_its_class_says(read, name):
    series = read(name)
    rows, channels = len(series), len(series.columns)
    assert (rows, channels) == series.values.shape
    assert ["<f4", "|i1", "<i4", "<i4", "|i1", "<M8[ns]"] == [
        column.dtype.str
        for column in (series.values, series.labels, series.event, series.segment, series.quality, series.timestamps)
    ]
    assert {rows} == {len(c) for c in (series.labels, series.event, series.segment, series.quality, series.timestamps)}
    assert not np.isinf(series.values).any()
    assert set(series.labels.tolist()) <= {-1, 0, 1}
    assert set(series.quality.tolist()) <= {int(quality) for quality in Quality}
    assert channels == len(set(series.columns)) > 0
    assert series.step_s > 0
    assert (name == "simulated") == series.simulated


@pytest.mark.parametrize("name", NAMES)
def test_times_rise_within_each_segment_and_segments_follow_each_other(read, name):
    series = read(name)
    same = series.segment[1:] == series.segment[:-1]
    assert (np.diff(series.timestamps)[same] > np.timedelta64(0)).all()
    assert sorted(series.segment.tolist()) == series.segment.tolist()
    assert list(range(len(series.segments))) == sorted(set(series.segment.tolist()))
    assert len(series.segments) == len(set(series.segments))


@pytest.mark.parametrize("name", NAMES)
def test_events_are_the_fault_rows_each_in_one_segment(read, name):
    series = read(name)
    assert ((series.labels == 1) == (series.event >= 0)).all()
    for number, event in enumerate(series.events):
        assert np.flatnonzero(series.event == number).tolist() == list(range(event.start, event.stop))
        assert 1 == len(set(series.segment[event.start : event.stop].tolist()))


@pytest.mark.parametrize("name", OF_FILES)
def test_the_sample_is_read_right(read, name):
    series, layout = read(name), LAYOUTS[name]
    assert layout.rows == len(series)
    assert layout.columns == series.columns
    assert layout.segments == series.segments
    assert list(layout.events) == [(e.fault_type, e.service, e.stop - e.start) for e in series.events]


@pytest.mark.parametrize("name", NAMES)
def test_reading_again_gives_the_same(tmp_path, name):
    data = settings_of(name, tmp_path)
    assert facts(load_source(data)) == facts(load_source(data))


@pytest.mark.parametrize("name", NAMES)
def test_the_converted_table_reads_as_the_source_does(read, tmp_path, name):
    table = tmp_path / "table.parquet"
    written = write_canonical(READERS[name], settings_of(name, tmp_path / "source"), table)
    back = load_source(DataSettings(source="table", path=table, name="sample"))
    assert facts(read(name)) == facts(back)
    assert (len(back), len(back.segments), len(back.events)) == (
        written.rows,
        written.segments,
        sum(written.events.values()),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_that_streams_by_recording_gives_one_recording_at_a_time(tmp_path, name, monkeypatch):
    monkeypatch.setattr(simulated, "RECORDING_ROWS", 500)
    parts = list(READERS[name].recordings(settings_of(name, tmp_path), lambda note: None))
    assert READERS[name].streams == ("by recording" if len(parts) > 1 else "by row")
    segments = [set(part.segment) for part in parts]
    assert sum(map(len, segments)) == len(set().union(*segments))


@pytest.mark.parametrize("name", OF_FILES)
def test_a_path_without_anything_is_refused_by_name(tmp_path, name):
    with pytest.raises(DataError, match="absent"):
        load_source(DataSettings(source=name, path=tmp_path / "absent"))


@pytest.mark.parametrize("name", OF_FOLDERS)
def test_an_empty_folder_is_refused_and_what_is_missing_is_named(tmp_path, name):
    with pytest.raises(DataError) as caught:
        load_source(DataSettings(source=name, path=tmp_path))
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "there is no" in str(caught.value)
    assert "the folder is empty" in str(caught.value)


@pytest.mark.parametrize("name", OF_FOLDERS)
def test_a_folder_of_another_layout_is_refused_and_what_it_holds_is_said(tmp_path, name):
    put(tmp_path / "notes.md", "nothing of use\n")
    with pytest.raises(DataError, match=r"the folder holds: notes\.md"):
        load_source(DataSettings(source=name, path=tmp_path))


@pytest.mark.parametrize("name", OF_FILES)
def test_a_sample_without_a_file_that_it_needs_is_refused_by_the_name_of_that_file(tmp_path, name):
    data, layout = settings_of(name, tmp_path), LAYOUTS[name]
    gone = list(tmp_path.rglob(layout.needed))
    assert gone
    for path in gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError) as caught:
        load_source(data)
    assert layout.named in str(caught.value)


@pytest.mark.parametrize("name", LABELLED)
def test_incidents_are_refused_where_the_layout_has_labels(tmp_path, name):
    incidents = put(tmp_path / "incidents.csv", f"start,duration\n{START},60\n")
    with pytest.raises(DataError, match=f"source {name} brings its own labels"):
        load_source(settings_of(name, tmp_path / "source", incidents=incidents))


@pytest.mark.parametrize("name", [n for n in OF_FILES if not READERS[n].labelled and n != "table"])
def test_incidents_label_a_layout_without_labels(read, tmp_path, name):
    assert {-1} == set(read(name).labels.tolist())
    incidents = put(tmp_path / "incidents.csv", f"start,duration,type,service\n{START + 60},60,cpu,cart\n")
    series = load_source(settings_of(name, tmp_path / "source", incidents=incidents))
    assert [("cpu", "cart", 4)] == [(e.fault_type, e.service, e.stop - e.start) for e in series.events]
    assert {0, 1} == set(series.labels.tolist())


def test_the_help_lists_every_source_with_a_line_and_an_example():
    shown = CliRunner().invoke(app, ["convert", "--help"], terminal_width=200).output
    for name, reader in READERS.items():
        assert f"{name}: {reader.about}" in shown
        assert f"convert {reader.example} --to table.parquet" in shown
        assert reader.example.startswith(name)
