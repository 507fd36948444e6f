import pandas as pd
import pytest

from orchestrator.results import read_rows, row_line, write_parquet
from tests.fakes.plans import make_cell, make_result, report_trial


@pytest.mark.parametrize(
    ("values", "stored"),
    [
        (["sqrt", 0.2, None], ["sqrt", "0.2", None]),
        ([True, 3, None], ["true", "3", None]),
        ([1, 0.5, None], [1.0, 0.5, None]),
    ],
)
def test_a_setting_of_several_kinds_is_text_in_the_parquet_file(tmp_path, values, stored):
    trial = report_trial(make_cell())
    lines = [row_line({**make_result(trial, draw), "param.a": value}) for draw, value in enumerate(values)]
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, ""]))
    column = pd.read_parquet(write_parquet(tmp_path))["param.a"]
    assert stored == [None if pd.isna(value) else value for value in column]
    assert values[:2] == read_rows(tmp_path)["param.a"].tolist()[:2]
