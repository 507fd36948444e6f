"""Alarms of another tool as a row of a sweep."""

import numpy as np
import pytest

from orchestrator.errors import PlanError, RunFolderError, SpecError
from orchestrator.plan_view import plan_lines
from orchestrator.resources import Machine, plan_slots
from tests.fakes.sweeps import plan_of, rows_of, run_sweep
from trainables.data import load_source
from trainables.data.parts import cut_windows
from trainables.data.splits import TEST
from trainables.errors import DetectorError
from trainables.external import External, ExternalConfig
from trainables.protocol import TrialResources
from trainables.settings import DataSettings

ALERTS = "\n  external: {path: alerts.csv, tolerance_s: 40}\n  always_alarm: {}\n"
MACHINE = Machine(2)
SERIES = load_source(DataSettings(rows=2000))


def text_of(events, *, late_s: int = 0) -> str:
    lines = ["start,end"]
    for event in events:
        start, end = SERIES.timestamps[event.start], SERIES.timestamps[event.stop - 1]
        lines.append(f"{start + np.timedelta64(late_s, 's')}Z,{end}Z")
    return "\n".join(lines) + "\n"


@pytest.fixture
def planned(tmp_path):
    def make(text=None, detectors=ALERTS, overrides=()):
        (tmp_path / "alerts.csv").write_text(text_of(SERIES.events) if text is None else text)
        return plan_of(tmp_path, detectors, overrides)

    return make


def test_the_file_is_found_beside_the_sweep_file_and_is_no_part_of_the_identity(planned, tmp_path):
    plan, _ = planned()
    (cell,) = [cell for cell in plan.cells if cell.detector == "external"]
    assert 0 == cell.shots
    assert f"alerts.csv@{plan.external['external'].digest}" == cell.settings["path"]
    assert str(tmp_path) not in str(cell.settings)
    other, _ = planned(text_of(SERIES.events[1:]))
    assert cell.settings["path"] != next(c for c in other.cells if c.detector == "external").settings["path"]


@pytest.mark.parametrize("backend", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_alarms_are_judged_as_they_are_though_workers_cannot_see_the_file(planned, tmp_path, backend):
    plan, series = planned()
    (tmp_path / "alerts.csv").unlink()
    code, rows = run_sweep(plan, series, tmp_path / "run", backend=backend)
    mine = [row for row in rows.values() if row["detector"] == "external"]
    assert 0 == code
    assert 2 == len(mine)
    assert {(1.0, 0.5, "as it alarms by itself")} == {
        (row["event_recall"], row["threshold"], row["threshold_rule"]) for row in mine
    }
    always = next(row for row in rows.values() if row["detector"] == "always_alarm")
    assert mine[0]["precision"] > 0.7 > always["precision"]


def test_scores_of_a_tool_get_the_threshold_of_the_sweep_or_their_own(planned, tmp_path):
    scores = "".join(
        f"{stamp}Z,{label + 0.1 * (row % 5)}\n"
        for row, (stamp, label) in enumerate(zip(SERIES.timestamps, SERIES.labels, strict=True))
    )
    both = (
        "\n  external: {path: alerts.csv, tolerance_s: 0}"
        '\n  external_own: {class: "trainables.external:External", path: alerts.csv, tolerance_s: 0, threshold: 0.9}\n'
    )
    _, rows = run_sweep(*planned("time,score\n" + scores, both), tmp_path / "run", backend="inline")
    by_name = {row["detector"]: row for row in rows.values()}
    assert by_name["external"]["threshold_rule"].startswith("reference_quantile")
    assert 0.9 == by_name["external_own"]["threshold"]
    assert 1.0 == by_name["external_own"]["precision"] == by_name["external"]["average_precision"]


def test_resume_notices_that_the_file_changed(planned, tmp_path):
    plan, series = planned()
    run_sweep(plan, series, tmp_path / "run", backend="inline")
    changed, _ = planned(text_of(SERIES.events[1:]))
    with pytest.raises(RunFolderError, match=r"data of external: was alerts.csv@\w+, is alerts.csv@"):
        run_sweep(changed, series, tmp_path / "run", backend="inline", resume=True)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "alerts.csv").write_text(text_of(SERIES.events))
    again, _ = plan_of(moved, ALERTS)
    assert 0 == run_sweep(again, series, tmp_path / "run", backend="inline", resume=True)[0]
    assert 4 == len(rows_of(tmp_path / "run"))


