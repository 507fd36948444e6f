"""The Ray Tune Trainable: one trial is a block of draws, one report a draw; the actor serves trial after trial."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from ray import tune

from trainables.data.big_tables import StoredSeries, opened
from trainables.data.series import LabelledSeries
from trainables.protocol import TrialResources
from trainables.trial import EvaluationSettings, TrialOutcome, TrialRequest
from trainables.watchdog import run_within

DRAW, OUTCOME = "draw", "outcome"
"""Keys of a report."""


def kind_of(device: str, *, large: bool) -> str:
    """Name what a trial may use: its device, and whether it has the room of two."""
    return f"large {device}" if large else device


def pack(source: str, requests: list[TrialRequest], kind: str, asks: Mapping[str, float]) -> dict[str, str]:
    """Return the configuration of a Tune trial: flat, small, and plain text, so that Tune copies it cheaply.

    `kind` as `kind_of` names it; `asks` is what the trial asks Ray for.
    """
    plain = json.dumps([asdict(request) for request in requests])
    return {"source": source, "kind": kind, "requests": plain, "request": json.dumps(dict(asks))}


class DrawTrainable(tune.Trainable):  # type: ignore[misc]  # ray has no types
    """Runs the draws of its configuration in order; each `step` is one draw.

    Data and settings arrive once per actor, from the object store, or as files of this machine. Nothing is
    checkpointed.
    """

    def setup(
        self,
        config: dict[str, str],
        settings: Mapping[str, EvaluationSettings] | None = None,
        series: Mapping[str, LabelledSeries | StoredSeries] | None = None,
        resources: Mapping[str, TrialResources] | None = None,
        draw_timeout_s: float = 0.0,
    ) -> None:
        """Keep what all trials share; `resources` by kind."""
        self._settings = settings or {}
        self._series = opened(series or {})
        self._resources, self._draw_timeout_s = resources or {}, draw_timeout_s
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, str]) -> bool:
        """Take the next trial."""
        self._source, self._kind = new_config["source"], new_config["kind"]
        self._requests = [TrialRequest(**request) for request in json.loads(new_config["requests"])]
        self._next = 0
        Path(self.logdir).rmdir()  # Tune makes an empty folder for every trial
        return True

    def step(self) -> dict[str, int | TrialOutcome]:
        """Run one draw."""
        request = self._requests[self._next]
        self._next += 1
        outcome = run_within(
            request,
            self._settings[self._source],
            self._series[self._source],
            self._resources[self._kind],
            timeout_s=self._draw_timeout_s,
            hard=True,
        )
        return {DRAW: request.draw, OUTCOME: outcome}
