"""`--time-budget 15m`: fewer candidates and draws, so that a sweep ends in time, and what was cut.

Report draws are what claims rest on: candidates go first, then selection draws, and report draws last and never
below six, where significance ends. What is cut goes into the sweep file that the run folder keeps.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from orchestrator.errors import PlanError, SpecError
from orchestrator.estimate import Costs, sweep_seconds
from orchestrator.plan import SweepPlan
from orchestrator.resources import Slots

LEAST_CANDIDATES = 2
LEAST_SELECTION_DRAWS = 2
LEAST_REPORT_DRAWS = 6

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Size:
    """What a budget may cut."""

    candidates: int
    selection_draws: int
    report_draws: int


def seconds_of(text: str) -> float:
    """Read 90s, 15m, 2h or 1h30m.

    Raises
    ------
    SpecError
        Nothing of that kind, or no time at all.
    """
    if not re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        raise SpecError([f"--time-budget {text}: not a time; write 90s, 15m, 2h or 1h30m"])
    seconds = math.fsum(float(number) * _UNITS[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)([hms])", text))
    if seconds <= 0:
        raise SpecError([f"--time-budget {text}: no time at all"])
    return seconds


def fitted(plan: SweepPlan, costs: Costs, slots: Slots, budget_s: float) -> tuple[SweepPlan, list[str]]:
    """Return the largest plan that fits the time, and a line that says what was cut.

    Raises
    ------
    PlanError
        There is no estimate, or even the least does not fit.
    """
    if costs.unknown:
        raise PlanError(f"--time-budget: the time of this sweep is not known ({costs.unknown})")
    whole = sweep_seconds(plan, costs, slots)
    for size in _sizes(plan):
        smaller = resized(plan, size)
        seconds = sweep_seconds(smaller, costs, slots)
        if seconds <= budget_s:
            return smaller, _cuts(plan, size, whole, seconds, budget_s)
    raise PlanError(
        f"--time-budget: {_minutes(budget_s)} are not enough: even {_spoken(size)} take about {_minutes(seconds)} here "
        f"({_minutes(whole)} uncut); give more time, or take fewer shots, detectors, folds or scored windows"
    )


def resized(plan: SweepPlan, size: Size) -> SweepPlan:
    """Return the plan with so many candidates and draws, in its sweep file and in its cells."""
    spec = plan.spec
    few_shot = spec.few_shot.model_copy(
        update={
            "selection_seeds": spec.few_shot.selection_seeds.model_copy(update={"count": size.selection_draws}),
            "report_seeds": spec.few_shot.report_seeds.model_copy(update={"count": size.report_draws}),
        }
    )
    search = spec.search.model_copy(update={"candidates": size.candidates})
    cells = tuple(
        replace(
            cell,
            candidates=size.candidates if cell.candidates else 0,
            selection_draws=few_shot.selection_seeds.draws,
            report_draws=few_shot.report_seeds.draws,
        )
        for cell in plan.cells
    )
    return replace(plan, spec=spec.model_copy(update={"few_shot": few_shot, "search": search}), cells=cells)


def _sizes(plan: SweepPlan) -> Iterator[Size]:
    """Yield sizes from the whole to the least, each smaller than the one before."""
    spec = plan.spec
    size = Size(spec.search.candidates, spec.few_shot.selection_seeds.count, spec.few_shot.report_seeds.count)
    yield size
    if any(cell.candidates for cell in plan.cells):
        for candidates in range(size.candidates - 1, LEAST_CANDIDATES - 1, -1):
            size = Size(candidates, size.selection_draws, size.report_draws)
            yield size
        for draws in range(size.selection_draws - 1, LEAST_SELECTION_DRAWS - 1, -1):
            size = Size(size.candidates, draws, size.report_draws)
            yield size
    for draws in range(size.report_draws - 1, LEAST_REPORT_DRAWS - 1, -1):
        size = Size(size.candidates, size.selection_draws, draws)
        yield size


def _cuts(plan: SweepPlan, size: Size, whole_s: float, seconds: float, budget_s: float) -> list[str]:
    spec = plan.spec
    before = (
        ("search.candidates", spec.search.candidates, size.candidates),
        ("few_shot.selection_seeds.count", spec.few_shot.selection_seeds.count, size.selection_draws),
        ("few_shot.report_seeds.count", spec.few_shot.report_seeds.count, size.report_draws),
    )
    cut = [f"{name} {old} -> {new}" for name, old, new in before if old != new]
    if not cut:
        return [f"time budget of {_minutes(budget_s)}: nothing cut, about {_minutes(whole_s)}"]
    return [f"time budget of {_minutes(budget_s)}: {', '.join(cut)}; {_minutes(whole_s)} -> {_minutes(seconds)}"]


def _spoken(size: Size) -> str:
    return (
        f"{size.candidates} candidates on {size.selection_draws} selection draws and {size.report_draws} report draws"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
