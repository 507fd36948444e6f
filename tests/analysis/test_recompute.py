import json
import shutil

import pytest
from typer.testing import CliRunner

from analysis.errors import AnalysisError
from analysis.recompute import app, differences, recompute
from orchestrator.results import read_rows
from trainables.metrics import METRICS


@pytest.fixture
def copied(fake_run, tmp_path):
    return shutil.copytree(fake_run, tmp_path / "copy")


def test_every_metric_follows_from_score_files_and_thresholds(fake_run):
    assert [] == list(differences(fake_run))


def test_metrics_come_back_after_every_metric_column_was_deleted(fake_run):
    rows = read_rows(fake_run)
    again = recompute(fake_run, rows.drop(columns=list(METRICS)))
    for name in METRICS:
        stored = rows.loc[again.index, name].astype(float)
        assert stored.equals(again[name].rename(name)) or (stored.isna() & again[name].isna()).all()


def test_a_metric_that_was_changed_is_named(copied):
    path = copied / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    chosen = next(row for row in rows if row["phase"] == "report")
    chosen["f1"] = 0.123
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (line,) = differences(copied)
    assert "f1 is 0.123 in the row" in line
    result = CliRunner().invoke(app, [str(copied)])
    assert 1 == result.exit_code


def test_a_missing_score_file_is_an_error(copied):
    shutil.rmtree(copied / "scores")
    with pytest.raises(AnalysisError, match="score file is missing"):
        recompute(copied)


def test_the_command_says_that_all_is_well(fake_run):
    result = CliRunner().invoke(app, [str(fake_run)])
    assert (0, True) == (result.exit_code, "follows from its score file" in result.output)


def test_the_command_ends_with_two_on_a_folder_that_is_no_run(tmp_path):
    assert 2 == CliRunner().invoke(app, [str(tmp_path)]).exit_code
