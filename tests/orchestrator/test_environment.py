"""The start-up check of packages."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from orchestrator import environment
from orchestrator.errors import MissingPackageError

ROOT = Path(__file__).resolve().parents[2]
BASELINES = {"pca": False, "random_forest": False}
ALL = {
    **environment.needed({"moment_lora": True}, backend="ray", tracking="auto"),
    **environment.WORKSPACES,
    **environment.TENSORBOARD,
}


def project_ranges() -> dict[str, str]:
    """Return package -> range of the project's dependencies."""
    wanted = {}
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        name, extras_and_range = re.match(r"([A-Za-z0-9-]+)(.*)", line).groups()
        wanted[name] = re.sub(r"\[.*\]", "", extras_and_range)
    return wanted


def test_ranges_are_those_of_the_project():
    wanted = project_ranges()
    assert {name: wanted[name] for name in ALL if name != "momentfm"} == {
        name: limits for name, limits in ALL.items() if name != "momentfm"
    }


def test_this_environment_has_what_the_baselines_need():
    environment.check(environment.needed(BASELINES, backend="ray", tracking="auto"))


def test_baselines_need_neither_torch_nor_momentfm():
    assert not {"torch", "momentfm", "transformers", "peft"} & set(
        environment.needed(BASELINES, backend="inline", tracking="disabled")
    )


def test_a_detector_of_any_name_that_can_use_a_gpu_needs_torch_and_no_momentfm():
    packages = environment.needed({"mine": True}, backend="inline", tracking="disabled")
    assert {"torch"} == {"torch", "momentfm", "transformers", "peft"} & set(packages)


def test_the_core_check_covers_all_that_the_command_line_imports():
    code = "import json, sys, orchestrator.sweep; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules, owners = set(json.loads(answer.stdout)), packages_distributions()
    loaded = {package for module in modules for package in owners.get(module, ())}
    assert set() == loaded & set(project_ranges()) - set(environment.CORE)


def test_an_inline_untracked_sweep_needs_neither_ray_nor_wandb():
    assert not {"ray", "wandb"} & set(environment.needed({"pca": False}, backend="inline", tracking="disabled"))


@pytest.mark.parametrize(
    ("installed", "wanted", "problem"),
    [
        ("2.13.0+cpu", ">=2.7", None),
        ("2.13.0+cpu", ">=2.13.0", None),
        ("5.0", ">=5.0.0,<6", None),
        ("4.57.1", ">=5.0,<6", "too old"),
        ("6.0.0rc1", ">=5.0,<6", "too new"),
        ("2.6.9", ">=2.7", "too old"),
        (None, ">=1", "missing"),
    ],
)
def test_versions_are_compared_by_number(monkeypatch, installed: str | None, wanted: str, problem: str | None):
    def version(name: str) -> str:
        if installed is None:
            raise environment.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(environment, "version", version)
    found = environment.package_problem("thing", wanted)
    assert (problem is None and found is None) or (problem is not None and problem in str(found))


def test_every_missing_package_is_named_with_the_command_that_mends_it(monkeypatch):
    def version(name: str) -> str:
        if name == "momentfm":
            raise environment.PackageNotFoundError(name)
        return "0.1"

    monkeypatch.setattr(environment, "version", version)
    with pytest.raises(MissingPackageError) as caught:
        environment.check(environment.MOMENT)
    text = str(caught.value)
    assert "package momentfm is missing" in text
    assert "package transformers 0.1 is too old; needed: >=5.0,<6" in text
    assert '-m pip install "transformers>=5.0,<6" "peft>=0.19"' in text
    assert "-m pip install --no-deps momentfm==0.1.4" in text


def test_the_core_check_exits_with_2_and_its_message(monkeypatch, capsys):
    def version(name: str) -> str:
        raise environment.PackageNotFoundError(name)

    monkeypatch.setattr(environment, "version", version)
    with pytest.raises(SystemExit) as caught:
        environment.check_core()
    assert 2 == caught.value.code
    assert "package pydantic is missing" in capsys.readouterr().err
