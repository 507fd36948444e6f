"""`data.drop`: columns left out by name or pattern."""

import pytest

from tests.fakes.telemetry_table import clean_table
from trainables.data import load_source
from trainables.errors import DataError
from trainables.settings import DataSettings


@pytest.fixture
def load(tmp_path):
    path = tmp_path / "shop.parquet"
    clean_table(rows=200, faults=2).assign(**{"Pod[0](%)": 1.0, "empty": None}).astype({"empty": float}).to_parquet(
        path
    )
    return lambda *drop: load_source(DataSettings(source="table", path=path, drop=drop))


def test_names_and_patterns_are_left_out(load):
    assert ("cart_cpu", "order_cpu", "pay_cpu", "user_cpu") == load(
        "*_memory", "*_latency_ms", "*_requests_per_s", "Pod[0](%)"
    ).columns


def test_a_name_with_pattern_signs_is_taken_literally_first(load):
    assert "Pod[0](%)" not in load("Pod[0](%)").columns


def test_an_empty_column_may_be_named_too(load):
    assert 17 == len(load("empty").columns)


def test_a_name_that_fits_nothing_is_refused_with_the_nearest(load):
    with pytest.raises(DataError, match=r"data.drop names 'cart_cpv', no column fits it; did you mean 'cart_cpu'"):
        load("cart_cpv")


def test_dropping_everything_is_refused(load):
    with pytest.raises(DataError, match="leaves no column of 17"):
        load("*")
