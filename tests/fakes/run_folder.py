"""A factory of small run folders: rows, score files, manifest and spec as a sweep writes them, in a second.

Scores are drawn from a planted skill per detector and number of shots, so a test knows who is better.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from orchestrator.results import COLUMNS, SCHEMA_VERSION, row_line, write_parquet, write_scores
from trainables.metrics import METRICS, compute_metrics
from trainables.trial import WindowScores

STEP_S = 60.0
STRIDE = 4

SKILL: Mapping[str, Mapping[int, float]] = {
    "random": {0: 0.0},
    "always_alarm": {0: 0.0},
    "moving_variance": {0: 0.6},
    "pca": {0: 0.8},
    "isolation_forest": {0: 0.7, 20: 0.75, 100: 0.8},
    "random_forest": {20: 0.9, 100: 1.5},
    "moment_zero_shot": {0: 0.5},
    "moment_lora": {20: 0.8, 100: 2.2},
}
"""Distance between scores of faults and of normal windows, in standard deviations."""

DETERMINISTIC = ("random", "always_alarm", "moving_variance", "pca", "moment_zero_shot")
"""Detectors whose scores do not depend on the draw."""


@dataclass(frozen=True)
class FakeSweep:
    """What the run folder should look like.

    Attributes
    ----------
    skill
        Detector -> shots -> planted distance.
    draws, selection_draws, candidates
        Report draws from 100 on, selection draws from 0 on, configurations of searched detectors.
    searched
        Detectors with a `rank` and a `learning_rate` that were searched.
    bad
        (detector, shots, draw) -> (status, reason) of report draws that did not end well.
    absent
        (detector, shots, draw) of report draws that have no row: the sweep is still running.
    fault_types
        Names of the fault types, one event each a round.
    column
        Values that overwrite those of every row.
    """

    name: str = "fake"
    sources: tuple[str, ...] = ("simulated",)
    folds: int = 1
    skill: Mapping[str, Mapping[int, float]] = field(default_factory=lambda: SKILL)
    draws: int = 10
    selection_draws: int = 3
    candidates: int = 4
    searched: tuple[str, ...] = ("moment_lora",)
    bad: Mapping[tuple[str, int, int], tuple[str, str]] = field(default_factory=dict)
    absent: tuple[tuple[str, int, int], ...] = ()
    fault_types: tuple[str, ...] = ("cpu", "latency", "memory")
    rounds: int = 2
    seeds: str = "replicated"
    objective: str = "average_precision"
    split_by: str = "event"
    simulated: bool = True
    pool: int = 800
    spread: float = 0.15
    seed: int = 0
    column: Mapping[str, object] = field(default_factory=dict)

    @property
    def report_draws(self) -> list[int]:
        return list(range(100, 100 + self.draws))


def make_run(folder: Path, sweep: FakeSweep | None = None) -> Path:
    """Write a run folder and return it."""
    sweep = sweep or FakeSweep()
    folder.mkdir(parents=True, exist_ok=True)
    lines = [row_line(row) for row in _rows(folder, sweep)]
    (folder / "rows.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    (folder / "manifest.json").write_text(json.dumps(_manifest(sweep), indent=1), encoding="utf-8")
    (folder / "spec.yaml").write_text(yaml.safe_dump(_spec(sweep), sort_keys=False), encoding="utf-8")
    write_parquet(folder)
    return folder


def without_metrics(run: Path, phases: set[str]) -> None:
    """Delete every metric from the rows of some phases."""
    path = run / "rows.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    bare = [
        {name: value for name, value in row.items() if row["phase"] not in phases or name not in METRICS}
        for row in rows
    ]
    path.write_text("".join(row_line(row) + "\n" for row in bare), encoding="utf-8")


def fake_scores(
    skill: float, *, seed: int, fault_types: Sequence[str] = ("cpu", "latency", "memory"), rounds: int = 2
) -> WindowScores:
    """Window scores of `rounds` events of each fault type: ten windows each, twelve normal ones between them."""
    label, event, kinds = _layout(tuple(fault_types), rounds)
    noise = np.random.default_rng(seed).normal(size=len(label))
    return WindowScores(
        window_end=np.datetime64("2026-03-01T06:00:00", "ns")
        + (np.arange(len(label)) * STRIDE * int(STEP_S)).astype("timedelta64[s]"),
        segment=np.full(len(label), "load"),
        event=event,
        fault_type=kinds,
        label=label,
        score=(noise + skill * label * (1 + 0.3 * (event % 3))).astype(np.float32),
    )


@cache
def _layout(fault_types: tuple[str, ...], rounds: int) -> tuple[NDArray[np.int8], NDArray[np.int32], NDArray[np.str_]]:
    event = np.concatenate(
        [np.r_[np.full(12, -1), np.full(10, number)] for number in range(len(fault_types) * rounds)] + [np.full(12, -1)]
    ).astype(np.int32)
    names = np.array([*fault_types, "normal"], dtype=np.str_)
    kinds = names[np.where(event < 0, len(fault_types), event % len(fault_types))]
    return (event >= 0).astype(np.int8), event, kinds


def _rows(folder: Path, sweep: FakeSweep) -> list[dict[str, object]]:
    rows = []
    for source in sweep.sources:
        for fold in range(sweep.folds):
            for detector, by_shots in sweep.skill.items():
                for shots, skill in by_shots.items():
                    rows += _cell(folder, sweep, source, fold, detector, shots, skill)
    return rows


def _cell(
    folder: Path, sweep: FakeSweep, source: str, fold: int, detector: str, shots: int, skill: float
) -> list[dict[str, object]]:
    base = {"source": source, "fold": fold, "detector": detector, "shots": shots}
    searched = detector in sweep.searched and shots > 0
    rows = []
    grid: list[dict[str, object]] = [{}]
    if searched:
        grid = [
            {"param.rank": 2 ** (1 + n), "param.learning_rate": 10.0 ** (-4 + n / 2)} for n in range(sweep.candidates)
        ]
        for number, parameters in enumerate(grid):
            for draw in range(sweep.selection_draws):
                scores = _draw(sweep, base, draw, skill - 0.1 * number)
                row = _row(sweep, {**base, **parameters}, "select", draw, scores)
                write_scores(folder, str(row["trial"]), draw, scores)
                rows.append(row)
    for draw in sweep.report_draws:
        if (detector, shots, draw) in sweep.absent:
            continue
        identity = {**base, **grid[0]}
        bad = sweep.bad.get((detector, shots, draw))
        if bad is not None:
            rows.append(_row(sweep, identity, "report", draw, None, *bad))
            continue
        scores = _draw(sweep, base, draw, skill)
        row = _row(sweep, identity, "report", draw, scores)
        write_scores(folder, str(row["trial"]), draw, scores)
        rows.append(row)
    return rows


def _draw(sweep: FakeSweep, base: Mapping[str, object], draw: int, skill: float) -> WindowScores:
    fixed = base["detector"] in DETERMINISTIC
    stream = _number(sweep.seed, base, 0 if fixed else draw)
    effect = 0.0 if fixed else np.random.default_rng(stream).normal(scale=sweep.spread)
    scores = fake_scores(skill + effect, seed=stream, fault_types=sweep.fault_types, rounds=sweep.rounds)
    if base["detector"] == "always_alarm":
        scores.score[:] = 1.0
    return scores


def _row(
    sweep: FakeSweep,
    identity: Mapping[str, object],
    phase: str,
    draw: int,
    scores: WindowScores | None,
    status: str = "ok",
    reason: str = "",
) -> dict[str, object]:
    shots = int(str(identity["shots"]))
    searched = identity["detector"] in sweep.searched and shots > 0
    row: dict[str, object] = dict.fromkeys(COLUMNS)
    row |= {
        "sweep": sweep.name, "phase": phase, "shots_used": shots, "unit": "windows", "draw": draw,
        "trial": f"{_number(phase, identity, draw if phase == 'report' else 0):012x}"[:12],
        "status": status, "reason": reason, "attempts": 1, "seed": _number(identity, draw) % 2**31,
        "searched": searched, "select_on": "validation", "seeds": sweep.seeds,
        "fit_seconds": 0.02 * (1 + shots / 20), "threshold_seconds": 0.0, "score_seconds": 0.05,
        "peak_host_mb": 400.0 + shots,
        "simulated": sweep.simulated, "fingerprint": "f00dfeed", "schema_version": SCHEMA_VERSION,
        **identity,
    }  # fmt: skip
    if scores is not None:
        threshold = 0.5 if identity["detector"] == "always_alarm" else 2.0
        row |= {
            "threshold": threshold, "threshold_rule": "reference_quantile 0.995",
            "support_windows": shots, "support_normal_windows": shots // 2, "support_events": min(shots // 2, 6),
            "reference_windows": 200, "validation_labels": 150 if searched else 0,
            "validation_events": 4 if searched else 0, "test_windows": len(scores.label),
            "test_events": len(sweep.fault_types) * sweep.rounds, "prevalence": float(scores.label.mean()),
            "pool_share": shots / sweep.pool,
        }  # fmt: skip
        row |= compute_metrics(scores, threshold, STEP_S)
    return row | dict(sweep.column)


def _manifest(sweep: FakeSweep) -> dict[str, object]:
    cells = [
        {
            "detector": detector, "source": source, "fold": fold, "shots": shots,
            "report_draws": sweep.report_draws,
        }
        for source in sweep.sources
        for fold in range(sweep.folds)
        for detector, by_shots in sweep.skill.items()
        for shots in by_shots
    ]  # fmt: skip
    return {
        "fingerprint": "f00dfeed",
        "sweep": sweep.name,
        "cells": cells,
        "versions": {"numpy": "2.4.0", "pandas": "3.1.1"},
        "hardware": {"cpus": 2},
        "seeds": {"search": 7},
    }


def _spec(sweep: FakeSweep) -> dict[str, object]:
    return {
        "name": sweep.name,
        "objective": {"metric": sweep.objective},
        "split": {"by": sweep.split_by},
        "data": [{"name": name, "source": "simulated" if sweep.simulated else "table"} for name in sweep.sources],
        "few_shot": {"seeds": sweep.seeds},
        "detectors": {name: {} for name in sweep.skill},
    }


def _number(*parts: object) -> int:
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:12], 16)


MakeRun = Callable[..., Path]
