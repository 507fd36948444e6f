"""What the search hands out and takes in: plain values between search, engine and backends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from orchestrator.plan import TrialPlan
from trainables.protocol import Scalar
from trainables.trial import Phase, Status, TrialRequest


@dataclass(frozen=True, slots=True)
class SearchRules:
    """How cells are searched.

    Attributes
    ----------
    sampler
        "tpe" or "random".
    seed
        Search seed; each cell and configuration derives its own.
    direction
        "max" or "min" of the objective.
    racing
        True if racing is wanted; it is on only with enough selection draws.
    draws_are_searched
        True for `few_shot.seeds: searched`: Optuna picks one selection draw for each configuration.
    """

    sampler: str = "tpe"
    seed: int = 0
    direction: Literal["max", "min"] = "max"
    racing: bool = True
    draws_are_searched: bool = False


@dataclass(frozen=True, slots=True)
class Observation:
    """What the search needs to know of a finished draw; `value` is the objective, None if undefined."""

    status: Status
    value: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A draw that already has a row; `observation` is None if it is to run again all the same."""

    trial: str
    phase: Phase
    draw: int
    candidate: int | None
    parameters: Mapping[str, Scalar]
    observation: Observation | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """Draws of a trial to run now, in this order.

    Attributes
    ----------
    keep
        The fitted detector comes back with the outcome: it is the winner of its cell.
    refit
        The draw has its row already and runs for its detector alone.
    large
        It ran out of memory before and runs again in a larger slot.
    """

    plan: TrialPlan
    draws: tuple[int, ...]
    keep: bool = False
    refit: bool = False
    large: bool = False

    def request(self, draw: int) -> TrialRequest:
        """Return what `run_trial` is asked for one of the draws."""
        return replace(self.plan.request(draw), keep=self.keep)


@dataclass(frozen=True, slots=True)
class RacedOut:
    """Draws of a selection trial that will not run, and why."""

    plan: TrialPlan
    draws: tuple[int, ...]
    reason: str
