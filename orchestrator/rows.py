"""make_row: what a trial is and what came of it -> one flat row."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

from orchestrator.assignments import Observation, Recorded
from orchestrator.errors import RunFolderError
from orchestrator.plan import Cell, TrialPlan
from orchestrator.problems import without_keys
from orchestrator.results import COLUMNS, SCHEMA_VERSION
from orchestrator.results import Cell as Value
from trainables.metrics import METRICS
from trainables.protocol import Scalar
from trainables.trial import Phase, Status, TrialOutcome

PARAMETER = "param."
"""Prefix of the columns that hold a detector's settings."""


@dataclass(frozen=True, slots=True)
class SweepFacts:
    """What all rows of a sweep have in common; `simulated` by source name, SHA-256 of `weights` by backbone name."""

    sweep: str
    unit: str
    select_on: str
    seeds: str
    simulated: Mapping[str, bool]
    fingerprint: str
    weights: Mapping[str, str] = field(default_factory=dict)


def make_row(
    plan: TrialPlan, draw: int, outcome: TrialOutcome, facts: SweepFacts, attempts: int = 1
) -> dict[str, Value]:
    """Return the row of a draw: columns of `COLUMNS`, then metrics, then `param.<name>`.

    A number that JSON cannot hold (NaN, infinite) turns an ok outcome into a failed one: it is never written.
    """
    bad = _first_non_finite(outcome)
    if bad is not None:
        outcome = TrialOutcome(status="failed", reason=f"{bad} is not a finite number")
    cell, request = plan.cell, plan.request(draw)
    values: dict[str, Value] = dict.fromkeys(COLUMNS)
    values |= {
        "sweep": facts.sweep, "phase": plan.phase, "detector": cell.detector, "source": cell.source,
        "fold": cell.fold, "shots": cell.shots, "unit": facts.unit, "draw": draw, "trial": plan.id,
        "candidate": plan.candidate, "attempts": attempts, "seed": request.seed,
        "searched": request.searched, "select_on": facts.select_on, "seeds": facts.seeds,
        "simulated": facts.simulated[cell.source], "fingerprint": facts.fingerprint,
        "schema_version": SCHEMA_VERSION,
    }  # fmt: skip
    values |= {name: getattr(outcome, name) for name in _OUTCOME_COLUMNS}
    values["reason"] = without_keys(outcome.reason)  # an exception may quote the environment
    values |= {} if outcome.ledger is None else asdict(outcome.ledger)
    values |= dict.fromkeys(METRICS) | dict(outcome.metrics)
    return values | {f"{PARAMETER}{name}": value for name, value in request.settings.items()}


_OUTCOME_COLUMNS = (
    "status", "reason", "threshold", "threshold_rule", "fit_seconds", "threshold_seconds", "score_seconds",
    "peak_host_mb", "peak_device_mb", "micro_batch", "checkpointing", "channels_at_once", "memory_halvings",
    "trainable_parameters", "effective_scale", "training_steps", "cache_saved_seconds", "device",
    "dtype", "kept_channels",
)  # fmt: skip


def _first_non_finite(outcome: TrialOutcome) -> str | None:
    """Return the name of a number that is NaN or infinite, or None."""
    numbers: dict[str, object] = {name: getattr(outcome, name) for name in _OUTCOME_COLUMNS} | dict(outcome.metrics)
    for name, value in numbers.items():
        if isinstance(value, float) and not math.isfinite(value):
            return name
    return None


def observe(row: Mapping[str, Value], metric: str) -> Observation:
    """Return what the search must know of a draw, from its row; the objective is a metric of the row."""
    value = row.get(metric)
    number = float(value) if isinstance(value, int | float) else None
    return Observation(cast("Status", row["status"]), number, str(row.get("reason") or ""))


def read_back(row: Mapping[str, Value], cell: Cell, metric: str, *, again: bool = False) -> Recorded:
    """Return what the search must know of a row that exists; `again`: its draw is to run again."""
    candidate = row.get("candidate")
    parameters: dict[str, Scalar] = {name: row[PARAMETER + name] for name in cell.space if PARAMETER + name in row}
    return Recorded(
        trial=str(row["trial"]),
        phase="report" if row["phase"] == "report" else "select",
        draw=draw_of(row),
        candidate=candidate if isinstance(candidate, int) else None,
        parameters=parameters,
        observation=None if again else observe(row, metric),
    )


def refuse_edited(row: Mapping[str, Value], cell: Cell, run: Path) -> None:
    """Refuse a row of this plan that no sweep can have written.

    Raises
    ------
    RunFolderError
        Its draw is none of its cell, or its settings are not those that its trial is named after.
    """
    candidate, draw = row.get("candidate"), draw_of(row)
    parameters = {name: row.get(PARAMETER + name) for name in cell.space}
    phase: Phase = "report" if row["phase"] == "report" else "select"
    draws = cell.report_draws if phase == "report" else cell.selection_draws
    number = candidate if isinstance(candidate, int) else None
    if draw not in draws or TrialPlan(cell, phase, number, parameters, (draw,)).id != row["trial"]:
        raise RunFolderError(
            f"{run / 'rows.jsonl'}: the row of trial {row['trial']}, draw {draw} was edited: trial, draw and settings "
            "do not belong together; put it back as it was, or delete its line: --resume then runs its draw again"
        )


def draw_of(row: Mapping[str, Value]) -> int:
    """Return the draw number of a row."""
    return int(row["draw"] or 0)


def cell_key(row: Mapping[str, Value]) -> tuple[Value, ...]:
    """Return what names the cell of a row."""
    return (row["detector"], row["source"], row["fold"], row["shots"])
