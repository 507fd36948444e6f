"""Who may import whom, read from the syntax trees; and what importing our packages must not load."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("orchestrator", "trainables", "analysis")

HEAVY = ("torch", "ray", "wandb", "matplotlib", "momentfm", "tensorboardX")
"""What importing a package must not load: seconds each, and not every machine has them."""


@dataclass(frozen=True)
class Import:
    """One import of one file; `top` is False inside a function, or where only a type checker reads it."""

    file: str
    line: int
    module: str
    top: bool

    @property
    def root(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: imports {self.module}"


def is_file(module: str) -> bool:
    return (ROOT / f"{module.replace('.', '/')}.py").exists()


def imports_of(path: Path) -> Iterator[Import]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for_types = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    nested = {id(inner) for outer in (*functions, *for_types) for inner in ast.walk(outer)}
    file = path.relative_to(ROOT).as_posix()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            # `from trainables import registry` names the module trainables.registry
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if is_file(name) else str(node.module) for name in submodules]
        else:
            continue
        for name in dict.fromkeys(names):
            yield Import(file, node.lineno, name, top=id(node) not in nested)


def all_imports() -> list[Import]:
    files = [path for name in OURS for path in sorted((ROOT / name).rglob("*.py"))]
    assert len(files) > 50, "found too few files to check anything"
    return [entry for path in files for entry in imports_of(path)]


IMPORTS = all_imports()

MAY_USE = {
    # Data knows the vocabulary of trials and settings, and nothing of detectors, metrics or sweeps.
    "trainables/data/*": (
        "trainables.data",
        "trainables.errors",
        "trainables.paths",
        "trainables.settings",
        "trainables.trial",
    ),
    "trainables/*": ("trainables",),
    # The sweep uses the public names, the contracts and the metrics of trainables; no detector by name.
    "orchestrator/backends/*": (
        "orchestrator",
        "trainables.data",
        "trainables.errors",
        "trainables.evaluate",
        "trainables.protocol",
        "trainables.trial",
        "trainables.tune_trainable",
        "trainables.watchdog",
    ),
    # The engine ends with the report.
    "orchestrator/engine.py": ("orchestrator", "trainables.data", "analysis.report", "analysis.errors"),
    # TensorBoard shows the report's learning curves.
    "orchestrator/*tensorboard*.py": (
        "orchestrator",
        "trainables.metrics",
        "analysis.curves",
        "analysis.errors",
        "analysis.load",
    ),
    "orchestrator/*": (
        "orchestrator",
        "trainables.backbones",
        "trainables.data",
        "trainables.errors",
        "trainables.external",
        "trainables.memory",
        "trainables.memory_caps",
        "trainables.metrics",
        "trainables.moment_memory",
        "trainables.paths",
        "trainables.probe",
        "trainables.protocol",
        "trainables.registry",
        "trainables.settings",
        "trainables.trial",
        "trainables.winner",
        "trainables.winner_manifest",
    ),
    # Rows and errors of the orchestrator; metrics and trial types, because metrics are recomputed from score files.
    "analysis/*": ("analysis", "orchestrator.results", "orchestrator.errors", "trainables.metrics", "trainables.trial"),
}
"""File pattern -> what of ours it may import; the first pattern that fits counts."""

LIVES_IN = {
    "ray": ("trainables/tune_trainable.py", "orchestrator/backends/ray_tune.py", "orchestrator/cluster*.py"),
    "wandb": ("orchestrator/callbacks/wandb*.py",),
    "wandb_workspaces": ("orchestrator/callbacks/dashboard.py",),
    "tensorboardX": ("orchestrator/callbacks/event_files.py",),
    "matplotlib": ("analysis/plots/*", "analysis/figures.py", "trainables/data/inspection/figures.py"),
    "plotly": ("analysis/plots/*", "analysis/report.py"),
    "optuna": ("orchestrator/*", "analysis/importance.py"),
    "torch": ("trainables/*",),
    "momentfm": ("trainables/*",),
    "peft": ("trainables/*",),
    "transformers": ("trainables/*",),
}
"""Third-party package -> the only files that import it."""

TOP_LEVEL_TORCH = ("trainables/_*.py", "trainables/pretrain.py", "trainables/pretraining/*")
"""Files that may import torch, momentfm, peft and transformers at the top; the others inside functions."""


def rule_of(file: str) -> tuple[str, ...]:
    return next(allowed for pattern, allowed in MAY_USE.items() if fnmatch(file, pattern))


def is_within(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def test_our_modules_import_only_what_their_layer_may():
    ours = [entry for entry in IMPORTS if entry.root in OURS]
    assert len(ours) > 100, "found too few imports to check anything"
    assert [] == [str(entry) for entry in ours if not is_within(entry.module, rule_of(entry.file))]


def test_nobody_imports_the_command_line():
    assert [] == [str(entry) for entry in IMPORTS if entry.module == "orchestrator.sweep"]


@pytest.mark.parametrize("package", LIVES_IN)
def test_a_heavy_package_is_imported_only_where_it_belongs(package):
    homes = LIVES_IN[package]
    strays = [entry for entry in IMPORTS if entry.root == package and not any(fnmatch(entry.file, h) for h in homes)]
    assert [] == [str(entry) for entry in strays]


def test_detectors_import_torch_inside_functions():
    heavy = [entry for entry in IMPORTS if entry.root in {"torch", "momentfm", "peft", "transformers"} and entry.top]
    assert [] == [str(entry) for entry in heavy if not any(fnmatch(entry.file, home) for home in TOP_LEVEL_TORCH)]


def test_the_rules_would_notice_a_stray_import(tmp_path):
    assert not is_within("orchestrator.plan", rule_of("trainables/evaluate.py"))
    assert not is_within("trainables.evaluate", rule_of("trainables/data/splits.py"))
    assert not is_within("trainables.moment_lora", rule_of("orchestrator/search.py"))
    assert not is_within("orchestrator.storage", rule_of("analysis/load.py"))
    assert is_within("trainables.metrics", rule_of("analysis/verdict.py"))


LIGHT = (
    "orchestrator",
    "trainables",
    "analysis",
    "trainables.data",
    "trainables.data.__main__",
    "trainables.evaluate",
    "trainables.registry",
    "orchestrator.plan",
    "orchestrator.callbacks.progress",
    "orchestrator.callbacks.wandb",
    "orchestrator.sweep",
    "orchestrator.tensorboard",
    "analysis.load",
)


def loaded_by(modules: tuple[str, ...], heavy: tuple[str, ...]) -> list[str]:
    """Import one after the other in a fresh interpreter; say which one brought a heavy package in."""
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        f"    for package in set({heavy!r}) & set(sys.modules): print(f'{{name}} loads {{package}}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.splitlines()


def test_importing_our_packages_loads_nothing_heavy():
    assert [] == loaded_by(LIGHT, HEAVY)


def test_the_report_is_made_without_torch_and_ray():
    assert [] == loaded_by(("analysis.report",), ("torch", "ray"))


def test_every_package_and_its_data_files_are_in_pyproject():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    packages = {path.parent.relative_to(ROOT) for name in OURS for path in (ROOT / name).rglob("__init__.py")}
    assert {package.as_posix().replace("/", ".") for package in packages} == set(listed["packages"])
    files = {path for name in OURS for path in (ROOT / name).rglob("*") if path.is_file()}
    data = {path for path in files if path.suffix not in {".py", ".pyc"}}
    shipped = {
        path
        for name, patterns in listed["package-data"].items()
        for pattern in patterns
        for path in (ROOT / name).glob(pattern)
    }
    assert [] == sorted(str(path.relative_to(ROOT)) for path in data - shipped)
