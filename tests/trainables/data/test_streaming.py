# ruff: noqa: PD011  (values is our array, not a frame's)
"""`convert` streams: what is read in pieces reads as the whole does, and memory does not follow the source."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.fakes.peaks import SMALL
from trainables.data import big_tables, load_source
from trainables.data.readers import READERS
from trainables.data.readers.timestamps import Clock
from trainables.errors import DataError
from trainables.settings import DataSettings

START = 1_700_000_000
COLUMNS = 40
ONE_ARENA = {"OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""One thread and one allocator: what others keep for themselves follows the load of the machine."""
SERIES = [(f"cpu_{number % 4}", f"service{number // 4}") for number in range(COLUMNS)]


def wide(rows):
    values = np.random.default_rng(0).normal(size=(rows, COLUMNS)).astype(np.float32).round(4)
    times = pd.to_datetime(START + 10 * np.arange(rows), unit="s", utc=True)
    frame = pd.DataFrame(values, columns=[f"m{number}" for number in range(COLUMNS)])
    return frame.assign(timestamp=times, label=(np.arange(rows) % 500 > 450).astype(int))


def write_csv(folder, rows):
    wide(rows).assign(timestamp=lambda frame: frame["timestamp"].dt.strftime("%FT%TZ")).to_csv(
        path := folder / "table.csv", index=False
    )
    return path


def write_parquet(folder, rows):
    """Write one row group, as many tools do; without dictionaries, which are held whole, up to a MiB a column."""
    plain = {"row_group_size": 10**9, "use_dictionary": False}
    wide(rows).to_parquet(path := folder / "table.parquet", **plain)
    return path


def samples(rows):
    """Yield time, name, service and value of each sample, in order of time."""
    values = np.random.default_rng(0).normal(size=(rows, COLUMNS)).round(4).tolist()
    for row, of_row in enumerate(values):
        for (name, service), value in zip(SERIES, of_row, strict=True):
            yield START + 10 * row, name, service, value


def write_long_csv(folder, rows):
    lines = [f"{time},{name},{service},{value}\n" for time, name, service, value in samples(rows)]
    (path := folder / "samples.csv").write_text("time,name,service,value\n" + "".join(lines))
    return path


def write_openmetrics(folder, rows):
    lines = [f'{name}{{service="{service}"}} {value} {time}.0\n' for time, name, service, value in samples(rows)]
    (path := folder / "dump.txt").write_text("".join(lines) + "# EOF\n")
    return path


def write_prometheus(folder, rows):
    """Write an answer for each 500 steps."""
    for first in range(0, rows, 500):
        values = np.random.default_rng(first).normal(size=(COLUMNS, 500)).round(4)
        times = range(START + 10 * first, START + 10 * (first + 500), 10)
        result = [
            {
                "metric": {"__name__": name, "service": service},
                "values": [[time, str(value)] for time, value in zip(times, of_series, strict=True)],
            }
            for (name, service), of_series in zip(SERIES, values, strict=True)
        ]
        answer = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        (folder / f"{first:06d}.json").write_text(json.dumps(answer))
    return folder


SOURCES = {
    "table, CSV": ("table", write_csv, 10_000),
    "table, Parquet": ("table", write_parquet, 30_000),
    "long_csv": ("long_csv", write_long_csv, 1_500),
    "openmetrics": ("openmetrics", write_openmetrics, 1_500),
    "prometheus": ("prometheus", write_prometheus, 2_500),
}


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))


@pytest.fixture(scope="module")
def growth(tmp_path_factory):
    """Return, for each source, by how many bytes the file and the peak memory grow from a size to four times it."""
    root = tmp_path_factory.mktemp("sources")
    arguments, sizes = [], []
    for number, (source, write, rows) in enumerate(SOURCES.values()):
        for times in (1, 4):
            (folder := root / f"{number}-{times}").mkdir()
            path = write(folder, times * rows)
            sizes.append(size_of(path))
            arguments.append([source, str(path), "--to", str(root / f"{number}-{times}.parquet")])
    done = subprocess.run(
        [sys.executable, "-m", "tests.fakes.peaks", *map(json.dumps, arguments)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **ONE_ARENA, "FEWSHOT_SCRATCH": str(root / "scratch")},
    )
    peaks = json.loads(done.stdout)
    assert len(arguments) == len(list(root.glob("*.parquet")))
    return {name: (sizes[2 * n + 1] - sizes[2 * n], peaks[2 * n + 1] - peaks[2 * n]) for n, name in enumerate(SOURCES)}


def test_every_reader_without_recordings_is_measured_here():
    assert {source for source, _, _ in SOURCES.values()} == {
        name for name, reader in READERS.items() if reader.streams == "by row"
    }


@pytest.mark.parametrize("name", SOURCES)
def test_peak_memory_does_not_follow_the_source(growth, name):
    of_source, of_memory = growth[name]
    assert of_memory < 0.6 * of_source


