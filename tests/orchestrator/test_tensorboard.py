"""TensorBoard by choice: event files made from the rows, read back with TensorBoard's own reader."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest
from typer.testing import CliRunner

from orchestrator import environment
from orchestrator.callbacks.trial_view import cell_of, measured, name_of, trials_of
from orchestrator.results import SCHEMA_VERSION, read_records, row_line
from orchestrator.tensorboard import app
from tests.fakes.run_folder import FakeSweep, make_run
from tests.fakes.sweeps import SEARCHED, spec_text

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

ROOT = Path(__file__).parents[2]

SWEEP = FakeSweep(
    skill={"pca": {0: 0.8}, "random_forest": {20: 0.9, 100: 1.5}, "moment_lora": {20: 0.8, 100: 2.2}},
    draws=6,
    bad={
        ("random_forest", 20, 103): ("failed", "planted error"),
        ("random_forest", 100, 101): ("oom", "too big"),
    },
)
METRIC = "average_precision"


def edit(run: Path, change) -> None:
    """Write the rows of a run folder anew, each as `change` returns it."""
    lines = [row_line(change(row)) + "\n" for row in read_records(run)]
    (run / "rows.jsonl").write_text("".join(lines), encoding="utf-8")


def numbered(row: dict[str, object]) -> dict[str, object]:
    """Give each of the planted configurations (ranks 2, 4, 8 ...) its number."""
    return {**row, "candidate": int(math.log2(row["param.rank"])) - 1 if row["phase"] == "select" else None}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("made") / "sweep-1", SWEEP)
    edit(folder, numbered)
    return folder


@pytest.fixture
def run(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / made.name))


def write(run: Path, expected: int = 0):
    done = CliRunner().invoke(app, [str(run)], catch_exceptions=False)
    assert expected == done.exit_code, done.output
    return done


def read(run: Path, name: str) -> EventAccumulator:
    """A run as TensorBoard reads it."""
    assert (run / "tensorboard" / name).is_dir()
    return EventAccumulator(str(run / "tensorboard" / name)).Reload()


def points(events: EventAccumulator, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events.Scalars(tag)]


def plugin_data(events: EventAccumulator, tag: str) -> bytes:
    return events.PluginTagToContent("hparams")[f"_hparams_/{tag}"]


def files_of(run: Path) -> dict[str, bytes]:
    folder = run / "tensorboard"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def single(value: float) -> float:
    """A number in the precision that event files have."""
    return float(np.float32(value))


def test_each_trial_is_a_run_of_its_cell_with_every_number_of_its_draws(run):
    write(run)
    trials = trials_of(read_records(run))
    assert 8 + 30 == len(trials)
    seen = 0
    for rows in trials.values():
        events = read(run, f"{cell_of(rows[0])}/{name_of(rows[0])}")
        good = [row for row in rows if row["status"] == "ok"]
        expected: dict[str, list[tuple[int, float]]] = {}
        for row in good:
            for name, value in measured(row).items():
                expected.setdefault(f"draw/{name}", []).append((row["draw"], single(value)))
        found = [tag for tag in events.Tags()["scalars"] if tag.startswith("draw/")]
        assert expected == {tag: points(events, tag) for tag in found}
        if good:
            assert [(0, single(fmean(row[METRIC] for row in good)))] == points(events, f"mean/{METRIC}")
            seen += 1
    assert 36 == seen
    assert (run / "tensorboard" / "moment_lora-simulated-f0-k20" / "select candidate 3").is_dir()


def test_a_draw_that_failed_is_its_reason_and_never_a_number(run):
    write(run)
    events = read(run, "random_forest-simulated-f0-k20/report draw 103")
    assert ["mean/draws_ok", "mean/draws_not_ok"] == events.Tags()["scalars"]
    assert ([(0, 0.0)], [(0, 1.0)]) == (points(events, "mean/draws_ok"), points(events, "mean/draws_not_ok"))
    (reason,) = events.Tensors("not_ok/text_summary")
    assert (103, [b"failed: planted error"]) == (reason.step, list(reason.tensor_proto.string_val))
    end = metadata.parse_session_end_info_plugin_data(plugin_data(events, "session_end_info"))
    assert api_pb2.STATUS_FAILURE == end.status


def test_a_trial_that_lost_a_draw_has_the_mean_of_the_others_and_says_so(run):
    def lose(row):
        lost = row["phase"] == "select" and row["shots"] == 100 and row["draw"] == 1
        return {**row, "status": "timeout", "reason": "900 s"} if lost else row

    edit(run, lose)  # its numbers stay in the line, and must not be shown
    write(run)
    rows = [row for row in read_records(run) if row["phase"] == "select" and row["shots"] == 100]
    for number in range(4):
        events = read(run, f"moment_lora-simulated-f0-k100/select candidate {number}")
        good = [row[METRIC] for row in rows if row["candidate"] == number and row["draw"] != 1]
        assert [0, 2] == [step for step, _ in points(events, f"draw/{METRIC}")]
        assert [(0, pytest.approx(fmean(good)))] == points(events, f"mean/{METRIC}")
        assert [(0, 1.0)] == points(events, "mean/draws_not_ok")


def test_hyperparameters_are_those_of_the_rows_and_the_objective_is_the_first_metric(run):
    write(run)
    events = read(run, "moment_lora-simulated-f0-k20/select candidate 1")
    start = metadata.parse_session_start_info_plugin_data(plugin_data(events, "session_start_info"))
    found = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    expected = {"detector": "moment_lora", "shots": 20.0, "phase": "select", "candidate": 1.0, "simulated": True}
    assert expected == {name: found[name] for name in expected}
    assert (4.0, pytest.approx(10**-3.5)) == (found["param.rank"], found["param.learning_rate"])
    head = metadata.parse_experiment_plugin_data(plugin_data(read(run, ""), "experiment"))
    names = [info.name for info in head.hparam_infos]
    assert {"detector", "shots", "phase", "param.rank", "param.learning_rate"} <= set(names)
    assert not {"fold", "source", "fingerprint"} & set(names)  # the same in every trial
    assert f"mean/{METRIC}" == head.metric_infos[0].name.tag
    shown = {tag for tag in events.Tags()["scalars"] if tag.startswith("mean/")}
    assert shown <= {info.name.tag for info in head.metric_infos}


def test_a_setting_that_is_a_number_here_and_text_there_is_text_everywhere(run):
    def mix(row):
        return {**row, "param.features": "sqrt" if row["detector"] == "random_forest" else 0.5}

    edit(run, mix)
    write(run)
    head = metadata.parse_experiment_plugin_data(plugin_data(read(run, ""), "experiment"))
    types = {info.name: info.type for info in head.hparam_infos}
    assert (api_pb2.DATA_TYPE_STRING, api_pb2.DATA_TYPE_FLOAT64) == (types["param.features"], types["param.rank"])
    events = read(run, "pca-simulated-f0-k0/report draw 100")
    start = metadata.parse_session_start_info_plugin_data(plugin_data(events, "session_start_info"))
    assert "0.5" == start.hparams["param.features"].string_value


def test_each_detector_has_its_learning_curve_against_shots(run):
    write(run)
    rows = [row for row in read_records(run) if row["phase"] == "report" and row["status"] == "ok"]
    for detector, by_shots in SWEEP.skill.items():
        events = read(run, f"curves/{detector}-simulated")
        curve = points(events, f"curve/{METRIC}")
        expected = [
            (shots, pytest.approx(fmean(r[METRIC] for r in rows if (r["detector"], r["shots"]) == (detector, shots))))
            for shots in by_shots
        ]
        assert expected == curve
        if detector == "moment_lora":
            low, high = points(events, f"curve/{METRIC}/low"), points(events, f"curve/{METRIC}/high")
            assert all(low[n][1] < curve[n][1] < high[n][1] for n in range(len(curve)))


def test_the_same_rows_give_the_same_bytes_and_nothing_is_written_twice(run, made, tmp_path):
    assert "42 files written" in write(run).output  # 38 trials, three curves, the columns
    first = files_of(run)
    assert "0 files written" in write(run).output
    assert first == files_of(run)
    other = Path(shutil.copytree(made, tmp_path / "elsewhere" / "moved"))
    write(other)
    assert first == files_of(other)


def test_new_rows_change_their_own_runs_and_foreign_files_stay(run):
    rows = (run / "rows.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "rows.jsonl").write_text("".join(rows[:-2]) + rows[-2][:40], encoding="utf-8")  # in mid-sweep
    write(run)
    before = files_of(run)
    foreign = ["notes.txt", "events.out.tfevents.1.mine", "pca-simulated-f0-k0/report draw 100/mine.txt"]
    for name in foreign:
        (run / "tensorboard" / name).write_text("mine", encoding="utf-8")
    killed = run / "tensorboard" / "moment_lora-simulated-f0-k100" / "report draw 105" / "events.part"
    killed.parent.mkdir()
    killed.write_text("of a start that was killed", encoding="utf-8")
    (run / "rows.jsonl").write_text("".join(rows), encoding="utf-8")
    assert "3 files written" in write(run).output
    after = {name: content for name, content in files_of(run).items() if name not in foreign}
    assert all("mine" == (run / "tensorboard" / name).read_text(encoding="utf-8") for name in foreign)
    assert all(name.endswith(".fewshot-sweep") for name in after)
    cell, curve = "moment_lora-simulated-f0-k100", "curves/moment_lora-simulated"
    changed = {Path(name).parent.as_posix() for name in set(after) ^ set(before)}
    assert {f"{cell}/report draw 104", f"{cell}/report draw 105", curve} == changed
    assert 1 == len([name for name in after if name.startswith(curve)])  # its former self is gone


def test_a_trial_that_left_the_rows_leaves_no_folder(run):
    write(run)
    rows = (run / "rows.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "rows.jsonl").write_text("".join(row for row in rows if '"pca"' not in row), encoding="utf-8")
    write(run)
    assert not (run / "tensorboard" / "pca-simulated-f0-k0").exists()
    assert (run / "tensorboard" / "moment_lora-simulated-f0-k20" / "report draw 100").is_dir()


def test_trials_of_one_name_are_told_apart(run):
    edit(run, lambda row: {**row, "candidate": 0} if row["phase"] == "select" else row)  # as a forced resume leaves
    write(run)
    folders = sorted(p.name for p in (run / "tensorboard" / "moment_lora-simulated-f0-k20").glob("select*"))
    trials = {row["trial"] for row in read_records(run) if (row["phase"], row["shots"]) == ("select", 20)}
    assert sorted(f"select candidate 0 {trial}" for trial in trials) == folders
    assert 4 == len(folders)


def refuse(run: Path) -> str:
    message = write(run, expected=2).stderr
    assert 1 == len(message.splitlines())
    return message


def test_what_is_no_run_folder_is_said(tmp_path):
    assert "this is not a run folder" in refuse(tmp_path)
    assert "this is not a run folder" in refuse(tmp_path / "nowhere")
    assert [] == list(tmp_path.iterdir())


def test_rows_and_manifest_of_a_newer_schema_are_refused(run):
    edit(run, lambda row: {**row, "schema_version": SCHEMA_VERSION + 1})
    assert f"of schema {SCHEMA_VERSION + 1}, this version reads up to {SCHEMA_VERSION}; update it" in refuse(run)
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    manifest["schema_version"] = SCHEMA_VERSION + 1
    (run / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert "manifest.json: of schema" in refuse(run)
    assert not (run / "tensorboard").exists()


def test_a_sweep_without_a_row_is_said(run):
    (run / "rows.jsonl").write_text("", encoding="utf-8")
    assert "no rows yet; the sweep has not finished a draw" in refuse(run)


def test_a_damaged_row_is_named_by_its_line(run):
    with (run / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write("{}\n")
    assert "rows.jsonl:55: not a row" in refuse(run)


def test_a_place_that_cannot_be_written_is_said(run):
    (run / "tensorboard").write_text("a file", encoding="utf-8")
    assert f"{run / 'tensorboard'}: cannot write: " in refuse(run)
    assert "a file" == (run / "tensorboard").read_text(encoding="utf-8")


def test_without_tensorboardx_the_command_that_mends_it_is_said(run, monkeypatch):
    monkeypatch.setattr(environment, "TENSORBOARD", None)
    monkeypatch.setattr("orchestrator.tensorboard.TENSORBOARD", {"tensorboardX-of-tomorrow": ">=9"})
    message = write(run, expected=2).stderr
    assert "package tensorboardX-of-tomorrow is missing" in message
    assert "mend with: " in message


def test_help_has_an_example():
    done = CliRunner().invoke(app, ["--help"])
    assert "python -m orchestrator.tensorboard runs/" in " ".join(done.output.split())


SWEPT = """
import sys
from orchestrator.sweep import app
try:
    app(sys.argv[1:])
finally:
    print([name for name in sys.modules if name.partition(".")[0] in ("tensorboardX", "tensorboard")])
"""


@pytest.mark.ray
def test_a_sweep_itself_loads_no_tensorboard(tmp_path):
    (tmp_path / "sweep.yaml").write_text(spec_text(SEARCHED), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SWEPT, str(tmp_path / "sweep.yaml"), "--output", str(tmp_path / "run"), "--quiet"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    assert "[]" == done.stdout.splitlines()[-1]
    assert 10 == len(read_records(tmp_path / "run"))
    assert not (tmp_path / "run" / "tensorboard").exists()
