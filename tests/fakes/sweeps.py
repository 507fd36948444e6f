"""Factories of sweeps that are small but real: a sweep file, simulated telemetry, a run folder."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from orchestrator.engine import run
from orchestrator.options import RunOptions
from orchestrator.plan import SweepPlan, make_plan
from orchestrator.results import read_records
from orchestrator.spec import load_spec
from trainables.data import load_source
from trainables.data.series import LabelledSeries
from trainables.settings import DataSettings

FAKES = "tests.fakes.detectors"
KILLERS = "tests.fakes.worker_killers"

SEARCHED = f"""
  searched:
    class: {FAKES}:Instant
    space: {{gain: {{uniform: [0.1, 2.0]}}, choice: {{choice: [1, 2, 3]}}}}
"""

HEAD = """
name: small
data: {source: simulated, rows: 2000, max_score_windows: {reference: 40, validation: 40, test: 40}}
few_shot: {shots: [0, 8], selection_seeds: {first: 0, count: 2}, report_seeds: {first: 100, count: 2}}
search: {candidates: 4, seed: 7}
tracking: {wandb: {mode: disabled}}
detectors:"""

TIMELESS = ("seconds", "peak", "time")


def spec_text(detectors: str, **replace: str) -> str:
    """A sweep file; `replace` puts other text for whole lines by their key."""
    lines = [f"{line.split(':')[0]}: {replace[line.split(':')[0]]}" if line.split(":")[0] in replace else line
             for line in HEAD.strip().splitlines()]  # fmt: skip
    return "\n".join(lines) + detectors.rstrip() + "\n"


def plan_of(folder: Path, detectors: str, overrides: Sequence[str] = (), **replace: str):
    """The plan of a sweep file and its telemetry."""
    path = folder / "sweep.yaml"
    path.write_text(spec_text(detectors, **replace), encoding="utf-8")
    spec = load_spec(path, overrides=overrides)
    series = {source.source_name: _series(source.rows, source.seed) for source in spec.sources}
    return make_plan(spec, series), series


@cache
def _series(rows: int, seed: int) -> LabelledSeries:
    return load_source(DataSettings(rows=rows, seed=seed))


def run_sweep(
    plan: SweepPlan, series: Mapping[str, LabelledSeries], folder: Path, **options: object
) -> tuple[int, dict[tuple[str, int], dict[str, object]]]:
    """Run a sweep; the exit code and the rows by (trial, draw)."""
    code = run(plan, series, folder, RunOptions(quiet=True, **options), observers=[], with_report=False)
    return code, rows_of(folder)


def rows_of(folder: Path) -> dict[tuple[str, int], dict[str, object]]:
    return {(str(row["trial"]), int(row["draw"])): row for row in read_records(folder)}


def comparable(rows: Mapping[tuple[str, int], Mapping[str, object]]) -> dict[tuple[str, int], dict[str, object]]:
    """Rows without what may differ between two runs of one sweep file."""
    return {
        key: {
            name: value
            for name, value in row.items()
            if not any(part in name for part in TIMELESS) and name not in {"attempts", "sweep"}
        }
        for key, row in rows.items()
    }
