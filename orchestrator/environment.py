"""Start-up check: which packages a sweep needs, which are missing or too old, and the command that mends it.

Standard library only: it runs before anything that could fail to import.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

from orchestrator.errors import MissingPackageError

CORE = {
    "numpy": ">=2.0",
    "optuna": ">=5.0,<6",
    "orjson": ">=3.10",
    "pandas": ">=2.3,<4",
    "psutil": ">=6.0",
    "pyarrow": ">=18",
    "pydantic": ">=2.10",
    "PyYAML": ">=6.0.2",
    "rich": ">=14",
    "safetensors": ">=0.5",
    "scikit-learn": ">=1.7",
    "scipy": ">=1.15",
    "skops": ">=0.13",
    "typer": ">=0.15",
}
"""Needed by every sweep; the ranges are those of pyproject.toml (a test compares them)."""

REPORT = {"jinja2": ">=3.1", "matplotlib": ">=3.9", "plotly": ">=6.0"}
RAY = {"ray": ">=2.60,<3"}
TORCH = {"torch": ">=2.7"}
MOMENT = {"momentfm": ">=0.1.4", "transformers": ">=5.0,<6", "peft": ">=0.19"}
WANDB = {"wandb": ">=0.31"}
WORKSPACES = {"wandb-workspaces": ">=0.4"}
TENSORBOARD = {"tensorboardX": ">=2.6"}

NO_DEPS = {"momentfm": "momentfm==0.1.4"}
"""Installed by a pip line of their own: momentfm's pins would take numpy and transformers years back."""

_RANGE = re.compile(r"(>=|<)([0-9.]+)")


def needed(detectors: Mapping[str, bool], *, backend: str, tracking: str) -> dict[str, str]:
    """Return package -> range for a sweep; `detectors` says of each name whether it may use a GPU, hence torch."""
    packages = {**CORE, **REPORT}
    if backend == "ray":
        packages |= RAY
    if tracking != "disabled":
        packages |= WANDB
    if any(detectors.values()):
        packages |= TORCH
    if any(name.startswith("moment_") for name in detectors):
        packages |= MOMENT
    return packages


def check(packages: dict[str, str]) -> None:
    """Refuse to go on without these packages.

    Raises
    ------
    MissingPackageError
        Names each package that is missing or out of range, and the pip command that mends it.
    """
    problems = {}
    for name, wanted in packages.items():
        problem = package_problem(name, wanted)
        if problem is not None:
            problems[name] = problem
    if problems:
        raise MissingPackageError("\n".join([*problems.values(), *_mending(problems, packages)]))


def check_core() -> None:
    """Check what the command line itself imports; print the message and exit with 2 where it is missing."""
    try:
        check(CORE)
    except MissingPackageError as err:
        sys.stderr.write(f"{err}\n")
        raise SystemExit(2) from err


def package_problem(name: str, wanted: str) -> str | None:
    """Say what is wrong with an installed package, or None."""
    try:
        installed = version(name)
    except PackageNotFoundError:
        return f"package {name} is missing; needed: {wanted}"
    have = _numbers(installed)
    for relation, limit in _RANGE.findall(wanted):
        if relation == ">=" and have < _numbers(limit):
            return f"package {name} {installed} is too old; needed: {wanted}"
        if relation == "<" and have >= _numbers(limit):
            return f"package {name} {installed} is too new; needed: {wanted}"
    return None


def _mending(problems: Iterable[str], packages: dict[str, str]) -> list[str]:
    names = list(problems)
    ordinary = [f'"{name}{packages[name]}"' for name in names if name not in NO_DEPS]
    lines = [f"mend with: {sys.executable} -m pip install {' '.join(ordinary)}"] if ordinary else []
    special = [NO_DEPS[name] for name in names if name in NO_DEPS]
    return [*lines, *(f"mend with: {sys.executable} -m pip install --no-deps {name}" for name in special)]


def _numbers(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: 2.13.0+cpu is (2, 13); trailing zeros do not count."""
    parts = re.match(r"\d+(?:\.\d+)*", text)
    numbers = [int(part) for part in parts.group().split(".")] if parts else [0]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
