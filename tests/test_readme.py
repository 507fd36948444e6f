"""What the README tells people to type exists and works."""

import importlib
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands() -> list[list[str]]:
    whole = [block.replace("\\\n", " ") for block in blocks("bash")]  # a command may go over two lines
    lines = [line for block in whole for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def modules_run() -> list[tuple[str, list[str]]]:
    """Module and arguments of every `python -m` line."""
    return [
        (words[words.index("-m") + 1], words[words.index("-m") + 2 :])
        for words in commands()
        if "-m" in words and words[0].endswith("python")
    ]


def options_of(module: str) -> set[str]:
    module = {"orchestrator.cluster": "orchestrator.cluster_commands"}.get(module, module)
    imported = importlib.import_module(module)
    imported = importlib.import_module(f"{module}.__main__") if hasattr(imported, "__path__") else imported
    command = typer.main.get_command(imported.app)
    everything = [command, *getattr(command, "commands", {}).values()]
    return {option for part in everything for parameter in part.params for option in parameter.opts}


def test_the_first_command_shown_is_make_sweep_and_the_second_make_test():
    assert [["make", "sweep"], ["make", "test"]] == commands()[:2]


@needs_make
@pytest.mark.parametrize("words", [words for words in commands() if words[0] == "make"], ids=" ".join)
def test_every_make_line_of_the_readme_has_a_target(words):
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    spec = next(
        (word.removeprefix("SPEC=") for word in words if word.startswith("SPEC=")), "search_spaces/fewshot.yaml"
    )
    if "sweep" in words:
        assert done.stdout.splitlines()[-1].split() == [".venv/bin/python", "-m", "orchestrator.sweep", spec]


@needs_make
@pytest.mark.parametrize("target", ["install", "sweep", "test", "lint", "bench", "clean", "help"])
def test_every_target_of_the_makefile_can_be_planned(target):
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)
    for module in re.findall(r"python -m (tests\.\w+)", done.stdout):
        assert find_spec(module) is not None, module


def test_ci_runs_make_test_and_nothing_else_that_tests():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert script.rstrip().endswith("exec make test")
    assert "pytest" not in script


def test_every_module_that_is_run_exists():
    ours = [module for module, _ in modules_run() if module not in {"venv", "pip"}]
    assert {
        "orchestrator.sweep",
        "orchestrator.new",
        "orchestrator.cluster",
        "orchestrator.sync",
        "orchestrator.dashboard",
        "orchestrator.tensorboard",
        "analysis.report",
        "trainables.contract",
        "trainables.score",
        "trainables.data",
    } == set(ours)
    assert [] == [module for module in ours if find_spec(module) is None]


@pytest.mark.parametrize(
    "module",
    [
        "orchestrator.sweep",
        "orchestrator.new",
        "orchestrator.cluster",
        "orchestrator.sync",
        "orchestrator.dashboard",
        "orchestrator.tensorboard",
        "analysis.report",
        "trainables.contract",
        "trainables.score",
        "trainables.data",
    ],
)
def test_every_option_shown_exists(module):
    used = {word for name, words in modules_run() if name == module for word in words if word.startswith("--")}
    assert used <= options_of(module)


def test_every_sweep_file_named_exists():
    named = set(re.findall(r"search_spaces/\w+\.yaml", " ".join(page.read_text(encoding="utf-8") for page in PAGES)))
    assert len(named) >= 3
    assert [] == sorted(name for name in named if not (ROOT / name).is_file())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [] == [link for link in links if link and not (page.parent / link).exists()]


def test_pip_lines_are_the_lines_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in ("-c constraints.txt -e .", "--no-deps momentfm==0.1.4"):
        assert line in README
        assert line in makefile


def test_the_detector_of_the_readme_passes_the_contract(tmp_path):
    (code,) = [block for block in blocks("python") if "class LastValue" in block]
    (tmp_path / "my_detector.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "trainables.contract", "my_detector:LastValue"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert len(code.splitlines()) <= 35


@needs_make
@pytest.mark.slow
@pytest.mark.ray
def test_the_smoke_sweep_of_the_readme_runs_to_its_report(tmp_path):
    run = tmp_path / "smoke"
    done = subprocess.run(
        ["make", "-o", ".venv/.installed", "sweep", "SPEC=search_spaces/smoke.yaml", f"ARGS=--output {run}"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert 0 == done.returncode, done.stdout + done.stderr
    assert (run / "report" / "index.html").stat().st_size > 100_000
    assert f"report: {run / 'report' / 'index.html'}" in done.stdout