def test_alarms_outside_of_the_telemetry_and_windows_without_a_score_stop_the_sweep(planned):
    with pytest.raises(PlanError, match=r"detectors.external: .*alerts.csv: 1 of 1 alarms match no row .*: line 2 "):
        planned("start,end\n1999-01-01T00:00:00Z,1999-01-01T00:01:00Z\n")
    half = "".join(f"{stamp}Z,1\n" for stamp in SERIES.timestamps[:1000])
    with pytest.raises(
        PlanError, match=r"alerts.csv has no score within tolerance_s 40 for \d+ of \d+ windows.*; raise tol"
    ):
        planned("time,score\n" + half)


def test_what_is_wrong_in_the_sweep_file_is_said_with_its_place(planned, tmp_path):
    with pytest.raises(SpecError, match=r"sweep.yaml:\d+:\d+ +detectors.external: needs path: CSV or Parquet"):
        planned(detectors="\n  external: {}\n")
    with pytest.raises(SpecError, match=r"detectors.external.path: .*absent.csv: no such file"):
        planned(detectors="\n  external: {path: absent.csv}\n")
    with pytest.raises(SpecError, match="names a file and cannot be searched"):
        planned(detectors="\n  external: {path: alerts.csv, space: {path: {choice: [a, b]}}}\n")
    assert not (tmp_path / "run").exists()


def test_the_plan_says_what_the_file_holds_and_which_alarms_may_fall_between_windows(planned):
    plan, series = planned(overrides=["detectors.external.tolerance_s=360"])
    lines = plan_lines(plan, series, MACHINE, plan_slots(MACHINE, plan.spec.resources))
    count = len(SERIES.events)
    assert any(line.startswith(f"external: {count} alarms of alerts.csv, 20") for line in lines)
    assert not any("may fall between" in line for line in lines)
    first = SERIES.timestamps[40]
    plan, series = planned(f"start,end\n{first}Z,{first}Z\n", overrides=["detectors.external.tolerance_s=0"])
    lines = plan_lines(plan, series, MACHINE, plan_slots(MACHINE, plan.spec.resources))
    assert any("1 alarms are shorter than the" in line for line in lines)


def test_the_tolerance_that_counts_every_alarm_knows_the_cap_on_scored_windows(planned):
    first = SERIES.timestamps[40]
    overrides = ["detectors.external.tolerance_s=0", "data.max_score_windows.test=20"]
    plan, series = planned(f"start,end\n{first}Z,{first}Z\n", overrides=overrides)
    (settings,), (telemetry,) = plan.settings.values(), series.values()
    cut = cut_windows(telemetry, settings, 0)
    places = zip(cut.test[:-1], cut.test[1:], strict=True)
    gap = max(
        last - first
        for first, last in places
        if {TEST} == {*cut.territory[first : last + 1]} and telemetry.segment[first] == telemetry.segment[last]
    )
    seconds = f"{gap * telemetry.step_s:g}"
    assert gap > settings.data.score_stride
    assert 20 == len(cut.test)
    lines = plan_lines(plan, series, MACHINE, plan_slots(MACHINE, plan.spec.resources))
    (line,) = [line for line in lines if "may fall between" in line]
    assert f"shorter than the {seconds} s" in line
    assert line.endswith(f"tolerance_s: {seconds} counts every one")


def test_without_a_sweep_there_is_nothing_to_read():
    with pytest.raises(DetectorError, match="a sweep file names it under path"):
        External(ExternalConfig(path="alerts.csv"), TrialResources())
