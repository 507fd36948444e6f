"""The command line: exit codes, one message each, nothing started and nothing overwritten."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.errors import PlanError
from orchestrator.new_run import made
from orchestrator.sweep import app

FAKES = "tests.fakes.detectors"
ROOT = Path(__file__).resolve().parents[2]
GOOD = f"""\
name: cli
few_shot: {{shots: [0, 20], report_seeds: {{first: 9, count: 2}}}}
tracking: {{wandb: {{mode: disabled}}}}
detectors:
  blind: {{class: "{FAKES}:InstantNone"}}
  mine: {{class: "{FAKES}:Instant"}}
"""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch):
    """Return a function that runs the command line in an empty folder with a right sweep file in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    (tmp_path / "good.yaml").write_text(GOOD)

    def _sweep(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return _sweep


def one_message(result: Result) -> str:
    """Return the only message of a refused call."""
    assert 2 == result.exit_code, result.output
    assert "Traceback" not in result.output
    assert "" == result.stdout
    assert 1 == len(result.stderr.splitlines()), result.stderr
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ([], "give a sweep file"),
        (["none.yaml"], "none.yaml: no such file"),
        (["."], "is a folder"),
        (["good.yaml", "--set", "search.candidates=0"], "must be at least 1"),
        (["good.yaml", "--data", "none.csv"], "no such file"),
        (["good.yaml", "--dry-run", "--set", "tracking.wandb.mode=online"], "mode is online, but there is no API key"),
        (["good.yaml", "--force"], "--force goes with --resume RUN"),
        (["good.yaml", "--retry-failed"], "--retry-failed goes with --resume RUN"),
        (["good.yaml", "--extend", "2"], "--extend goes with --resume RUN"),
        (["good.yaml", "--resume", "run"], "leave out SPEC"),
        (["--resume", "run", "--output", "x"], "leave out --output"),
        (["--resume", "run", "--set", "name=x"], "leave out --set"),
        (["--resume", "run", "--probe"], "leave out --probe"),
        (["--resume", "run", "--time-budget", "1h"], "leave out --time-budget"),
        (["good.yaml", "--time-budget", "soon"], "--time-budget soon: not a time; write 90s, 15m, 2h or 1h30m"),
        (["good.yaml", "--time-budget", "1s"], "--time-budget: 0.0 min are not enough: even 5 candidates"),
        (["good.yaml", "--address", "far:1", "--probe"], "--probe measures this machine, not the cluster far:1"),
        (["good.yaml", "--address", "far:1", "--time-budget", "1h"], "--time-budget measures this machine, not the"),
        (["--resume", "run"], "run: no such run folder"),
        (["good.yaml", "--output", "full"], "--output full: is not empty"),
        (["good.yaml", "--output", "good.yaml"], "--output good.yaml: is a file"),
        (["good.yaml", "--output", "x" * 300], "File name too long; give a new or empty folder"),
        (["good.yaml", "--quiet", "--address", "foo"], "--address foo: not an address"),
        (["good.yaml", "--set", "data.rows=999999999999"], "must be at most 10000000"),
        (["good.yaml", "--set", "few_shot.report_seeds.count=99999999999"], "must be at most 10000"),
        (["good.yaml", "--set", "resources.draw_timeout_s=1e300"], "must be at most 604800"),
        (["good.yaml", "--set", "search.seed=99999999999999999999"], "must be at most 4294967295"),
        (["good.yaml", "--set", "data.missing.columns={'no_such*': zero}"], "'no_such*' matches no column"),
        (["good.yaml", "--set", "resources.threads=4000"], "a trial of 4000 threads needs more than"),
        (["good.yaml", "--set", "few_shot.shots=[0, 400000]"], "'simulated', fold 0: "),
    ],
)
def test_a_wrong_call_is_one_message_and_exit_code_2(sweep, tmp_path: Path, arguments: list[str], phrase: str):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept.txt").write_text("kept")
    assert phrase in one_message(sweep(*arguments))
    assert "kept" == (tmp_path / "full" / "kept.txt").read_text()
    assert not (tmp_path / "runs").exists()


