"""The engine: one Ray Tune experiment a sweep, fed and judged by the driver.

Tune gives placement, actors, resources per trial and isolation of failures. Its own retries, checkpoints,
loggers and restore are off: rows are the one truth, and the driver writes them. A searcher hands out the
driver's assignments, a scheduler passes each report on and stops a trial after its last draw.
"""

import io
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path

from ray import tune
from ray.tune.callback import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from orchestrator.assignments import Assignment
from orchestrator.backends.base import Workplace
from orchestrator.cluster import connected
from orchestrator.driver import Driver
from orchestrator.errors import OrchestratorError
from orchestrator.interrupts import Interrupts
from orchestrator.plan import Cell
from orchestrator.variables import environment
from trainables.trial import Status, TrialOutcome
from trainables.tune_trainable import DRAW, OUTCOME, DrawTrainable, pack
from trainables.watchdog import GRACE_S

logger = logging.getLogger(__name__)

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no files per trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver has its own
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # its state grows with every trial and is never read
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a lost worker is one line of ours
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "30",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths keep their meaning
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(slots=True)
class _Running:
    """A Tune trial under way: the draws that are not reported yet, and since when the first of them runs."""

    assignment: Assignment
    left: list[int]
    since: float = field(default_factory=time.monotonic)


class _StopTune(BaseException):
    """Leaves Tune's loop, which turns every `Exception` into text."""


class _Desk:
    """What searcher, scheduler and callback share: the trials under way."""

    def __init__(self, driver: Driver, workplace: Workplace) -> None:
        self.driver = driver
        self.failure: OrchestratorError | None = None
        self._workplace = workplace
        self._running: dict[str, _Running] = {}
        self._on_gpu: set[str] = set()

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        """Tune writes its parts to disk for a restore that we never do: nothing of the desk goes there."""
        return object, ()

    def hand_out(self, trial_id: str) -> dict[str, str] | None:
        """Return the configuration of the next trial; None if none fits now."""
        assignment = self.driver.next(self._fits)
        if assignment is None:
            return None
        plan = assignment.plan
        self._running[trial_id] = _Running(assignment, list(assignment.draws))
        device = self._workplace.device(plan.cell)
        if device == "cuda":
            self._on_gpu.add(trial_id)
        return pack(plan.cell.source, [assignment.request(draw) for draw in assignment.draws], device)

    def started(self, trial_id: str) -> None:
        """Note that a trial has its actor: its first draw runs from now on."""
        self._running[trial_id].since = time.monotonic()

    def report(self, trial_id: str, result: Mapping[str, object]) -> bool:
        """Pass a draw on; return True if the trial has draws left to run."""
        running = self._running[trial_id]
        draw = running.left.pop(0)
        if draw != result[DRAW]:
            raise RuntimeError(f"trial {running.assignment.plan.id} reported draw {result[DRAW]}, expected {draw}")
        running.since = time.monotonic()
        go_on = self.driver.report(running.assignment, draw, result[OUTCOME])  # type: ignore[arg-type]
        if go_on and running.left:
            return True
        self._forget(trial_id)
        self.driver.done(running.assignment)
        return False

    def lost(self, trial_id: str, error: str) -> None:
        """Pass on that the worker of a trial died."""
        running = self._forget(trial_id)
        overtime = time.monotonic() - running.since - self._workplace.draw_timeout_s
        status, reason, again = _why_lost(error, hung=overtime >= GRACE_S / 2)
        outcome = TrialOutcome(status=status, reason=reason, trace=error)
        self.driver.lost(running.assignment, tuple(running.left), outcome, again=again)

    def _forget(self, trial_id: str) -> _Running:
        self._on_gpu.discard(trial_id)
        return self._running.pop(trial_id)

    def _fits(self, cell: Cell) -> bool:
        """Say whether a slot of the kind that a cell needs is free; Tune itself counts all slots together."""
        slots = self._workplace.slots
        return not (cell.gpu and slots.gpu) or len(self._on_gpu) < slots.gpu

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Carry our own errors past Tune."""
        try:
            yield
        except OrchestratorError as err:
            self.failure = err
            raise _StopTune from err


class _Searcher(Searcher):  # type: ignore[misc]  # ray has no types
    """Hands out the driver's assignments; Tune's trial ids are only slips of paper."""

    def __init__(self, desk: _Desk) -> None:
        super().__init__()
        self._desk = desk

    def suggest(self, trial_id: str) -> dict[str, str] | str | None:
        """Return the next trial, None if none fits now, or FINISHED."""
        with self._desk.guarded():
            config = self._desk.hand_out(trial_id)
        if config is None and self._desk.driver.is_over:
            finished: str = Searcher.FINISHED
            return finished
        return config

    def on_trial_complete(self, trial_id: str, result: object = None, error: bool = False) -> None:
        """Do nothing: the scheduler has passed everything on already."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing: the rows are the state."""


