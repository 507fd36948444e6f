"""What dashboards show of a trial, made from its rows alone: names, settings, numbers of a draw, summary."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from orchestrator.callbacks.base import Row
from orchestrator.results import COLUMNS
from orchestrator.results import Cell as Value
from orchestrator.rows import PARAMETER, cell_key, draw_of

LOGGED = (
    "threshold", "fit_seconds", "threshold_seconds", "score_seconds", "peak_host_mb", "peak_device_mb",
    "support_events", "prevalence",
)  # fmt: skip
"""Fixed columns that are logged with each draw, beside the metrics."""

IDENTIFYING = (
    "detector", "source", "fold", "shots", "unit", "phase", "trial", "candidate", "simulated", "fingerprint",
)  # fmt: skip
"""Fixed columns that say which trial it is, beside its settings."""


def trials_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows by trial, each in the order of draws."""
    trials: dict[str, list[Row]] = {}
    for row in rows:
        trials.setdefault(str(row["trial"]), []).append(row)
    return {trial: sorted(found, key=draw_of) for trial, found in trials.items()}


def configuration(row: Row) -> dict[str, object]:
    """Return what identifies the trial of a row, its settings under `param`: no telemetry, no secrets."""
    settings = {name.removeprefix(PARAMETER): value for name, value in row.items() if name.startswith(PARAMETER)}
    return {**{name: row.get(name) for name in IDENTIFYING}, PARAMETER.rstrip("."): settings}


def tags_of(row: Row) -> list[str]:
    """Return detector, source and shots as tags."""
    return [str(row["detector"]), str(row["source"]), f"{row['shots']} shots"]


def cell_of(row: Row) -> str:
    """Return the name of a trial's cell, as `plan.Cell` has it."""
    detector, source, fold, shots = cell_key(row)
    return f"{detector}-{source}-f{fold}-k{shots}"


def name_of(row: Row) -> str:
    """Return the name of a trial within its cell: its phase, and its candidate or draw."""
    what = f"candidate {row['candidate']}" if row["phase"] == "select" else f"draw {row['draw']}"
    return f"{row['phase']} {what}"


def step_of(row: Row) -> dict[str, Value]:
    """Return the point that a draw adds to the history; report draws alone have `shots`, the x of learning curves."""
    place = {name: row[name] for name in ("draw", *(["shots"] if row["phase"] == "report" else []))}
    return {**place, **measured(row)}


def measured(row: Row) -> dict[str, float]:
    """Return the numbers of one draw: every metric that is defined on it, and what it cost."""
    names = [name for name in row if name in LOGGED or (name not in COLUMNS and not name.startswith(PARAMETER))]
    return {
        name: float(value)
        for name in names
        if isinstance(value := row[name], int | float) and not isinstance(value, bool)
    }


def summarised(rows: Sequence[Row]) -> Mapping[str, Value]:
    """Return the mean over draws of every number, and how many draws ended how."""
    good = [measured(row) for row in rows if row["status"] == "ok"]
    names = dict.fromkeys(name for values in good for name in values)
    means: dict[str, Value] = {name: fmean(values[name] for values in good if name in values) for name in names}
    failed = [row for row in rows if row["status"] != "ok"]
    means |= {
        "draws_ok": len(good),
        "draws_not_ok": len(failed),
        "status": "ok" if not failed else failed[-1]["status"],
    }
    if failed:
        means["reason"] = failed[-1].get("reason")
    return means
