# ruff: noqa: PD011  (values is our array, not a frame's)
import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainables.data import load_source
from trainables.data.series import Quality
from trainables.errors import DataError
from trainables.settings import DataSettings

HEADER = "timestamp,a,b,label"
ROWS = [f"2024-01-01T00:00:{second:02d}Z,{second}.5,{second * second},{int(second > 3)}" for second in range(6)]
GOOD = "\n".join([HEADER, *ROWS]) + "\n"


def lines(*rows, header=HEADER):
    return "\n".join([header, *rows]) + "\n"


def with_field(row, position, value):
    fields = ROWS[row].split(",")
    fields[position] = value
    return ",".join(fields)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.csv", GOOD.encode()),
        ("no_final_newline.csv", GOOD.rstrip().encode()),
        ("crlf.csv", GOOD.replace("\n", "\r\n").encode()),
        ("bom.csv", b"\xef\xbb\xbf" + GOOD.encode()),
        ("semicolons.csv", GOOD.replace(",", ";").encode()),
        ("decimal_commas.csv", GOOD.replace(",", ";").replace(".5", ",5").encode()),
        ("tabs.tsv", GOOD.replace(",", "\t").encode()),
        ("tabs_commas.txt", GOOD.replace(",", "\t").replace(".5", ",5").encode()),
        ("zipped.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
        ("spaces.csv", GOOD.replace(",", " , ").encode()),
        ("quoted.csv", ("\n".join('"' + row.replace(",", '","') + '"' for row in GOOD.split()) + "\n").encode()),
        ("blank_lines.csv", GOOD.replace("\n", "\n\n").encode()),
    ],
)
def test_each_dialect_reads_the_same(write_table, name, content):
    series = load_source(write_table(content, name))
    assert [[s + 0.5, s * s] for s in range(6)] == series.values.tolist()
    assert [0, 0, 0, 0, 1, 1] == series.labels.tolist()
    assert (("a", "b"), 1.0, ("all",)) == (series.columns, series.step_s, series.segments)
    assert () == series.notes


