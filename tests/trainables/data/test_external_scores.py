import numpy as np
import pandas as pd
import pytest

from trainables.data.external_scores import read_external, refuse_unmatched
from trainables.errors import DataError

START = 1_700_000_000
ROWS = np.datetime64(START, "s").astype("datetime64[ns]") + np.arange(20) * np.timedelta64(10, "s")


def seconds(number: float) -> np.timedelta64:
    return np.timedelta64(round(number * 1e9), "ns")


@pytest.fixture
def read(tmp_path):
    def make(text, timezone=None):
        path = tmp_path / "alerts.csv"
        path.write_text(text)
        return read_external(path, timezone)

    return make


def test_an_alarm_counts_from_its_start_to_its_end_and_the_tolerance_beyond(read):
    said = read(f"start,end\n{START + 30},{START + 50}\n")
    assert [3, 4, 5] == np.flatnonzero(said.at(ROWS, seconds(0))).tolist()
    assert [3, 4, 5, 6] == np.flatnonzero(said.at(ROWS, seconds(10))).tolist()


def test_a_moment_between_two_rows_counts_at_the_next_row_only(read):
    said = read(f"start,end\n{START + 33},{START + 33}\n")
    assert [] == np.flatnonzero(said.at(ROWS, seconds(6))).tolist()
    assert [4] == np.flatnonzero(said.at(ROWS, seconds(7))).tolist()


def test_a_long_alarm_is_not_cut_short_by_a_later_one_within_it(read):
    said = read(f"start,end\n{START + 20},{START + 150}\n{START + 40},{START + 50}\n")
    assert list(range(2, 16)) == np.flatnonzero(said.at(ROWS, seconds(0))).tolist()


def test_the_latest_score_within_the_tolerance_counts_and_none_from_the_future(read):
    said = read(f"time,score\n{START + 51},0.9\n{START + 29},0.4\n")
    scores = said.at(ROWS, seconds(20))
    assert [np.nan] * 3 + [0.4] * 2 + [np.nan] + [0.9] * 2 + [np.nan] * 12 == pytest.approx(
        scores.tolist(), nan_ok=True
    )


def test_alertmanagers_names_durations_zones_and_order_are_read(read):
    said = read(
        "startsAt,endsAt,alertname\n2023-11-14T23:14:00,2023-11-14T23:15:00,b\n"
        "2023-11-14T23:13:30,2023-11-14T23:13:40,a\n",
        timezone="Europe/Berlin",
    )
    assert [START + 10, START + 40] == said.start.astype("datetime64[s]").astype(int).tolist()
    assert ["line 3", "line 2"] == list(said.place)
    assert [START + 40] == read(f"start,duration\n{START + 30},10s\n").end.astype("datetime64[s]").astype(int).tolist()


def test_a_parquet_file_says_what_the_same_csv_says(read, tmp_path):
    csv = read(f"time,score\n{START},1.5\n{START + 10},2.5\n")
    frame = pd.DataFrame({"time": pd.to_datetime([START, START + 10], unit="s", utc=True), "score": [1.5, 2.5]})
    frame.to_parquet(tmp_path / "scores.parquet")
    parquet = read_external(tmp_path / "scores.parquet", None)
    assert csv.start.tolist() == parquet.start.tolist()
    assert csv.score.tolist() == parquet.score.tolist()
    assert csv.key != parquet.key


def test_what_a_file_says_is_known_by_its_content(read):
    first, same, other = (read(f"start,end\n{START + by},{START + 99}\n") for by in (1, 1, 2))
    assert first.key == same.key
    assert first.key != other.key


def test_one_file_in_two_time_zones_is_known_by_two_names(read):
    text = "start,end\n2023-11-14T23:14:00,2023-11-14T23:15:00\n"
    berlin, utc = read(text, timezone="Europe/Berlin"), read(text, timezone="UTC")
    assert berlin.start[0] != utc.start[0]
    assert berlin.key != utc.key
    assert read(f"start,end\n{START},{START}\n").key != read(f"time,score\n{START},1\n").key
    assert read(f"time,score\n{START},2\n").key != read(f"time,score\n{START},1\n").key


def test_lists_and_structs_beside_what_counts_do_no_harm(tmp_path):
    moments = pd.to_datetime([START + 10, START + 30], unit="s", utc=True)
    frame = pd.DataFrame(
        {"startsAt": moments, "endsAt": moments, "labels": [{"job": "a"}, {"job": "b"}], "receivers": [["x"], ["y"]]}
    )
    frame.to_parquet(tmp_path / "alerts.parquet")
    said = read_external(tmp_path / "alerts.parquet", None)
    assert [1, 3] == np.flatnonzero(said.at(ROWS, seconds(0))).tolist()


def test_a_list_where_a_time_should_be_is_refused(tmp_path):
    pd.DataFrame({"start": [[START]], "end": [START]}).to_parquet(tmp_path / "alerts.parquet")
    with pytest.raises(DataError, match=r"alerts.parquet: column start holds lists or structs"):
        read_external(tmp_path / "alerts.parquet", None)


BAD = {
    "found columns when, level; alarms need start and end": "when,level\n1,2\n",
    "alarms with start and end have no score": f"start,end,score\n{START},{START + 9},0.7\n",
    "or give each score its time and take out start and duration": f"start,duration,score\n{START},9,0.7\n",
    "line 3: score 'high' is not a finite number": f"time,score\n{START},1\n{START + 10},high\n",
    "line 2: score 'inf' is not": f"time,score\n{START},inf\n",
    "line 2: score '1e300' is not": f"time,score\n{START},1e300\n",
    "line 2 and line 4 give a score at the same time": f"time,score\n{START},1\n{START + 1},2\n{START},3\n",
    "line 3: the alarm has no end": f"start,end\n{START},{START + 1}\n{START},\n",
    "line 4: the alarm ends before its start": f"start,end\n{START},{START + 1}\n\n{START},{START - 1}\n",
    "line 2: start 'yesterday' is not a time": "start,end\nyesterday,2024-01-01\n",
    "the file lists no alarm and no score": "start,end\n",
    "cannot be read as CSV": f"start,end\n{START},{START + 1},x,y\n",
    "two columns mean start": f"start,startsAt,end\n{START},{START},{START}\n",
}


@pytest.mark.parametrize("said", BAD)
def test_a_file_that_cannot_be_used_is_refused_by_line(read, said):
    with pytest.raises(DataError, match=r"alerts.csv: ") as caught:
        read(BAD[said])
    assert said in str(caught.value)


def test_no_file_and_no_parquet_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_external(tmp_path / "absent.csv", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match="not a Parquet file"):
        read_external(tmp_path / "a.parquet", None)


def test_entries_that_match_no_row_are_refused_by_line(read):
    said = read(f"start,end\n{START},{START + 5}\n{START + 191},{START + 300}\n{START - 60},{START - 50}\n")
    with pytest.raises(DataError) as caught:
        refuse_unmatched(said, "alerts.csv", ROWS, seconds(5))
    assert "2 of 3 alarms match no row of the telemetry within tolerance_s 5: line 4 " in str(caught.value)
    assert "line 3 (2023-11-14T22:16:31)" in str(caught.value)
    assert "covers 2023-11-14T22:13:20 to 2023-11-14T22:16:30 (UTC)" in str(caught.value)
    refuse_unmatched(read(f"start,end\n{START - 60},{START - 5}\n"), "alerts.csv", ROWS, seconds(5))
