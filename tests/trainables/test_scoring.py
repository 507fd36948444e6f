"""A winner on new telemetry: which rows get a score, why others do not, and what is said about channels."""

import gzip

import numpy as np
import pandas as pd
import pytest

from tests.fakes.telemetry import table_of, write_table
from trainables.data import load_source
from trainables.errors import DataError, NonFiniteError, WinnerError
from trainables.evaluate import run_trial
from trainables.protocol import TrialResources
from trainables.scoring import deviations, read_telemetry, score_telemetry
from trainables.settings import DataSettings, FewShotSettings, SplitSettings, ThresholdSettings, WindowCaps
from trainables.trial import EvaluationSettings, TrialRequest
from trainables.winner import load_winner
from trainables.winner_manifest import read_manifest

SAVABLE = "tests.fakes.savable_detectors"
LENGTH = 32
ROWS = 200


@pytest.fixture(scope="module")
def series():
    return load_source(DataSettings(rows=2000))


@pytest.fixture(scope="module")
def winners(series, tmp_path_factory):
    """Folders of two winners: one that says which channels its score comes from, and one that does not."""
    data = DataSettings(rows=2000, max_score_windows=WindowCaps(reference=60, validation=40, test=40))
    settings = EvaluationSettings(data, SplitSettings(), FewShotSettings(shots=(0, 8)), ThresholdSettings(quantile=0.9))
    folders = {}
    for name, shots, own in (("moving_variance", 0, None), ("levels", 8, f"{SAVABLE}:Levels")):
        request = TrialRequest(name, 0, shots, "report", 100, 1, class_path=own, keep=True)
        outcome = run_trial(request, settings, series, TrialResources())
        folders[name] = tmp_path_factory.mktemp("winners") / name
        outcome.winner.write(folders[name])
    return folders


@pytest.fixture
def score(winners, tmp_path):
    """Return a function from a table (and its suffix) to the scored rows and all that was said."""

    def _score(frame, suffix=".csv", winner="moving_variance", timezone=None):
        manifest = read_manifest(winners[winner])
        telemetry = read_telemetry(write_table(frame, tmp_path / f"telemetry{suffix}"), manifest, timezone)
        return score_telemetry(load_winner(winners[winner], manifest), manifest, telemetry), telemetry

    return _score


@pytest.fixture
def frame(series):
    return table_of(series, slice(400, 400 + ROWS))


def test_every_row_has_a_score_and_an_alarm_or_a_reason(score, frame, winners):
    rows = score(frame)[0].rows
    threshold = read_manifest(winners["moving_variance"]).threshold
    scored = rows["reason"] == ""
    assert ["timestamp", "segment", "score", "alarm", "channels", "reason"] == list(rows.columns)
    assert [ROWS, ROWS - LENGTH + 1] == [len(rows), int(scored.sum())]
    assert rows.loc[~scored, ["score", "alarm"]].isna().all(axis=None)
    assert rows.loc[scored, ["score", "alarm"]].notna().all(axis=None)
    assert (rows["alarm"][scored] == (rows["score"][scored] >= threshold)).all()
    assert "not scored: 1 of 32 steps since the start of the segment" == rows["reason"][0]
    assert "not scored: 31 of 32 steps since the start of the segment" == rows["reason"][LENGTH - 2]


def test_no_window_bridges_a_gap(score, frame):
    rows = score(frame.drop(index=range(80, 100)))[0].rows
    after = rows["reason"][80 : 80 + LENGTH]
    assert "not scored: 1 of 32 steps since the last gap" == after.iloc[0]
    assert ["", False] == [after.iloc[-1], rows["score"].isna()[80 + LENGTH - 1]]
    assert {"all", "all#2"} == set(rows["segment"])


