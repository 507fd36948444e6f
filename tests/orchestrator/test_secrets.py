"""The W&B key is nowhere in what a sweep writes: not in rows, manifest, logs, tracker files or Ray's own files."""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.fakes.sweeps import FAKES, spec_text
from tests.fakes.wandb_server import serving

pytest.importorskip("wandb")

ROOT = Path(__file__).parents[2]

KEY = "5ec12e7f" * 5

LEAKING = f"""
  good: {{class: "{FAKES}:Instant"}}
  leaking: {{class: "{FAKES}:Leaking"}}
"""


@pytest.fixture
def place():
    """A short path: Ray's sockets lie below it."""
    folder = Path(tempfile.mkdtemp(prefix="k", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def files_with_the_key(folder: Path) -> list[str]:
    hidden = [KEY.encode(), base64.b64encode(f"api:{KEY}".encode())]
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 10, "found too few files to check anything"
    return [str(path.relative_to(folder)) for path in files if any(text in path.read_bytes() for text in hidden)]


def sweep(place: Path, backend: str, address: str) -> subprocess.CompletedProcess[str]:
    text = spec_text(
        LEAKING, tracking="{wandb: {mode: auto}}", few_shot="{shots: [8], report_seeds: {first: 100, count: 2}}"
    )
    (place / "sweep.yaml").write_text(text, encoding="utf-8")
    environment = {
        **os.environ, "WANDB_API_KEY": KEY, "WANDB_BASE_URL": address, "HOME": str(place), "TMPDIR": str(place),
        "RAY_TMPDIR": str(place), "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    environment.pop("WANDB_MODE", None)
    command = [sys.executable, "-m", "orchestrator.sweep", "sweep.yaml", "--output", "run", "--verbose"]
    return subprocess.run(
        [*command, "--backend", backend],
        cwd=place, env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize("refused", [False, True], ids=["accepted", "refused"])
@pytest.mark.parametrize("backend", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_planted_key_is_in_nothing_that_a_sweep_writes(place, backend, refused):
    with serving() as server:
        server.refuse_key = refused
        done = sweep(place, backend, server.address)
    assert 1 == done.returncode, done.stderr  # the leaking detector failed, the sweep is complete
    assert server.operations() or "runs are not in W&B after" in done.stderr  # wandb may still be loading at the end
    assert "cannot connect with" in (place / "run" / "rows.jsonl").read_text(encoding="utf-8")
    assert KEY not in done.stdout + done.stderr
    assert [] == files_with_the_key(place)