def test_parquet_reads_like_csv(write_table, tmp_path):
    frame = pd.DataFrame(
        {
            "timestamp": pd.to_datetime([row[:20] for row in ROWS]),
            "a": [s + 0.5 for s in range(6)],
            "b": pd.array([s * s for s in range(6)], dtype="Int64"),
            "label": [False] * 4 + [True] * 2,
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    parquet = load_source(DataSettings(source="table", path=tmp_path / "t.parquet"))
    csv = load_source(write_table(GOOD))
    assert csv.values.tolist() == parquet.values.tolist()
    assert csv.labels.tolist() == parquet.labels.tolist()
    assert csv.timestamps.tolist() == parquet.timestamps.tolist()


def test_a_parquet_with_times_as_its_index_is_read(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=pd.Index([0, 15], name="timestamp"))
    frame.to_parquet(tmp_path / "t.parquet")
    assert 15.0 == load_source(DataSettings(source="table", path=tmp_path / "t.parquet")).step_s


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("empty.csv", b"", "the file is empty"),
        ("blank.csv", b"\n\n", "the file is empty"),
        ("header.csv", HEADER.encode() + b"\n", "a header and no rows"),
        ("one_column.csv", b"timestamp a b\n1 2 3\n", "one column, 'timestamp a b'"),
        ("twice.csv", GOOD.replace(",b,", ",a,").encode(), "more than one column is named a"),
        ("no_time.csv", GOOD.replace("timestamp", "Time").encode(), "rename 'Time' to 'timestamp'"),
        ("upper.csv", GOOD.replace("label", "Label").encode(), "'Label' must be written 'label'"),
        ("no_features.csv", b"timestamp,label\n1,0\n2,1\n", "no feature column"),
        ("index.csv", b",timestamp,a\n0,1,2\n1,2,3\n", "column 1 has no name"),
        (
            "text.csv",
            lines(ROWS[0], with_field(1, 1, "broken")).encode(),
            "line 3: column 'a' must be numeric, found 'bro",
        ),
        ("after_blank.csv", lines(ROWS[0], "", with_field(1, 2, "x")).encode(), "line 4: column 'b' must be numeric"),
        ("comma.csv", lines(ROWS[0], with_field(1, 1, '"1,5"')).encode(), "is the decimal separator a comma?"),
        ("long.csv", lines(ROWS[0], ROWS[1] + ",7", ROWS[2]).encode(), "line 3"),
        ("long_first.csv", lines(ROWS[0] + ",7", ROWS[1] + ",8").encode(), "more values than the header has names (4)"),
        (
            "short.csv",
            lines(*ROWS[:2], "2024-01-01T00:00:02Z,1", ROWS[3]).encode(),
            "line 4 has 2 values, the header 4",
        ),
        ("cut.csv", GOOD[:-20].encode(), "is the file cut off?"),
        ("latin.csv", GOOD.replace("b", "\u00e9", 1).encode("latin-1"), "not a text file in UTF-8"),
        ("utf16.csv", GOOD.encode("utf-16"), "not a text file in UTF-8"),
        ("hidden.csv", gzip.compress(GOOD.encode(), mtime=0), "name a gzipped table .gz"),
        ("plain.csv.gz", GOOD.encode(), "does not unpack"),
        ("cut.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-20], "does not unpack"),
        ("text.parquet", GOOD.encode(), "not a Parquet file"),
        ("table.xlsx", b"PK", "unknown kind of file '.xlsx'"),
        (
            "answer.json",
            b"{}",
            "other layouts have readers of their own, named by data.source (of a command: --source)",
        ),
        ("samples.csv", b"ts,metric,value\n1,cpu,2\n", "one sample a line, source long_csv reads it"),
        ("no_clock.csv", b"latency,label\n1,0\n", "name the column of times so, or number the rows in one"),
        ("one_row.csv", lines(ROWS[0]).encode(), "at least 2 rows"),
        ("no_value.csv", b"timestamp,a,b\n1,,\n2,,\n", "every feature column is empty"),
        ("segment.csv", b"timestamp,a,segment\n1,2,x\n2,3,\n", "line 3: segment is empty"),
        ("quality.csv", b"timestamp,a,label_quality\n1,2,ok\n2,3,good\n", "'good' (line 3)"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(write_table, name, content, says):
    data = write_table(content, name)
    with pytest.raises(DataError) as caught:
        load_source(data)
    message = str(caught.value)
    assert message.startswith(f"{data.path}: ")
    assert says in message
    assert "\n" not in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"absent\.csv: no such file"):
        load_source(DataSettings(source="table", path=tmp_path / "absent.csv"))
    with pytest.raises(DataError, match="is a folder"):
        load_source(DataSettings(source="table", path=tmp_path))


def test_text_in_a_parquet_feature_names_its_row(tmp_path):
    pd.DataFrame({"timestamp": [1, 2], "a": ["1", "x"]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"row 2: column 'a' must be numeric, found 'x'"):
        load_source(DataSettings(source="table", path=tmp_path / "t.parquet"))


@pytest.mark.parametrize("token", ["", "NaN", "NA", "null", "None"])
def test_missing_values_of_features_are_nan(write_table, token):
    series = load_source(write_table(lines(ROWS[0], with_field(1, 1, token), ROWS[2])))
    assert [False, True, False] == np.isnan(series.values[:, 0]).tolist()


def test_whole_numbers_beyond_any_float_are_infinite(write_table):
    series = load_source(write_table(lines(ROWS[0], with_field(1, 1, "9" * 400), ROWS[2], ROWS[3])))
    assert ("1 infinite value taken as missing: a (1).",) == series.notes


def test_infinities_are_missing_and_counted(write_table):
    series = load_source(write_table(lines(ROWS[0], with_field(1, 1, "inf"), with_field(2, 1, "-Infinity"), ROWS[3])))
    assert [False, True, True, False] == np.isnan(series.values[:, 0]).tolist()
    assert ("2 infinite values taken as missing: a (2).",) == series.notes


def test_a_column_without_any_value_is_dropped_with_a_note(write_table):
    series = load_source(write_table("timestamp,a,b,label\n1,,3,0\n2,,4,1\n"))
    assert (("b",), ("1 column without any value: dropped (a).",)) == (series.columns, series.notes)


@given(order=st.permutations(range(6)))
def test_rows_in_any_order_are_sorted(tmp_path_factory, order):
    path = tmp_path_factory.mktemp("shuffled") / "t.csv"
    path.write_text(lines(*(ROWS[row] for row in order)))
    series = load_source(DataSettings(source="table", path=path))
    assert [s + 0.5 for s in range(6)] == series.values[:, 0].tolist()
    assert (order != sorted(order)) == any("not in order" in note for note in series.notes)


def test_repeated_rows_are_dropped_and_counted(write_table):
    series = load_source(write_table(lines(ROWS[0], ROWS[1], ROWS[1], ROWS[2], ROWS[1])))
    assert 3 == len(series)
    assert "2 exactly repeated rows dropped." in series.notes


def test_repeated_rows_with_missing_values_are_equal(write_table):
    row = with_field(1, 1, "")
    assert 3 == len(load_source(write_table(lines(ROWS[0], row, row, ROWS[2]))))


def test_one_time_with_two_values_is_refused_with_both_lines(write_table):
    with pytest.raises(DataError, match=r"line 5 and line 3 have the same timestamp 2024-01-01T00:00:01Z"):
        load_source(write_table(lines(ROWS[0], ROWS[1], ROWS[2], with_field(1, 1, "9"))))


def test_one_time_in_two_segments_is_fine(write_table):
    series = load_source(write_table("timestamp,a,segment\n1,1,x\n2,2,x\n1,3,y\n2,4,y\n"))
    assert ([0, 0, 1, 1], ("x", "y")) == (series.segment.tolist(), series.segments)


def test_interleaved_segments_are_put_together(write_table):
    series = load_source(write_table("timestamp,a,segment\n1,1,x\n1,3,y\n2,2,x\n2,4,y\n"))
    assert [1, 2, 3, 4] == series.values[:, 0].tolist()
    assert not any("order" in note for note in series.notes)


def test_segments_come_in_order_of_time(write_table):
    series = load_source(write_table("timestamp,a,segment\n100,1,late\n101,2,late\n1,3,early\n2,4,early\n"))
    assert ("early", "late") == series.segments


def test_a_gap_starts_a_new_segment_and_a_hole_does_not(write_table):
    times = [*range(10), *range(15, 20), *range(30, 35)]  # steps of 1, one of 6, one of 11
    series = load_source(write_table("timestamp,a\n" + "".join(f"{t},{t}\n" for t in times)))
    assert ("all", "all#2", "all#3") == series.segments
    holes = load_source(write_table("timestamp,a\n" + "".join(f"{t},{t}\n" for t in [*range(10), 14, 15])))
    assert ("all",) == holes.segments
    assert any("Irregular sampling: 1 of 11 steps" in note for note in holes.notes)


def test_jitter_is_not_irregular(write_table):
    rng = np.random.default_rng(0)
    times = 1.7e9 + np.arange(40) * 15 + rng.uniform(-0.2, 0.2, 40)
    series = load_source(write_table("timestamp,a,label\n" + "".join(f"{t:.3f},1,0\n" for t in times)))
    assert () == series.notes
    assert 15 == pytest.approx(series.step_s, abs=0.2)


def test_segments_with_different_steps_are_not_torn_apart(write_table):
    rows = [f"{t},1,fast\n" for t in range(20)] + [f"{1000 + 60 * t},1,slow\n" for t in range(20)]
    series = load_source(write_table("timestamp,a,segment\n" + "".join(rows)))
    assert ("fast", "slow") == series.segments
    assert any("different steps, from 1 s to 60 s" in note for note in series.notes)


def test_events_are_runs_of_one_type_and_service(write_table):
    rows = ["0,,", "1,cpu,a", "1,cpu,a", "1,cpu,b", "1,mem,b", "0,,", "1,mem,b"]
    text = "timestamp,x,label,fault_type,fault_service\n" + "".join(f"{t},{t},{row}\n" for t, row in enumerate(rows))
    series = load_source(write_table(text))
    assert [(1, 3, "cpu", "a"), (3, 4, "cpu", "b"), (4, 5, "mem", "b"), (6, 7, "mem", "b")] == [
        (e.start, e.stop, e.fault_type, e.service) for e in series.events
    ]
    assert [-1, 0, 0, 1, 2, -1, 3] == series.event.tolist()


def test_label_quality_is_read(write_table):
    text = "timestamp,a,label,label_quality\n1,1,0,ok\n2,1,0,assumed_normal\n3,1,0,GUARD\n4,1,0,suspect\n5,1,,\n"
    series = load_source(write_table(text))
    assert [Quality.OK, Quality.ASSUMED_NORMAL, Quality.GUARD, Quality.SUSPECT, Quality.OK] == series.quality.tolist()
    assert [True, True, False, False, False] == series.usable.tolist()


def test_chosen_segments_keep_their_own_events(write_table):
    text = "timestamp,a,label,segment\n1,1,1,x\n2,2,0,x\n3,3,0,y\n4,4,1,y\n100,5,1,y\n101,5,1,y\n"
    data = write_table(text, segments=("y",))
    series = load_source(data)
    assert (("y", "y#2"), [0, 0, 1, 1]) == (series.segments, series.segment.tolist())
    assert [(1, 2), (2, 4)] == [(event.start, event.stop) for event in series.events]
    with pytest.raises(DataError, match=r"data.segments names 'z', the segments are: x, y$"):
        load_source(data.model_copy(update={"segments": ("z",)}))


def test_a_table_without_labels_is_unlabelled(write_table):
    series = load_source(write_table("timestamp,a\n1,1\n2,2\n"))
    assert [-1, -1] == series.labels.tolist()
    assert any("no labels" in note for note in series.notes)


def test_the_source_is_named_after_the_file_or_as_told(write_table):
    assert "table" == load_source(write_table(GOOD, "table.csv.gz".removesuffix(".gz"))).name
    assert "mine" == load_source(write_table(GOOD, name="t.csv").model_copy(update={"name": "mine"})).name


def test_large_files_are_read_in_pieces_with_true_line_numbers(write_table, monkeypatch):
    monkeypatch.setattr("trainables.data.readers.csv_text._CHUNK_ROWS", 2)
    assert 6 == len(load_source(write_table(GOOD)))
    with pytest.raises(DataError, match="line 6: column 'a'"):
        load_source(write_table(lines(*ROWS[:4], with_field(4, 1, "x"), ROWS[5])))


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32, allow_subnormal=False) | st.none(), min_size=2, max_size=20),
    separator=st.sampled_from([",", ";", "\t"]),
)
def test_written_values_are_read_back(tmp_path_factory, values, separator):
    path = tmp_path_factory.mktemp("round") / "t.csv"
    frame = pd.DataFrame({"timestamp": range(len(values)), "a": values, "b": 1.0})
    frame.to_csv(path, sep=separator, index=False)
    series = load_source(DataSettings(source="table", path=path))
    expected = np.array([np.nan if value is None else value for value in values], dtype=np.float32)
    found = series.values[:, series.columns.index("a")] if "a" in series.columns else np.full(len(values), np.nan)
    assert np.array_equal(expected, found, equal_nan=True)
