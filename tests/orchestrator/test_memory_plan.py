"""What the plan says of memory and weights, and what it refuses before anything starts."""

from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from orchestrator.errors import PlanError
from orchestrator.memory_plan import memory_lines, plan_memory, weights_lines
from orchestrator.plan_view import plan_lines
from orchestrator.resources import Gpu, Machine, plan_slots
from orchestrator.spec import load_spec
from orchestrator.sweep import app
from tests.fakes import published
from tests.fakes.sweeps import plan_of
from trainables import backbones
from trainables.data import prepare
from trainables.errors import WeightsError

FILE = Path(__file__).resolve().parents[2] / "search_spaces" / "trainticket_8gb.yaml"
LARGE = "AutonLab/MOMENT-1-large"
LORA = f"""
  moment_lora: {{backbone: {LARGE}, space: {{rank: {{choice: [4, 32]}}, precision: {{choice: [fp32, bf16]}}}}}}
  moment_zero_shot: {{backbone: {LARGE}}}
  pca: {{}}
"""


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty hub cache, and a hub that refuses."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)


def machine(*cards_gb: float) -> Machine:
    return Machine(4, tuple(Gpu(f"{size:g} GB card", size * 0.99, size * 0.98) for size in cards_gb))


@pytest.mark.parametrize("card", [8, 12, 16, 24, 40, 80])
def test_every_moment_cell_says_its_windows_at_once_checkpointing_and_gb(tmp_path: Path, card: int):
    plan, series = plan_of(tmp_path, LORA)
    lines = memory_lines(plan, series, plan_slots(machine(card), plan.spec.resources))
    assert 2 == len(lines)
    assert lines[0].startswith(f"memory on a GPU of 8 GB: moment_zero_shot (0 shots, {LARGE}) scores 4 windows at once")
    assert f"moment_lora (8 shots, {LARGE}) trains 8 windows at once, no checkpointing, about" in lines[1]


def test_the_largest_configuration_of_a_search_is_what_counts(tmp_path: Path):
    plan, series = plan_of(tmp_path, LORA)
    fixed, _ = plan_of(tmp_path, f"\n  moment_lora: {{backbone: {LARGE}, rank: 32, precision: fp32}}\n")
    searched = next(one for one in plan_memory(plan, series, on_gpu=True) if one.trains)
    assert searched.passes == plan_memory(fixed, series, on_gpu=True)[0].passes


def test_without_a_gpu_the_plan_says_so_and_what_one_would_hold(tmp_path: Path):
    plan, series = plan_of(tmp_path, LORA)
    text = "\n".join(plan_lines(plan, series, machine(), plan_slots(machine(), plan.spec.resources)))
    assert "no GPU, moment_lora, moment_zero_shot run on the CPU" in text
    assert "memory on the CPU, 4 GB a trial: moment_lora" in text
    assert "memory on a GPU of 8 GB: moment_lora" in text


def test_a_cell_that_cannot_fit_is_refused_with_the_gb_it_would_need(tmp_path: Path):
    plan, series = plan_of(tmp_path, LORA, ["resources.host_memory_gb=1"])
    words = rf"moment_lora, 8 shots of simulated, {LARGE}: .* needs \d\.\d GB .*host_memory_gb is 1"
    with pytest.raises(PlanError, match=words):
        memory_lines(plan, series, plan_slots(machine(), plan.spec.resources))


def test_a_detector_without_a_backbone_has_no_line(tmp_path: Path):
    plan, series = plan_of(tmp_path, "\n  pca: {}\n  random_forest: {}\n")
    assert [] == memory_lines(plan, series, plan_slots(machine(8), plan.spec.resources))


def test_weights_that_are_not_here_are_named_with_the_size_of_the_download(tmp_path: Path):
    plan, _ = plan_of(tmp_path, LORA)
    assert [f"weights: {LARGE} is not in the hub cache; a start downloads 1.27 GB first"] == weights_lines(plan)


def test_a_local_folder_is_checked_and_a_broken_one_refused_by_the_plan(tmp_path: Path):
    folder = published.write_folder(tmp_path / "mine", published.configuration("small", num_layers=1))
    plan, _ = plan_of(tmp_path, f"\n  moment_zero_shot: {{backbone: {folder}}}\n")
    assert [f"weights: {folder} found and complete"] == weights_lines(plan)
    (folder / backbones.WEIGHTS_FILE).write_bytes(b"half")
    with pytest.raises(WeightsError, match="cut short"):
        weights_lines(plan)


def test_the_8_gb_job_can_be_looked_at_without_hub_and_card():
    result = CliRunner().invoke(app, [str(FILE), "--dry-run"])
    assert 0 == result.exit_code, result.stderr
    assert f"weights: {LARGE} is not in the hub cache" in result.stdout
    assert "memory on a GPU of 8 GB: moment_lora" in result.stdout


def test_the_8_gb_job_does_not_start_without_its_weights(tmp_path: Path):
    out = tmp_path / "run"
    small = ["--set", "data.rows=8000", "--set", "few_shot.shots=[0, 100, 500]"]
    result = CliRunner().invoke(app, [str(FILE), *small, "--quiet", "--backend", "inline", "--output", str(out)])
    assert 2 == result.exit_code
    assert 1 == len(result.stderr.splitlines()), result.stderr
    assert f"{LARGE} is not in the hub cache and cannot be fetched" in result.stderr
    assert not out.exists()


@pytest.mark.slow
def test_the_8_gb_job_draws_10_000_shots_from_less_than_half_of_its_pool():
    from trainables.data import load_source

    spec = load_spec(FILE)
    source = spec.sources[0]
    parts = prepare(load_source(source), spec.evaluation(source), 0)
    assert 10_000 in spec.few_shot.shots
    assert 10_000 < len(parts.pool) / 2
    faulty = np.count_nonzero(parts.pool.y)
    assert 0.1 < faulty / len(parts.pool) < 0.5


@pytest.mark.parametrize("channels", ["all", "4"])
def test_precision_that_is_decided_later_counts_as_whichever_takes_more(tmp_path: Path, channels: str):
    def lora(precision: str):
        text = f"\n  moment_lora: {{backbone: {LARGE}, rank: 32, channels: {channels}, precision: {precision}}}\n"
        return plan_memory(*plan_of(tmp_path, text), on_gpu=True)[0].passes

    assert lora("auto").gb == max(lora("fp32").gb, lora("bf16").gb)


@pytest.mark.parametrize(
    ("settings", "overrides", "said"),
    [
        ("rank: 97", [], "rank 97 is larger than the adapted matrices, 96 at most"),
        ("adapted_layers: 5", [], "adapted_layers 5, but the backbone has 4"),
        ("space: {rank: {int_uniform: [2, 128]}}", [], "rank 128 is larger"),
        ("rank: 2", ["data.window=8"], "q cannot train; use a window of 16 steps or more, or targets v or v,o"),
    ],
)
def test_settings_that_do_not_suit_backbone_or_window_are_refused_before_anything_starts(
    tmp_path, settings, overrides, said
):
    plan, series = plan_of(tmp_path, f"\n  moment_lora: {{{settings}}}\n", overrides)
    with pytest.raises(PlanError, match=said):
        plan_memory(plan, series, on_gpu=False)