TABLES = {
    "empty": (b"", "empty"),
    "header only": (b"timestamp,a,label\n", ""),
    "one column": (b"timestamp;a;label\n2024-01-01;1;0\n", ""),
    "text in a number": (b"timestamp,a,label\n2024-01-01T00:00:00Z,x,0\n2024-01-01T00:00:04Z,2,0\n", ""),
    "unknown label": (b"timestamp,a,label\n2024-01-01T00:00:00Z,1,7.5\n2024-01-01T00:00:04Z,2,0\n", ""),
    "no timestamp": (b"when,a,label\n1,2,0\n", "timestamp"),
    "not UTF-8": (b"timestamp,a,label\n1,2,0\n2,3,\xe9\n", "line 3: not a text file in utf-8"),
    "label misspelt": (b"timestamp,a,lable\n1,2,0\n2,3,1\n", "rename 'lable' to 'label'"),
    "label called otherwise": (b"timestamp,a,Is_Anomaly\n1,2,0\n2,3,1\n", "rename 'is_anomaly' to 'label'"),
    "only faults named": (b"timestamp,a,fault_type\n1,2,\n2,3,cpu\n", "write normal or 0 where there is none"),
}


@pytest.mark.parametrize(("content", "phrase"), TABLES.values(), ids=TABLES)
def test_a_wrong_table_is_refused_with_its_name(sweep, tmp_path: Path, content: bytes, phrase: str):
    (tmp_path / "table.csv").write_bytes(content)
    result = sweep("good.yaml", "--data", "table.csv")
    assert 2 == result.exit_code, result.output
    assert "Traceback" not in result.output
    assert "table.csv" in result.stderr
    assert phrase in result.stderr.lower()


def test_a_dry_run_prints_the_plan_and_makes_nothing(sweep, tmp_path: Path):
    result = sweep("good.yaml", "--dry-run")
    assert 0 == result.exit_code, result.output
    assert "rows: 4 from 4 trials in 2 cells" in result.stdout
    assert {"good.yaml"} == {path.name for path in tmp_path.iterdir()}


def test_a_plan_for_a_cluster_says_whose_machine_it_describes(sweep):
    note = "slots, memory and time above are those of this machine, not of the cluster far:1"
    assert note in sweep("good.yaml", "--dry-run", "--address", "far:1").stdout
    assert "above are those" not in sweep("good.yaml", "--dry-run").stdout


def test_lines_off_a_terminal_are_neither_wrapped_nor_coloured(sweep):
    output = sweep("good.yaml", "--dry-run").stdout
    assert "\x1b" not in output
    assert any(len(line) > 100 and "basis" in line for line in output.splitlines())


def test_a_dry_run_imports_neither_torch_nor_ray_nor_wandb(tmp_path: Path):
    (tmp_path / "good.yaml").write_text(GOOD)
    code = (
        "import json, sys\nfrom typer.testing import CliRunner\nfrom orchestrator.sweep import app\n"
        f"result = CliRunner().invoke(app, [{str(tmp_path / 'good.yaml')!r}, '--dry-run'])\n"
        "print(json.dumps([result.exit_code, [name for name in ('torch', 'ray', 'wandb') if name in sys.modules]]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [0, []] == json.loads(answer.stdout.splitlines()[-1])


def test_a_missing_core_package_is_one_message_before_any_import(tmp_path: Path):
    code = (
        "import importlib.metadata as m, runpy, sys\nreal = m.version\n"
        "def version(name):\n"
        "    if name == 'optuna': raise m.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "m.version = version\nsys.modules['optuna'] = None\nsys.argv = ['sweep', 'x.yaml']\n"
        "runpy.run_module('orchestrator.sweep', run_name='__main__')"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert 2 == answer.returncode
    assert "package optuna is missing" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.fixture
def read_only(tmp_path: Path):
    """Return a folder on a read-only mount: permissions do not stop root."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"cannot mount here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_read_only_disk_is_one_message(sweep, read_only: Path):
    message = one_message(sweep("good.yaml", "--quiet", "--output", str(read_only / "run")))
    assert "cannot be written: Read-only file system; choose another place with --output" in message


def refuse(run_dir: Path, *, writing: str | None = None) -> None:
    """Make a run folder, write a file in it if asked for, then refuse to start."""
    with made(run_dir):
        if writing is not None:
            (run_dir / writing).touch()
        raise PlanError("planted")


def test_a_refused_start_leaves_no_folder_behind(tmp_path: Path):
    with pytest.raises(PlanError):
        refuse(tmp_path / "runs" / "one")
    assert [] == list(tmp_path.iterdir())


def test_a_refused_start_keeps_what_was_there_or_was_written(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(PlanError):
        refuse(tmp_path / "mine")
    with pytest.raises(PlanError):
        refuse(tmp_path / "new", writing="rows.jsonl")
    assert {"mine", "new"} == {path.name for path in tmp_path.iterdir()}