class _Scheduler(FIFOScheduler):  # type: ignore[misc]
    """Passes reports on, and stops a trial after its last draw or when it is raced out."""

    def __init__(self, desk: _Desk) -> None:
        super().__init__()
        self._desk = desk

    def on_trial_result(self, _controller: object, trial: Trial, result: dict[str, object]) -> str:
        """Pass a draw on; go on, or stop the trial."""
        with self._desk.guarded():
            go_on = self._desk.report(trial.trial_id, result)
        decision: str = TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP
        return decision

    def on_trial_error(self, _controller: object, trial: Trial) -> None:
        """Pass on that a worker died."""
        error = Path(trial.error_file).read_text(encoding="utf-8") if trial.error_file else "no reason given"
        with self._desk.guarded():
            self._desk.lost(trial.trial_id, error)


class _Watcher(Callback):  # type: ignore[misc]
    """Ends the loop on a signal, and keeps scores out of Tune's memory."""

    def __init__(self, desk: _Desk, interrupts: Interrupts) -> None:
        self._desk = desk
        self._interrupts = interrupts

    def on_step_begin(self, **_info: object) -> None:
        """Leave the loop if a signal has arrived."""
        self._interrupts.strike_if_arrived()

    def on_trial_start(self, *, trial: Trial, **_info: object) -> None:
        """Note when the first draw began."""
        self._desk.started(trial.trial_id)

    def on_trial_result(self, *, result: dict[str, object], **_info: object) -> None:
        """Drop the outcome, which is on disk by now."""
        result.pop(OUTCOME, None)


class _Aside(io.TextIOBase):
    """Takes what Ray prints into sweep.log: of a node that was lost it shows pieces of its own logs."""

    def write(self, text: str) -> int:
        """Log each line."""
        for line in filter(str.strip, text.splitlines()):
            logger.info("ray: %s", line.rstrip())
        return len(text)


class RayTuneBackend:
    """See `Backend`.

    Parameters
    ----------
    address
        Of a running cluster; None starts Ray on this machine and stops it afterwards.
    verbose
        Show what Ray and the workers print.
    """

    def __init__(self, *, address: str | None = None, verbose: bool = False) -> None:
        self._address = address
        self._verbose = verbose

    def run(self, driver: Driver, workplace: Workplace, interrupts: Interrupts) -> None:
        """See `Backend`."""
        aside = nullcontext() if self._verbose else redirect_stdout(_Aside())
        with aside, connected(self._address, workplace, driver.plan, interrupts, verbose=self._verbose) as slots:
            interrupts.install()  # ray.init took SIGTERM for itself
            workplace = replace(workplace, slots=slots)
            desk = _Desk(driver, workplace)
            with environment(SETTINGS), tempfile.TemporaryDirectory(prefix="sweep-tune-") as storage:
                try:
                    _tuner(desk, workplace, interrupts, Path(storage), verbose=self._verbose).fit()
                except _StopTune:
                    if desk.failure is None:
                        raise
                    raise desk.failure from None


def _tuner(desk: _Desk, workplace: Workplace, interrupts: Interrupts, storage: Path, *, verbose: bool) -> tune.Tuner:
    trainable = tune.with_parameters(
        DrawTrainable,
        settings=dict(workplace.settings),
        series=dict(workplace.series),
        resources={"cpu": workplace.resources("cpu"), "cuda": workplace.resources("cuda")},
        draw_timeout_s=workplace.draw_timeout_s,
    )

    # Plain numbers: this function travels with the class, and workers then import no package of the driver's.
    bundles = {device: workplace.slots.request(gpu=device == "cuda") for device in ("cpu", "cuda")}

    def request(config: dict[str, str]) -> tune.PlacementGroupFactory:
        return tune.PlacementGroupFactory([bundles[config["device"]]])

    return tune.Tuner(
        tune.with_resources(trainable, request),
        tune_config=tune.TuneConfig(
            search_alg=_Searcher(desk),
            scheduler=_Scheduler(desk),
            num_samples=-1,
            max_concurrent_trials=workplace.slots.concurrent,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.trial_id,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name="sweep",
            storage_path=str(storage),
            verbose=2 if verbose else 0,
            failure_config=tune.FailureConfig(max_failures=0),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0, checkpoint_at_end=False),
            callbacks=[_Watcher(desk, interrupts)],
        ),
    )


def _why_lost(error: str, *, hung: bool) -> tuple[Status, str, bool]:
    """Return status, reason and whether to try again, from what Ray says about a trial that ended in an error."""
    if hung:
        return "timeout", "the draw ran too long in code that cannot be interrupted; its worker was ended", False
    if "low on memory" in error:
        return "oom", "Ray ended the worker: the machine ran low on memory", True
    if "RayTaskError" in error or "Traceback" in error:
        return "failed", f"the worker broke: {error.strip().splitlines()[-1]}", False
    return "failed", "the worker died", True
