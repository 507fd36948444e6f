"""The desk between the driver and Ray Tune: trials under way, where each runs, and what happens to those that fail."""

import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product

from orchestrator.assignments import Assignment
from orchestrator.backends.base import Fleet, Workplace
from orchestrator.driver import Driver
from orchestrator.errors import OrchestratorError, PlanError
from orchestrator.interrupts import Interrupts
from orchestrator.plan import Cell
from trainables.trial import Status, TrialOutcome
from trainables.tune_trainable import DRAW, OUTCOME, kind_of, pack
from trainables.watchdog import GRACE_S

logger = logging.getLogger(__name__)

IDLE_S = 30.0
"""When nothing has run for this long, the reason is printed, and again after as long."""

GIVE_UP_S = 120.0
"""A cluster in which nothing can run for this long ends the sweep, unless `resources.wait_for_nodes`."""

MOST_ATTEMPTS = 2
"""A draw whose worker was lost is handed out once more; one whose program raised is not."""

MOST_NODE_LOSSES = 5
"""A draw whose node was lost did nothing wrong; spot machines go away several times a day."""

NODE_LOST = re.compile(r"node (?:has died|was terminated|failed)|NodeDied|ActorUnavailableError", re.IGNORECASE)
"""In the text of an error: not the worker died by itself, but its node went away, or the link to it."""


@dataclass(slots=True)
class _Running:
    """A Tune trial under way: the draws that are not reported yet, and since when the first of them runs."""

    assignment: Assignment
    left: list[int]
    on_gpu: bool
    started: bool = False
    since: float = field(default_factory=time.monotonic)


class StopTune(BaseException):
    """Leaves Tune's loop, which turns every `Exception` into text."""