def whole_and_in_pieces(source, path, monkeypatch, **settings):
    data = DataSettings(source=source, path=path, **settings)
    whole = load_source(data)
    for (module, name), size in SMALL.items():
        monkeypatch.setattr(module, name, size // 50)
    return whole, load_source(data)


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_read_in_pieces_gives_what_it_gives_at_once(name, tmp_path, monkeypatch):
    monkeypatch.setenv("FEWSHOT_SCRATCH", str(tmp_path / "scratch"))
    source, write, _ = SOURCES[name]
    whole, pieces = whole_and_in_pieces(source, write(tmp_path, 500), monkeypatch)
    assert big_tables.file_of(whole.values) is None
    assert big_tables.file_of(pieces.values) is not None
    assert whole.values.tobytes() == pieces.values.tobytes()
    assert whole.timestamps.tolist() == pieces.timestamps.tolist()
    assert (whole.columns, whole.events, whole.notes) == (pieces.columns, pieces.events, pieces.notes)


def test_samples_out_of_order_over_all_pieces_are_sorted_and_counters_still_become_rates(tmp_path, monkeypatch):
    monkeypatch.setenv("FEWSHOT_SCRATCH", str(tmp_path / "scratch"))
    order = np.random.default_rng(0).permutation(900)
    lines = [f"{START + 10 * (n // 3)},{('requests_total', 'memory', 'cpu')[n % 3]},{n // 3 * 20}\n" for n in order]
    (path := tmp_path / "samples.csv").write_text("time,name,value\n" + "".join(lines))
    whole, pieces = whole_and_in_pieces("long_csv", path, monkeypatch)
    assert {"rate(requests_total)", "memory", "cpu"} == set(pieces.columns)
    rate = pieces.values[:, pieces.columns.index("rate(requests_total)")]
    assert [2.0] * 299 == rate[1:].tolist()
    assert whole.values.tobytes() == pieces.values.tobytes()


def test_blank_lines_do_not_shift_the_line_that_a_later_piece_names(tmp_path, monkeypatch):
    monkeypatch.setattr("trainables.data.readers.csv_text._CHUNK_ROWS", 4)
    rows = [f"{START + 10 * n},{n}" + "\n" * (n % 3 == 1) for n in range(20)]
    (path := tmp_path / "t.csv").write_text("\n".join(["timestamp,a", *rows, f"{START + 190},7"]) + "\n")
    lines = path.read_text().splitlines()
    first, second = (1 + n for n, line in enumerate(lines) if line.startswith(str(START + 190)))
    with pytest.raises(DataError, match=f"line {second} and line {first} have the same timestamp"):
        load_source(DataSettings(source="table", path=path))


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        (["2024-01-01T00:00:00Z"], ["2024-01-01T00:00:10"], r"an offset in row 0 \(.*\) and none in row 0 \(.*:10\)"),
        (["1700000000"], ["1700000010000"], "row 0: time 1700000010000 is in ms by its size, but 1700000000 .* in s"),
        (["1700000000"], ["2024-01-01"], "row 0: time '2024-01-01' is not a time like the others, which are epoch"),
        (["2024-01-01"], ["1700000000"], "row 0: time '1700000000' is not a time like the others, which are dates"),
    ],
)
def test_times_that_do_not_go_with_those_of_an_earlier_piece_are_refused(first, second, says):
    clock = Clock(None, "t.csv", "time")
    clock.utc(np.asarray(first, dtype=object), "row {}".format)
    with pytest.raises(DataError, match=says):
        clock.utc(np.asarray(second, dtype=object), "row {}".format)


@pytest.mark.parametrize("source", ["table", "long_csv"])
def test_the_repeated_hour_of_a_clock_change_is_told_apart_across_pieces(source, tmp_path, monkeypatch):
    local = pd.date_range("2024-10-26T23:00Z", periods=240, freq="1min").tz_convert("Europe/Berlin").strftime("%F %T")
    header, name = ("timestamp,a", "") if source == "table" else ("time,name,value", "a,")
    (path := tmp_path / "t.csv").write_text(f"{header}\n" + "".join(f"{at},{name}{n}\n" for n, at in enumerate(local)))
    monkeypatch.setenv("FEWSHOT_SCRATCH", str(tmp_path / "scratch"))
    whole, pieces = whole_and_in_pieces(source, path, monkeypatch, timezone="Europe/Berlin")
    assert (60.0, 1, 240) == (pieces.step_s, len(pieces.segments), len(pieces))
    assert whole.timestamps.tolist() == pieces.timestamps.tolist()


def test_a_full_disk_under_samples_is_one_message(tmp_path, monkeypatch):
    monkeypatch.setattr(big_tables, "LARGE", 100)
    monkeypatch.setenv("FEWSHOT_SCRATCH", "/dev/null/nowhere")
    with pytest.raises(
        DataError, match=r"samples that memory should not hold need a file there: .*; make room, or name another folder"
    ):
        load_source(DataSettings(source="long_csv", path=write_long_csv(tmp_path, 10)))


def test_a_disk_that_gets_full_with_the_last_samples_is_the_same_message(tmp_path, monkeypatch):
    monkeypatch.setattr(big_tables, "LARGE", 100)
    monkeypatch.setenv("FEWSHOT_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: Path("/dev/full").open("w+b"))  # noqa: SIM115
    with pytest.raises(DataError, match=r"samples that .* need a file there: No space left on device; make room"):
        load_source(DataSettings(source="long_csv", path=write_long_csv(tmp_path, 2)))
