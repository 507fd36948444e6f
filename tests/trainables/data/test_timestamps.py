import numpy as np
import pandas as pd
import pytest

from trainables.data.readers.timestamps import to_utc
from trainables.errors import DataError


def utc(values, timezone=None):
    stamps = values if isinstance(values, np.ndarray) else np.asarray(values, dtype=object)
    found = to_utc(stamps, timezone, "t.csv", lambda row: f"line {row + 2}")
    assert "datetime64[ns]" == str(found.dtype)
    return [str(np.datetime_as_string(stamp, unit="ms")) for stamp in found]


def refused(values, timezone=None):
    with pytest.raises(DataError) as caught:
        utc(values, timezone)
    assert str(caught.value).startswith("t.csv: ")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01T12:00:00Z", "2024-03-01T12:00:00.000"),
        ("2024-03-01 12:00:00", "2024-03-01T12:00:00.000"),
        ("2024-03-01T12:00:00.250+02:00", "2024-03-01T10:00:00.250"),
        ("2024-03-01T12:00:00-0530", "2024-03-01T17:30:00.000"),
        ("2024-03-01T12:00+01", "2024-03-01T11:00:00.000"),
        ("2024-03-01", "2024-03-01T00:00:00.000"),
        ("1675078800", "2023-01-30T11:40:00.000"),
        ("1675078800.5", "2023-01-30T11:40:00.500"),
        ("1675078800500", "2023-01-30T11:40:00.500"),
        ("1675078800500000", "2023-01-30T11:40:00.500"),
        ("1675078800500000000", "2023-01-30T11:40:00.500"),
    ],
)
def test_iso_and_epoch_text_become_utc(text, expected):
    assert [expected] == utc([text])


@pytest.mark.parametrize("unit", [1, 1000, 10**6, 10**9])
def test_epoch_numbers_are_read_in_the_unit_of_their_size(unit):
    assert ["2023-01-30T11:40:00.000"] == utc(np.array([1675078800 * unit]))


@pytest.mark.parametrize("dtype", [np.int64, np.float64, object])
@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ((1675078800, 1675078810, 1675078820000), "line 4: timestamp 1675078820000 is in ms by its size, but 16750788"),
        ((1675078800000, 1675078810000, 1675078820), "line 4: timestamp 1675078820 is in s by its size, but 167507881"),
        ((1675078800000, 0, 1675078820000), "line 4: timestamp 1675078820000 is in ms by its size, but 0 in line 3"),
    ],
)
def test_epoch_numbers_of_two_units_are_refused(numbers, says, dtype):
    stamps = np.array(numbers, dtype=dtype)
    assert says in refused(stamps).replace(".0 ", " ")


def test_small_numbers_are_seconds():
    assert ["1970-01-01T00:00:00.000", "1970-01-01T00:01:00.000"] == utc(np.array([0, 60]))


def test_datetimes_without_a_zone_are_utc_or_in_the_declared_zone():
    times = np.array(["2024-07-01T12:00"], dtype="datetime64[s]")
    assert ["2024-07-01T12:00:00.000"] == utc(times)
    assert ["2024-07-01T10:00:00.000"] == utc(times, "Europe/Berlin")


def test_times_with_and_without_offset_are_refused_with_both_lines():
    message = refused(["2024-01-01T00:00:00", "2024-01-01T00:00:01Z"])
    assert "in line 3 (2024-01-01T00:00:01Z) and none in line 2" in message
    assert "give the zone of those without as timezone (of a command: --timezone)" in message


def test_a_declared_zone_places_those_without_offset_and_leaves_the_others():
    expected = ["2023-12-31T23:00:00.000", "2024-01-01T00:00:01.000"]
    assert expected == utc(["2024-01-01T00:00:00", "2024-01-01T00:00:01Z"], "Europe/Berlin")


def test_a_declared_utc_places_those_without_offset():
    expected = ["2024-01-01T00:00:00.000", "2023-12-31T23:00:01.000"]
    assert expected == utc(["2024-01-01T00:00:00", "2024-01-01T00:00:01+01:00"], "UTC")


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Shanghai"])
def test_each_time_with_an_offset_means_what_it_says(zone):
    over_a_clock_change = ["2024-10-27T02:30:00+02:00", "2024-10-27T02:30:00+01:00", "2024-10-27T02:30:00Z"]
    expected = ["2024-10-27T00:30:00.000", "2024-10-27T01:30:00.000", "2024-10-27T02:30:00.000"]
    assert expected == utc(over_a_clock_change, zone)


def test_the_hour_that_a_clock_change_repeats_is_told_apart_by_its_order():
    local = [f"2024-10-27T02:{minute:02d}:00" for minute in (0, 30, 0, 30)]
    assert ["00:00", "00:30", "01:00", "01:30"] == [time[11:16] for time in utc(local, "Europe/Berlin")]


def test_an_hour_that_a_clock_change_skips_is_refused():
    assert "cannot be placed in Europe/Berlin" in refused(["2024-03-31T02:30:00"], "Europe/Berlin")


def test_an_unknown_zone_is_refused_with_the_nearest_name():
    assert "'Mars/Base' is not a zone name" in refused(["2024-01-01"], "Mars/Base")
    assert "did you mean Asia/Shanghai?" in refused(["2024-01-01"], "Asia/Shangai")


@pytest.mark.parametrize("bad", ["yesterday", "30/01/2024 12:00", "2024-13-01", "0001-01-01", "\x00\x00"])
def test_text_that_is_no_time_is_refused_with_its_line(bad):
    message = refused(["2024-01-01T00:00:00Z", bad])
    assert message.startswith("t.csv: line 3: timestamp")
    assert "ISO 8601" in message


@pytest.mark.parametrize("empty", ["", "  ", "NaT", "nan"])
def test_an_empty_time_is_refused_with_its_line(empty):
    assert "line 3: timestamp is empty" in refused(["2024-01-01T00:00:00Z", empty])


def test_missing_numbers_and_datetimes_are_refused():
    assert "line 3: timestamp is empty" in refused(np.array([1.0, np.nan]))
    assert "line 3: timestamp is empty" in refused(np.array(["2024-01-01", "NaT"], dtype="datetime64[s]"))


def test_a_date_written_as_one_number_is_not_taken_for_milliseconds():
    assert "after the year 2200" in refused(np.array([20240101120000]))


def test_agrees_with_pandas_on_aware_times():
    texts = [f"2024-05-{day:02d}T{day % 24:02d}:15:00+03:00" for day in range(1, 29)]
    expected = pd.to_datetime(texts, utc=True).tz_localize(None).as_unit("ms")
    assert [stamp.isoformat(timespec="milliseconds") for stamp in expected] == utc(texts)


@pytest.mark.parametrize(("odd", "kind"), [("yesterday", "epoch numbers"), ("2024-03-01T12:00:00Z", "epoch numbers")])
def test_one_odd_time_among_many_is_named_and_not_the_first_of_the_others(odd, kind):
    stamps = np.asarray([*(str(1_700_000_000 + row) for row in range(9)), odd, "1700000010"], dtype=object)
    with pytest.raises(DataError, match=rf"line 9: timestamp '{odd}' is not a time like the others, which are {kind}"):
        to_utc(stamps, None, "a.csv", lambda row: f"line {row}")
    dates = np.asarray(["2024-03-01T12:00:00Z", "2024-03-01T12:00:10Z", "1700000000"], dtype=object)
    with pytest.raises(DataError, match=r"line 2: timestamp '1700000000' .* which are dates"):
        to_utc(dates, None, "a.csv", lambda row: f"line {row}")
