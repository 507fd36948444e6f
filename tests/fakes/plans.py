"""Factories of small plans and of the rows that their trials would write, for tests of what watches a sweep."""

from collections.abc import Mapping

from orchestrator.plan import Cell, SweepPlan, TrialPlan
from orchestrator.results import COLUMNS, SCHEMA_VERSION
from orchestrator.space import Dimension
from orchestrator.spec import SweepSpec
from trainables.settings import FewShotSettings, SeedRange

METRIC = "average_precision"


def make_cell(detector: str = "moment_lora", shots: int = 20, *, candidates: int = 0, draws: int = 2) -> Cell:
    """A cell; searched over `rank` if there are candidates."""
    return Cell(
        detector=detector,
        class_path=None,
        labels="all",
        gpu=False,
        source="simulated",
        fold=0,
        shots=shots,
        settings={},
        space={"rank": Dimension("choice", (2, 4, 8))} if candidates else {},
        candidates=candidates,
        selection_draws=(0, 1, 2) if candidates else (),
        report_draws=tuple(range(100, 100 + draws)),
        context="c0ffee",
    )


def make_sweep_plan(*cells: Cell) -> SweepPlan:
    """A plan of these cells (one cell of two report draws by default)."""
    seeds = FewShotSettings(selection_seeds=SeedRange(first=0, count=3), report_seeds=SeedRange(first=100, count=2))
    spec = SweepSpec(name="tiny", few_shot=seeds, detectors={})
    return SweepPlan(spec=spec, cells=cells or (make_cell(),), settings={}, data_digests={})


def select_trial(cell: Cell, candidate: int = 0) -> TrialPlan:
    """A configuration on its block of selection draws."""
    return TrialPlan(cell, "select", candidate, {"rank": 2 ** (candidate + 1)}, cell.selection_draws)


def report_trial(cell: Cell, draw: int = 100) -> TrialPlan:
    """One report draw."""
    return TrialPlan(cell, "report", None, {}, (draw,))


def make_result(
    trial: TrialPlan,
    draw: int,
    value: float | None = 0.5,
    status: str = "ok",
    reason: str = "",
    seconds: float = 1.0,
) -> Mapping[str, object]:
    """The row of one draw."""
    cell = trial.cell
    row: dict[str, object] = dict.fromkeys(COLUMNS)
    row |= {
        "sweep": "tiny", "phase": trial.phase, "detector": cell.detector, "source": cell.source, "fold": cell.fold,
        "shots": cell.shots, "unit": "windows", "draw": draw, "trial": trial.id, "status": status, "reason": reason,
        "attempts": 1, "seed": 1, "simulated": True, "fingerprint": "f00d", "schema_version": SCHEMA_VERSION,
        "fit_seconds": seconds, "threshold_seconds": 0.0, "score_seconds": 0.0, METRIC: value,
        **{f"param.{name}": setting for name, setting in trial.parameters.items()},
    }  # fmt: skip
    return row