class Desk:
    """What searcher, scheduler and callback share: the trials under way, and where they run."""

    def __init__(self, driver: Driver, workplace: Workplace, fleet: Fleet, interrupts: Interrupts) -> None:
        self.driver = driver
        self.failure: OrchestratorError | None = None
        self._workplace = workplace
        self._fleet = fleet
        self._interrupts = interrupts
        self._running: dict[str, _Running] = {}
        self._idle = _Idle()

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        """Tune writes its parts to disk for a restore that we never do: nothing of the desk goes there."""
        return object, ()

    def look_around(self) -> None:
        """Leave if a signal has arrived, notice nodes that came or went, and say why nothing runs.

        Raises
        ------
        SweepInterrupt
            A signal has arrived.
        PlanError
            Nothing has been able to run for too long.
        """
        self._interrupts.strike_if_arrived()
        self._fleet.refresh()
        running = any(running.started for running in self._running.values())
        handed_out = len(self._running)
        self._idle.look(self._fleet, runs=running or self.driver.is_over, waiting=handed_out)
        wait = self.driver.plan.spec.resources.wait_for_nodes
        if self._idle.seconds >= GIVE_UP_S and not handed_out and not wait:
            reason = self._fleet.problem or "no node has room for what is left"
            raise PlanError(f"nothing has run for {GIVE_UP_S:.0f} s: {reason}; rows are kept, --resume goes on")

    def hand_out(self, trial_id: str) -> dict[str, str] | None:
        """Return the configuration of the next trial; None if none fits now."""
        places = self._fleet.places
        fits = {key: places.room(gpu=key[0], large=key[1], spare=key[2]) for key in product((False, True), repeat=3)}
        on_gpu = self._on_gpu
        assignment = None
        for spare in (True, False):  # CPU trials first leave the CPUs that free GPU slots need
            if assignment is None:
                room = {key[:2]: fit for key, fit in fits.items() if key[2] == spare}
                assignment = self.driver.next(lambda cell, large, room=room: room[on_gpu(cell), large])  # type: ignore[misc]
        if assignment is None:
            return None
        cell = assignment.plan.cell
        self._running[trial_id] = _Running(assignment, list(assignment.draws), on_gpu(cell))
        place = places.take(trial_id, gpu=on_gpu(cell), large=assignment.large)
        kind = kind_of(self._workplace.device(cell), large=assignment.large)
        return pack(cell.source, [assignment.request(draw) for draw in assignment.draws], kind, place.request)

    def started(self, trial_id: str) -> None:
        """Note that a trial has its actor: its first draw runs from now on."""
        self._running[trial_id].started = True
        self._running[trial_id].since = time.monotonic()

    def report(self, trial_id: str, result: Mapping[str, object]) -> bool:
        """Pass a draw on; return True if the trial has draws left to run."""
        running = self._running[trial_id]
        draw = running.left[0]
        outcome = result[OUTCOME]
        if draw != result[DRAW] or not isinstance(outcome, TrialOutcome):
            raise RuntimeError(f"trial {running.assignment.plan.id} reported draw {result[DRAW]}, expected {draw}")
        if outcome.status == "oom" and self._may_enlarge(running):
            self._forget(trial_id)
            self.driver.enlarged(running.assignment, tuple(running.left), outcome.reason)
            return False
        running.left.pop(0)
        running.since = time.monotonic()
        go_on = self.driver.report(running.assignment, draw, outcome)
        if go_on and running.left:
            return True
        self._forget(trial_id)
        self.driver.done(running.assignment)
        return False

    def lost(self, trial_id: str, error: str) -> None:
        """Pass on that the worker of a trial died."""
        self._fleet.places.doubt(trial_id)
        running = self._forget(trial_id)
        left = tuple(running.left)
        overtime = time.monotonic() - running.since - self._workplace.limits.draw_timeout_s
        status, reason, most = _why_lost(error, hung=overtime >= GRACE_S / 2)
        if status == "oom" and self._may_enlarge(running):
            self.driver.enlarged(running.assignment, left, reason)
        else:
            outcome = TrialOutcome(status=status, reason=reason, trace=error)
            self.driver.lost(running.assignment, left, outcome, most=most)

    def stranded(self) -> list[str]:
        """Return the trials that wait for a node that is gone."""
        places = self._fleet.places
        return [name for name, one in self._running.items() if not one.started and not places.is_there(name)]

    def moved(self, trial_id: str) -> None:
        """Take a trial back that did not start."""
        running = self._forget(trial_id)
        self.driver.moved(running.assignment, tuple(running.left))

    def _may_enlarge(self, running: _Running) -> bool:
        return not running.assignment.large and self._fleet.places.could_be_large(gpu=running.on_gpu)

    def _forget(self, trial_id: str) -> _Running:
        self._fleet.places.release(trial_id)
        return self._running.pop(trial_id)

    def _on_gpu(self, cell: Cell) -> bool:
        return self._workplace.device(cell) == "cuda"

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Carry our own errors past Tune."""
        try:
            yield
        except OrchestratorError as err:
            self.failure = err
            raise StopTune from err


class _Idle:
    """How long nothing has run, and when that was said last."""

    def __init__(self) -> None:
        self._since = self._said = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since when nothing runs."""
        return time.monotonic() - self._since

    def look(self, fleet: Fleet, *, runs: bool, waiting: int) -> None:
        """Note whether something runs; if nothing has for `IDLE_S`, say why."""
        now = time.monotonic()
        if runs:
            self._since = self._said = now
        elif now - self._said >= IDLE_S:
            self._said = now
            held = f"free: {fleet.free}"
            if waiting:
                reason = f"{waiting} trials wait for worker processes to start; {held}"
            else:
                reason = fleet.problem or f"no node has room for what is left; {held}"
            logger.warning("nothing has run for %.0f s: %s", now - self._since, reason)


def _why_lost(error: str, *, hung: bool) -> tuple[Status, str, int]:
    """Return status, reason and how often the draw may run, from what Ray says about a trial that ended in an error."""
    most = MOST_NODE_LOSSES if NODE_LOST.search(error) else MOST_ATTEMPTS
    if hung:
        return "timeout", "the draw ran too long in code that cannot be interrupted; its worker was ended", 1
    if "low on memory" in error:
        return "oom", "Ray ended the worker: the machine ran low on memory", most
    if "RayTaskError" in error or "Traceback" in error:
        return "failed", f"the worker broke: {error.strip().splitlines()[-1]}", 1
    return "failed", "the worker died", most
