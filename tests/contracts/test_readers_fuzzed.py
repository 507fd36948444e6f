"""Damaged files of every layout: one message or a reading, never anything else."""

import gzip

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.layouts import LAYOUTS
from trainables.data import load_source
from trainables.errors import DataError
from trainables.settings import DataSettings

TOKENS = (b"", b"NaN", b"inf", b"-1", b"1e400", b"null", b'"', b"9" * 20, b"[]", b"{}", b"\x00", b",,,,", b"\n")

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
