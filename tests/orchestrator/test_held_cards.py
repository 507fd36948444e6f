"""Cards of this machine that another program holds: who is refused, who runs without them, and who sees which card."""

import os
import time
from types import SimpleNamespace

import pytest
import ray
from typer.testing import CliRunner

from orchestrator import new
from orchestrator.backends.inline import InlineBackend
from orchestrator.cluster_nodes import ClusterNodes
from orchestrator.interrupts import Interrupts
from orchestrator.resources import Gpu, Slots
from orchestrator.sweep import app
from tests.fakes.sweeps import FAKES, plan_of, spec_text

ON_CPU = f'\n  base: {{class: "{FAKES}:InstantNormal"}}\n'
ON_CARD = f'\n  card: {{class: "{FAKES}:OnCard"}}\n'
HELD = "0, GPU-held, A100, 40960, 3000"
REFUSAL = "no GPU here holds a trial of 8 GB: A100 GPU-held has 2.9 of 40.0 GB free"


@pytest.fixture
def driver_says(tmp_path, monkeypatch):
    """Return a function that sets what `nvidia-smi` lists on this machine."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    (tmp_path / "bin").mkdir()

    def _says(*lines: str) -> None:
        program = tmp_path / "bin" / "nvidia-smi"
        text = "\n".join(lines)
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n", encoding="utf-8")
        program.chmod(0o755)

    return _says


@pytest.fixture
def sweep(tmp_path):
    """Return a function that writes a sweep file and runs the command line on it, or on what is given instead."""

    def _sweep(detectors: str, *arguments: str):
        (tmp_path / "sweep.yaml").write_text(spec_text(detectors), encoding="utf-8")
        given = arguments if "--resume" in arguments else (str(tmp_path / "sweep.yaml"), *arguments)
        return CliRunner().invoke(app, list(given))

    return _sweep


def test_a_sweep_of_cpu_detectors_runs_beside_a_held_card_and_says_so(driver_says, sweep, tmp_path):
    driver_says(HELD)
    done = sweep(ON_CPU, "--backend", "inline", "--output", str(tmp_path / "run"))
    assert 0 == done.exit_code, done.output
    assert f"GPU without trials: resources.gpu_memory_gb: {REFUSAL}" in done.stdout


def test_a_sweep_that_wants_a_gpu_here_is_refused_and_its_dry_run_is_not(driver_says, sweep, tmp_path):
    driver_says(HELD)
    done = sweep(ON_CARD, "--backend", "inline", "--output", str(tmp_path / "run"))
    assert (2, True) == (done.exit_code, REFUSAL in done.stderr)
    assert not (tmp_path / "run").exists()
    plan = sweep(ON_CARD, "--dry-run")
    assert (0, True) == (plan.exit_code, REFUSAL in plan.stdout)


def test_a_sweep_on_a_cluster_does_not_ask_for_cards_here(driver_says, sweep, tmp_path):
    driver_says(HELD)
    done = sweep(ON_CARD, "--address", "127.0.0.1:1", "--output", str(tmp_path / "run"))
    assert (2, True) == (done.exit_code, "nobody answers there" in done.stderr)


def test_a_complete_run_gets_its_report_again_and_missing_rows_are_refused(driver_says, sweep, tmp_path):
    driver_says()
    run = tmp_path / "run"
    assert 0 == sweep(ON_CARD, "--backend", "inline", "--output", str(run)).exit_code
    driver_says(HELD)
    (run / "report" / "index.html").unlink()
    again = sweep(ON_CARD, "--backend", "inline", "--resume", str(run))
    assert 0 == again.exit_code, again.output
    assert (run / "report" / "index.html").exists()
    rows = (run / "rows.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (run / "rows.jsonl").write_text("".join(rows[:-1]), encoding="utf-8")
    less = sweep(ON_CARD, "--backend", "inline", "--resume", str(run))
    assert (2, True) == (less.exit_code, REFUSAL in less.stderr)


def test_a_sweep_file_is_fitted_to_a_table_beside_a_held_card(driver_says, tmp_path):
    driver_says(HELD)
    arguments = ["--data", "simulated", "--output", str(tmp_path / "new.yaml")]
    done = CliRunner().invoke(new.app, arguments)
    assert 0 == done.exit_code, done.output


def test_inline_trials_see_only_the_cards_that_hold_them(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    seen = []
    driver = SimpleNamespace(next=lambda: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]))
    workplace = SimpleNamespace(slots=Slots(2, 1, 1, 1.0, 1, cards=1, visible=("GPU-free",)))
    InlineBackend().run(driver, workplace, Interrupts())
    assert ["GPU-free"] == seen
    assert "0,1" == os.environ["CUDA_VISIBLE_DEVICES"]


@pytest.fixture
def node(driver_says, monkeypatch):
    """A Ray that sees cards 2 and 3 of four; the first two have other sizes."""
    sizes = (8192, 8192, 81920, 81920)
    driver_says(*(f"{number}, GPU-{number}, A100, {size}, {size}" for number, size in enumerate(sizes)))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    ray.init(address="local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def slots_of(nodes: ClusterNodes) -> Slots:
    """Return the slots of all nodes once each has said what its cards hold."""
    deadline = time.monotonic() + 40
    while not nodes._cards and time.monotonic() < deadline:
        nodes._looked = -1e9
        nodes.refresh()
        time.sleep(0.1)
    return nodes.total


@pytest.mark.ray
def test_a_node_is_planned_from_the_cards_that_its_ray_sees(node, tmp_path, monkeypatch):
    plan, _ = plan_of(tmp_path, ON_CARD, ["resources.trials_per_gpu=auto"])
    slots = slots_of(ClusterNodes(plan))
    assert (9, 2) == (slots.trials_per_gpu, slots.cards)
    other = (Gpu("A100", 80.0, 79.0),) * 3
    monkeypatch.setattr("orchestrator.cluster_nodes.ask_cards", lambda _node: ray.put(other))
    slots = slots_of(ClusterNodes(plan))
    assert (1, 2) == (slots.trials_per_gpu, slots.cards)  # three are listed where Ray has two: which, is not known


def test_a_node_that_is_gone_is_no_reason_any_more(tmp_path, monkeypatch):
    plan, _ = plan_of(tmp_path, ON_CARD)
    alive = [
        {"NodeID": name, "NodeManagerAddress": name, "Alive": True, "Resources": {"CPU": 2, "GPU": 1}}
        for name in ("first", "second")
    ]
    monkeypatch.setattr("ray.nodes", lambda: list(alive))
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2 * len(alive), "GPU": len(alive)})
    nodes = ClusterNodes(plan)
    nodes._cards = dict.fromkeys(("first", "second"), (Gpu("busy", 40.0, 2.0),))
    nodes.refresh()
    assert "; first: " in nodes.problem
    assert "; second: " in nodes.problem
    del alive[0]
    nodes._looked = -1e9
    nodes.refresh()
    assert "first: " not in nodes.problem
    assert "; second: " in nodes.problem
