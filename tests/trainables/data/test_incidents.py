import pytest

from trainables.data import load_source
from trainables.errors import DataError

TABLE = "timestamp,a\n" + "".join(f"{1_700_000_000 + 10 * row},{row}\n" for row in range(20))


@pytest.fixture
def load(write_table, tmp_path):
    """Read the table with these incidents."""

    def read(incidents, table=TABLE, **data):
        path = tmp_path / "incidents.csv"
        path.write_text(incidents)
        return load_source(write_table(table, **data).model_copy(update={"incidents": path}))

    return read


def test_rows_from_start_up_to_end_are_labelled_and_the_others_normal(load):
    series = load("start,end,service,type\n1700000030,1700000060,cart,cpu\n1700000100,1700000120,,\n")
    assert [0] * 3 + [1] * 3 + [0] * 4 + [1] * 2 + [0] * 8 == series.labels.tolist()
    assert [("cpu", "cart"), ("fault", "")] == [(event.fault_type, event.service) for event in series.events]
    assert ("Rows labelled as faults by incidents.csv: 5 (incidents that match: 2 of 2).",) == series.notes


@pytest.mark.parametrize("duration", ["30", "30.0", "30s", "0.5min"])
def test_a_duration_does_instead_of_an_end(load, duration):
    assert 3 == load(f"start,duration\n1700000030,{duration}\n").labels.sum()


def test_iso_times_and_semicolons_and_the_names_of_our_window_lists_work(load):
    series = load("start;end;fault_type;fault_service\n2023-11-14T22:13:50Z;2023-11-14T22:14:10Z;delay;cart\n")
    assert [("delay", "cart", 3, 5)] == [(e.fault_type, e.service, e.start, e.stop) for e in series.events]


def test_times_without_offset_are_in_the_declared_zone(load):
    local = "start,end\n2023-11-14T23:13:50,2023-11-14T23:14:10\n"
    assert 2 == load(local, timezone="Europe/Berlin").labels.sum()
    with pytest.raises(DataError, match=r"none of the incidents \(1\) covers .* zone as timezone \(of a command: --"):
        load(local)


def test_incidents_that_match_nothing_are_refused_with_both_spans(load):
    with pytest.raises(DataError) as caught:
        load("start,end\n1500000000,1500000100\n")
    assert "telemetry covers 2023-11-14T22:13:20 to 2023-11-14T22:16:30" in str(caught.value)
    assert "2017-07-14T02:40:00" in str(caught.value)


def test_some_incidents_without_rows_are_noted(load):
    series = load("start,end\n1700000030,1700000060\n1500000000,1500000100\n1700000061,1700000065\n")
    assert 3 == series.labels.sum()
    assert any("Incidents that match no row: 2, line 3" in note and "line 4" in note for note in series.notes)


def test_the_earlier_of_two_overlapping_incidents_keeps_its_rows(load):
    series = load("start,end,type\n1700000050,1700000080,late\n1700000030,1700000060,early\n")
    assert [("early", 3, 6), ("late", 6, 8)] == [(e.fault_type, e.start, e.stop) for e in series.events]
    assert any("Incidents that overlap: 1, line 2 begins within line 3." in note for note in series.notes)


def test_an_incident_within_a_longer_one_is_told_though_a_short_one_lies_between(load):
    series = load("start,end\n1700000030,1700000150\n1700000040,1700000050\n1700000100,1700000120\n")
    assert any("line 3 lies wholly within line 2, line 4 lies wholly within line 2" in note for note in series.notes)
    assert 1 == len(series.events)


def test_an_open_incident_leaves_its_rows_unlabelled_up_to_the_next(load):
    series = load("start,end\n1700000030,1700000050\n1700000080,\n1700000120,1700000140\n")
    assert [0] * 3 + [1] * 2 + [0] * 3 + [-1] * 4 + [1] * 2 + [0] * 6 == series.labels.tolist()
    assert any("Incidents without an end: 1, line 3 (2023-11-14T22:14:40); 4 rows" in note for note in series.notes)


def test_an_open_incident_at_the_end_leaves_everything_after_it_unlabelled(load):
    assert [1, 1] + [-1] * 10 == load("start,end\n1700000080,1700000100\n1700000095,\n").labels[8:].tolist()


def test_a_duration_stands_in_where_the_end_is_blank(load):
    assert 5 == (load("start,end,duration\n1700000030,,20\n1700000080,1700000110,\n").labels == 1).sum()


def test_incidents_that_reach_beyond_the_telemetry_are_told_by_line(load):
    series = load("start,end\n1699999000,1700000020\n1700000100,1700000200\n1700000180,1800000000\n")
    assert any(
        "Incidents that reach beyond the telemetry: 2, line 2" in note and "line 4" in note for note in series.notes
    )


@pytest.mark.parametrize(
    ("incidents", "says"),
    [
        ("", "the file is empty"),
        ("start,end\n", "lists no incident"),
        ("begin,end\n1,2\n", "columns start and end"),
        ("start,service\n1,a\n", "columns start and end"),
        ("start,end\n1700000060,1700000030\n", "line 2: the incident ends at or before its start"),
        ("start,end\n1700000060,\n", "no incident has an end"),
        ("start,end\n1700000060,soon\n", "line 2: end 'soon' is not a time"),
        ("start,duration\n1700000060,long\n", "line 2: duration 'long'"),
        ("start,duration\n1700000060,\n", "no incident has an end"),
        ("start,duration\n1700000060,nat\n", "line 2: duration 'nat'"),
        ("start,duration\n1700000060,-5\n", "ends at or before its start"),
        ("start\n1700000060\n", "columns start and end"),
        ("startt,end\n1,2\n", "column 'startt' would not be read; did you mean start?"),
        ("start,duration_min\n1,2\n", "did you mean duration (seconds, or text such as 3min)?"),
        ("start,end,servicee\n1,2,a\n", "column 'servicee' would not be read; did you mean service?"),
        ("start,end,fault type\n1,2,a\n", "column 'fault type' would not be read; did you mean type?"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused_by_name(load, tmp_path, incidents, says):
    with pytest.raises(DataError) as caught:
        load(incidents)
    assert str(caught.value).startswith(f"{tmp_path / 'incidents.csv'}: ")
    assert says in str(caught.value)


def test_a_length_told_beside_the_end_is_none_of_our_columns(load):
    told = load("start,end,duration_min\n2023-11-14T22:13:20Z,2023-11-14T22:15:00Z,1.7\n")
    assert 1 == len(told.events)


def test_a_missing_list_is_refused(write_table, tmp_path):
    data = write_table(TABLE).model_copy(update={"incidents": tmp_path / "absent.csv"})
    with pytest.raises(DataError, match=r"absent\.csv: no such file of incidents"):
        load_source(data)


def test_labels_and_incidents_together_are_refused(load):
    with pytest.raises(DataError, match=r"a column 'label' and data.incidents as well"):
        load("start,end\n1,3\n", table="timestamp,a,label\n1,1,0\n2,2,1\n")


def test_a_label_column_without_labels_gives_way_to_incidents(load):
    assert [1, 1] == load("start,end\n1,3\n", table="timestamp,a,label\n1,1,\n2,2,\n").labels.tolist()


def test_a_line_that_is_too_long_is_refused_and_blank_lines_do_not_shift_the_count(load):
    with pytest.raises(DataError, match=r"incidents.csv: cannot be read as CSV"):
        load("start,end,type\n1700000030,1700000060,cpu,9\n")
    with pytest.raises(DataError, match=r"line 4: the incident ends at or before its start"):
        load("start,end\n1700000030,1700000060\n\n1700000100,1700000090\n")
