"""Damaged files of every layout: one message or a reading, never anything else."""

import csv
import gzip

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.layouts import LAYOUTS
from trainables.data import load_source
from trainables.data.readers.columns import MEANINGS
from trainables.errors import DataError
from trainables.settings import DataSettings

TOKENS = (b"", b"NaN", b"inf", b"-1", b"1e400", b"null", b'"', b"9" * 20, b"[]", b"{}", b"\x00", b",,,,", b"\n", b"\r")

steady = settings(
    max_examples=40,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@st.composite
def damage(draw):
    """Return a function that damages bytes: flips, cuts, insertions, lines doubled or lost."""
    kind = draw(st.sampled_from(["flip", "cut", "insert", "double", "lose"]))
    places = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4))
    token, byte = draw(st.sampled_from(TOKENS)), draw(st.integers(0, 255))

    def spoil(content: bytes) -> bytes:
        at = [int(place * len(content)) for place in places]
        if kind == "cut":
            return content[: at[0]]
        if kind == "insert":
            return content[: at[0]] + token + content[at[0] + len(places) - 1 :]
        if kind == "flip":
            changed = bytearray(content)
            for place in at[: len(content)]:
                changed[place] = byte
            return bytes(changed)
        lines = content.split(b"\n")
        number = int(places[0] * len(lines))
        return b"\n".join(lines[:number] + lines[number : number + 1] * (2 * (kind == "double")) + lines[number + 1 :])

    return spoil


def read_or_refuse(data: DataSettings) -> None:
    try:
        series = load_source(data)
    except DataError:
        return
    assert len(series) == len(series.values) > 0


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name != "simulated"])
def test_damaged_files_of_a_layout_are_read_or_refused(tmp_path, name):
    path = LAYOUTS[name].write(tmp_path)
    whole = {file: file.read_bytes() for file in sorted(tmp_path.rglob("*")) if file.is_file()}

    @steady
    @given(st.sampled_from(sorted(whole)), damage())
    def check(file, spoil):
        file.write_bytes(spoil(whole[file]))
        read_or_refuse(DataSettings(source=name, path=path))
        file.write_bytes(whole[file])

    check()


@pytest.mark.parametrize("suffix", [".parquet", ".csv.gz"])
def test_damaged_tables_in_a_packed_format_are_read_or_refused(tmp_path, suffix):
    plain = LAYOUTS["table"].write(tmp_path)
    packed = tmp_path / f"packed{suffix}"
    if suffix == ".parquet":
        pd.read_csv(plain).to_parquet(packed)
    else:
        packed.write_bytes(gzip.compress(plain.read_bytes()))
    whole = packed.read_bytes()

    @steady
    @given(damage())
    def check(spoil):
        packed.write_bytes(spoil(whole))
        read_or_refuse(DataSettings(source="table", path=packed))

    check()


@pytest.mark.parametrize("name", ["long_csv", "openmetrics", "prometheus"])
def test_damaged_packed_exports_are_read_or_refused(tmp_path, name):
    LAYOUTS[name].write(tmp_path)
    for file in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    packed = min(tmp_path.iterdir())
    whole = packed.read_bytes()

    @steady
    @given(damage())
    def check(spoil):
        packed.write_bytes(spoil(whole))
        read_or_refuse(DataSettings(source=name, path=tmp_path))

    check()


many = settings(steady, max_examples=200)


def columns_of(frame: pd.DataFrame) -> dict[str, list[float]]:
    """Sorted finite values of each feature that has any."""
    features = [name for name in frame.columns if name not in MEANINGS]
    found = {}
    with np.errstate(over="ignore"):
        for name in features:
            numbers = pd.to_numeric(frame[name], errors="coerce")
            found[name] = numbers.to_numpy(np.float64, na_value=np.nan).astype(np.float32)
    return {name: np.sort(v[np.isfinite(v)]).tolist() for name, v in found.items() if np.isfinite(v).any()}


def check_reading(path, plainly) -> bool:
    """Return whether it is read; then it says what reading it cell by cell says, but for rows that it has twice."""
    try:
        series = load_source(DataSettings(source="table", path=path))
    except DataError:
        return False
    frame = plainly(path)
    blank = (frame.isna() | (frame == "")).all(axis="columns")
    expected = columns_of(frame[~blank].drop_duplicates() if len(series) < len(frame) else frame)
    read = {name: series.values[:, number] for number, name in enumerate(series.columns)}  # noqa: PD011
    assert expected == {name: np.sort(v[np.isfinite(v)]).tolist() for name, v in read.items() if np.isfinite(v).any()}
    return True


def cell_by_cell(path) -> pd.DataFrame:
    with path.open(encoding="utf-8-sig", newline="") as file:
        head, *rows = csv.reader(file)
    return pd.DataFrame([row for row in rows if row], columns=[name.strip() for name in head], dtype="object")


@pytest.mark.parametrize("end", [b"\r", b"\r\n"], ids=["CR", "CRLF"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_other_ends_of_lines_say_the_same(tmp_path, end, suffix):
    plain = LAYOUTS["table"].write(tmp_path)
    expected = load_source(DataSettings(source="table", path=plain))
    content = plain.read_bytes().replace(b"\n", end)
    other = tmp_path / f"other{suffix}"
    other.write_bytes(gzip.compress(content) if suffix == ".csv.gz" else content)
    found = load_source(DataSettings(source="table", path=other))
    assert expected.values.tobytes() == found.values.tobytes()  # noqa: PD011  (an array)
    assert expected.timestamps.tolist() == found.timestamps.tolist()


def test_a_short_line_among_lone_cr_is_named(tmp_path):
    lines = LAYOUTS["table"].write(tmp_path).read_bytes().splitlines()
    lines[6] = lines[6].rpartition(b",")[0]
    other = tmp_path / "other.csv"
    other.write_bytes(b"\r".join(lines))
    with pytest.raises(DataError, match=r"line 7 has .* is the file cut off"):
        load_source(DataSettings(source="table", path=other))


def test_two_hundred_damaged_csv_files_are_refused_or_read_right(tmp_path):
    path = LAYOUTS["table"].write(tmp_path)
    whole = path.read_bytes()
    read = []

    @many
    @given(damage())
    def check(spoil):
        path.write_bytes(spoil(whole))
        read.append(check_reading(path, cell_by_cell))

    check()
    assert len(read) >= 200
    assert 5 < sum(read) < len(read)


def test_two_hundred_damaged_parquet_files_are_refused_or_read_right(tmp_path):
    packed = tmp_path / "packed.parquet"
    pd.read_csv(LAYOUTS["table"].write(tmp_path)).to_parquet(packed, compression=None)
    whole = packed.read_bytes()
    read = []

    @many
    @given(damage())
    def check(spoil):
        packed.write_bytes(spoil(whole))
        read.append(check_reading(packed, lambda path: pq.read_table(path).replace_schema_metadata(None).to_pandas()))

    check()
    assert len(read) >= 200
    assert 5 < sum(read) < len(read)