def test_no_window_crosses_a_segment(score, frame):
    frame["segment"] = np.repeat(["a", "b"], ROWS // 2)
    rows = score(frame)[0].rows
    assert 2 * (LENGTH - 1) == int((rows["reason"] != "").sum())
    assert "not scored: 1 of 32 steps since the start of the segment" == rows["reason"][ROWS // 2]


def test_a_table_shorter_than_a_window_is_answered_row_by_row(score, frame):
    rows = score(frame[:5])[0].rows
    assert 5 == len(rows)
    assert rows["reason"].str.startswith("not scored: ").all()
    assert rows["score"].isna().all()


def test_a_window_without_any_value_is_not_scored(score, frame):
    frame.iloc[60 : 60 + LENGTH + 3, 1:] = np.nan
    rows = score(frame)[0].rows
    empty = rows.index[rows["reason"] == "not scored: the window has no value"]
    assert list(range(60 + LENGTH - 1, 60 + LENGTH + 3)) == list(empty)
    assert rows["score"][60 + LENGTH + 3 :].notna().all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_single_values_that_are_missing_or_infinite_are_filled_and_said(score, frame, value):
    frame = frame.ffill().bfill()
    frame.iloc[50, 3] = value
    scored, telemetry = score(frame)
    assert scored.rows["score"][LENGTH - 1 :].notna().all()
    assert any(f"{frame.columns[3]} 0.5% by hold" in note for note in telemetry.notes)


def test_a_column_that_fell_silent_is_filled_and_said(score, frame):
    frame[frame.columns[4]] = np.nan
    scored, telemetry = score(frame)
    assert any(f"{frame.columns[4]} 100.0% by hold" in note for note in telemetry.notes)
    assert scored.rows["score"][LENGTH - 1 :].notna().all()


def test_order_of_columns_and_rows_does_not_matter(score, frame):
    plain = score(frame)[0].rows
    mixed = score(frame.sample(frac=1, random_state=0)[["timestamp", *sorted(frame.columns[1:])]])[0].rows
    pd.testing.assert_frame_equal(plain, mixed)


def test_a_gzipped_table_scores_the_same(score, frame, tmp_path, winners):
    plain = score(frame)[0].rows
    packed = tmp_path / "packed.csv.gz"
    packed.write_bytes(gzip.compress((tmp_path / "telemetry.csv").read_bytes()))
    manifest = read_manifest(winners["moving_variance"])
    again = score_telemetry(
        load_winner(winners["moving_variance"], manifest), manifest, read_telemetry(packed, manifest)
    )
    pd.testing.assert_frame_equal(plain, again.rows)


def test_times_without_an_offset_are_in_the_zone_that_is_named(score, frame):
    utc = score(frame)[0].rows["timestamp"]
    frame["timestamp"] = frame["timestamp"].dt.tz_convert("Europe/Berlin").dt.tz_localize(None)
    assert utc.equals(score(frame, timezone="Europe/Berlin")[0].rows["timestamp"])


def test_labels_in_the_table_do_not_matter(score, frame):
    labelled = frame.assign(label=np.arange(ROWS) % 2, fault_type="cpu", label_quality="whatever")
    pd.testing.assert_frame_equal(score(frame)[0].rows, score(labelled)[0].rows)


@pytest.mark.parametrize(("step", "words"), [(2, "a row every 30 s"), (10, "a row every 150 s")])
def test_another_step_is_refused_with_the_right_one(score, frame, step, words):
    with pytest.raises(
        WinnerError, match=f"{words}, the winner was fitted on one every 15 s; resample the table to 15 s"
    ):
        score(frame[::step])


def test_a_step_that_is_a_little_off_is_said(score, frame):
    frame["timestamp"] = frame["timestamp"].iloc[0] + pd.to_timedelta(np.arange(ROWS) * 16, unit="s")
    assert any("a row every 16 s" in note for note in score(frame)[1].notes)


def test_two_rows_at_one_time_are_refused_by_line(score, frame):
    frame.loc[7, "timestamp"] = frame["timestamp"][6]
    with pytest.raises(DataError, match="line 9 and line 8 have the same timestamp"):
        score(frame)


def test_text_in_a_needed_column_is_refused_by_line(score, frame):
    frame[frame.columns[2]] = frame[frame.columns[2]].astype(object)
    frame.loc[4, frame.columns[2]] = "n.k."
    with pytest.raises(DataError, match=r"line 6: column .* must be numeric, found 'n.k.'"):
        score(frame)


def test_channels_are_the_detectors_own_errors_where_it_has_them(score, frame):
    frame.loc[150:, frame.columns[7]] *= 50
    scored, _ = score(frame)
    first = scored.rows["channels"][170].split("; ")[0]
    assert scored.own_channels
    assert frame.columns[7] == first.rsplit(" ", 1)[0]
    assert float(first.rsplit(" ", 1)[1]) > 0


@pytest.mark.parametrize(("factor", "sign"), [(50, "+"), (0, "-")])
def test_otherwise_they_are_the_channels_furthest_from_the_reference_with_their_sign(score, frame, factor, sign):
    cpu = next(name for name in frame.columns if "cpu" in name)
    frame.loc[150:, cpu] *= factor
    scored, _ = score(frame, winner="levels")
    named = [channel.rsplit(" ", 1) for channel in scored.rows["channels"][170].split("; ")]
    assert not scored.own_channels
    assert 3 == len(named)
    assert sign == dict(named)[cpu][0]


def test_deviations_are_the_mean_of_the_last_eight_steps_in_spreads_of_the_reference(score, frame, winners):
    manifest = read_manifest(winners["levels"])
    _, telemetry = score(frame, winner="levels")
    window = telemetry.windows.take(np.asarray([40]))
    column = manifest.columns[5]
    last = np.arcsinh(window.x[0, 5, -8:].astype(np.float64))
    expected = (last.mean() - column.level) / column.level_spread
    np.testing.assert_allclose(deviations(manifest, window)[0, 5], expected, rtol=1e-6)


def test_a_detector_that_gives_nan_is_an_error_and_never_a_score(frame, winners, tmp_path):
    manifest = read_manifest(winners["levels"])
    detector = load_winner(winners["levels"], manifest)
    detector.level = detector.level * np.nan
    telemetry = read_telemetry(write_table(frame, tmp_path / "telemetry.csv"), manifest)
    with pytest.raises(NonFiniteError):
        score_telemetry(detector, manifest, telemetry)
