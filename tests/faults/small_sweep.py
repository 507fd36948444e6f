"""The sweep that faults are thrown at: its file, its rows when nothing happens, and what must hold after a resume."""

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from orchestrator.plan import TrialPlan
from orchestrator.results import read_records, read_scores, score_file
from tests.fakes.sweep_process import finished, start
from tests.fakes.sweeps import comparable, plan_of, rows_of, run_sweep
from trainables.evaluate import run_trial
from trainables.metrics import METRICS
from trainables.protocol import TrialResources
from trainables.winner_manifest import read_manifest

DETECTORS = "tests.fakes.savable_detectors"


def detectors(pace: float) -> str:
    """One searched detector and one that is not; each fit takes `pace` seconds."""
    return f"""
  paced: {{class: "{DETECTORS}:Paced", pace: {pace}, space: {{gain: {{uniform: [0.1, 2.0]}}}}}}
  plain: {{class: "{DETECTORS}:PacedNormal", pace: {pace}}}
"""


@dataclass
class SmallSweep:
    """A sweep file in a folder of its own."""

    folder: Path
    pace: float

    def __post_init__(self) -> None:
        self.plan, self.series = plan_of(self.folder, detectors(self.pace), ["search.candidates=4"])
        self.file = self.folder / "resolved.yaml"
        self.file.write_text(self.plan.spec.to_yaml(), encoding="utf-8")

    @cached_property
    def whole(self) -> Path:
        """The run folder of this sweep when nothing happens, in one process."""
        code, _ = run_sweep(self.plan, self.series, self.folder / "whole", backend="inline")
        assert code == 0
        return self.folder / "whole"

    def copy_of_whole(self, run: Path) -> Path:
        """A copy of the uninterrupted run that the test may spoil."""
        shutil.copytree(self.whole, run)
        return run

    def resume(self, run: Path, *more: str, backend: str = "inline") -> str:
        """Finish a run folder; what it said on standard error."""
        code, out, err = finished(start("--resume", run, "--backend", backend, "--quiet", *more))
        assert code == 0, out + err
        assert "Traceback" not in err
        return err

    def assert_as_if_nothing_happened(self, run: Path) -> None:
        """Rows, scores and winners are those of the uninterrupted run; no row twice, none missing."""
        assert comparable(rows_of(self.whole)) == comparable(rows_of(run))
        self.assert_complete(run)
        for row in read_records(self.whole):
            one, other = (read_scores(place, str(row["trial"]), int(row["draw"])) for place in (self.whole, run))
            assert one.score.tobytes() == other.score.tobytes()
        assert _winners(self.whole) == _winners(run)

    def assert_complete(self, run: Path) -> None:
        """Every planned draw has one line, every draw its scores, every cell its winner; no part is left."""
        lines = [json.loads(line) for line in (run / "rows.jsonl").read_text().splitlines()]
        seen = Counter((row["trial"], row["draw"]) for row in lines)
        assert {1} == set(seen.values())
        assert self.plan.rows == len(lines)
        assert {"ok"} == {row["status"] for row in lines}
        expected = {score_file(run, row["trial"], row["draw"]) for row in lines}
        assert expected <= set((run / "scores").iterdir())  # a kill between scores and row may leave one without a row
        assert {cell.name for cell in self.plan.cells} == set(_winners(run))
        assert [] == [path for path in run.rglob("*.part") if path.parent == run]
        assert (run / "report" / "index.html").is_file()
        assert self.plan.rows == len(pd.read_parquet(run / "results.parquet"))

    def assert_rows_stand_alone(self, run: Path) -> None:
        """Each row says what its draw says when it runs again, alone and in this process."""
        cells = {(c.detector, c.source, c.fold, c.shots): c for c in self.plan.cells}
        for row in read_records(run):
            cell = cells[row["detector"], row["source"], row["fold"], row["shots"]]
            parameters = {name: row[f"param.{name}"] for name in cell.space}
            draws = cell.selection_draws if row["phase"] == "select" else (int(row["draw"]),)
            plan = TrialPlan(cell, row["phase"], row["candidate"], parameters, draws)
            assert plan.id == row["trial"]
            settings, series = self.plan.settings[cell.source], self.series[cell.source]
            outcome = run_trial(plan.request(int(row["draw"])), settings, series, TrialResources())
            assert (outcome.status, outcome.threshold) == (row["status"], row["threshold"])
            assert dict(outcome.metrics) == {name: row[name] for name in METRICS if name in outcome.metrics}


def _winners(run: Path) -> dict[str, tuple[str, int, dict[str, str]]]:
    """Of each cell: trial and draw of its winner, and the hashes of its files."""
    found = {}
    for folder in (run / "winners").iterdir():
        manifest = read_manifest(folder)
        assert manifest.origin is not None
        found[folder.name] = (manifest.origin.trial, manifest.draw, dict(manifest.files))
    return found
