"""The engine: one Ray Tune experiment a sweep, fed and judged by the driver.

Tune gives placement, actors, resources per trial and isolation of failures. Its own retries, checkpoints,
loggers and restore are off: rows are the one truth, and the driver writes them. A searcher hands out the
driver's assignments, a scheduler passes each report on and stops a trial after its last draw.
"""

import io
import json
import logging
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.callback import Callback
from ray.tune.execution.placement_groups import PlacementGroupFactory
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.utils.object_cache import _ObjectCache

from orchestrator.backends.base import DEVICES, Workplace
from orchestrator.backends.desk import Desk, StopTune
from orchestrator.cluster import connected
from orchestrator.driver import Driver
from orchestrator.interrupts import Interrupts
from orchestrator.variables import environment
from trainables.data.big_tables import handed_over
from trainables.tune_trainable import OUTCOME, DrawTrainable, kind_of

logger = logging.getLogger(__name__)

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # no files per trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the driver has its own
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # its state grows with every trial and is never read
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # a lost worker is one line of ours
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000000",  # our own reminder knows the reason
    "TUNE_MAX_PENDING_TRIALS_PG": "64",  # what does not fit is never handed out
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths keep their meaning
    "RAY_AIR_NEW_OUTPUT": "0",
}


class _Searcher(Searcher):  # type: ignore[misc]  # ray has no types
    """Hands out the driver's assignments; Tune's trial ids are only slips of paper."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk

    def suggest(self, trial_id: str) -> dict[str, str] | str | None:
        """Return the next trial, None if none fits now, or FINISHED."""
        with self._desk.guarded():
            self._desk.look_around()  # Tune asks on and on while nothing runs, and calls nobody else
            config = self._desk.hand_out(trial_id)
        if config is None and self._desk.driver.is_over:
            finished: str = Searcher.FINISHED
            return finished
        return config

    def on_trial_complete(self, trial_id: str, result: object = None, error: bool = False) -> None:
        """Do nothing: the scheduler has passed everything on already."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Do nothing: the rows are the state."""


class _IdleActors(_ObjectCache):  # type: ignore[misc]
    """Keeps every idle actor until its node needs the room for another kind of trial.

    Tune keeps an actor only while no other kind waits to start: with several kinds (a CPU or a share of a GPU, on one
    node or another) nearly each trial would pay for a new process and for importing torch in it.
    """

    def cache_object(self, key: PlacementGroupFactory, obj: object) -> bool:
        """Keep an actor."""
        self._cached_objects[key].append(obj)
        self._num_cached_objects += 1
        return True

    def flush_cached_objects(self, force_all: bool = False) -> Iterator[object]:
        """Yield the actors that must go."""
        starting = {
            key for key, count in self._max_num_objects.items() if count > 0 and not self.has_cached_object(key)
        }
        crowded = {_node_of(key) for key in starting}
        for key, idle in self._cached_objects.items():
            while idle and (force_all or _node_of(key) in crowded):
                self._num_cached_objects -= 1
                yield idle.pop(0)


def _node_of(key: PlacementGroupFactory) -> str:
    """Return the node that trials of a kind are pinned to; "" on this machine."""
    return next((name for name in key.required_resources if name.startswith("node:")), "")


class _Scheduler(FIFOScheduler):  # type: ignore[misc]
    """Passes reports on, and stops a trial after its last draw or when it is raced out."""

    def __init__(self, desk: Desk) -> None:
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

    def on_trial_add(self, controller: Any, _trial: Trial) -> None:
        """Put our own keeper of idle actors in the place of Tune's."""
        inner = getattr(controller, "_tune_controller", controller)
        if not isinstance(inner._actor_cache, _IdleActors):  # noqa: SLF001
            inner._actor_cache = _IdleActors()  # noqa: SLF001  (the first trial: nothing is in it yet)

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """Take back the trials whose node is gone before they started; Tune would wait for it for ever."""
        for trial_id in self._desk.stranded():
            controller.stop_trial(next(trial for trial in controller.get_trials() if trial.trial_id == trial_id))
        return None  # Tune starts what is pending in the order of its coming

    def on_trial_remove(self, _controller: object, trial: Trial) -> None:
        """Hand the draws of a trial that was taken back out again."""
        with self._desk.guarded():
            self._desk.moved(trial.trial_id)


class _Watcher(Callback):  # type: ignore[misc]
    """Ends the loop on a signal, and keeps scores out of Tune's memory."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def on_step_begin(self, **_info: object) -> None:
        """Leave the loop if a signal has arrived, or if nothing can run."""
        with self._desk.guarded():
            self._desk.look_around()

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
        there = connected(self._address, workplace, driver.plan, interrupts, verbose=self._verbose)
        with aside, there as (slots, fleet):
            interrupts.install()  # ray.init took SIGTERM for itself
            workplace = replace(workplace, slots=slots)
            desk = Desk(driver, workplace, fleet, interrupts)
            with environment(SETTINGS), tempfile.TemporaryDirectory(prefix="sweep-tune-") as storage:
                try:
                    _tuner(desk, workplace, Path(storage), here=self._address is None, verbose=self._verbose).fit()
                except StopTune:
                    if desk.failure is None:
                        raise
                    raise desk.failure from None


def _tuner(desk: Desk, workplace: Workplace, storage: Path, *, here: bool, verbose: bool) -> tune.Tuner:
    """Return the one Tune experiment; `here`: all workers are on this machine, and see its files."""
    trainable = tune.with_parameters(
        DrawTrainable,
        settings=dict(workplace.settings),
        series=handed_over(workplace.series) if here else dict(workplace.series),
        resources={
            kind_of(device, large=large): workplace.resources(device, large=large)
            for device in DEVICES
            for large in (False, True)
        },
        draw_timeout_s=workplace.limits.draw_timeout_s,
    )

    def request(config: dict[str, str]) -> tune.PlacementGroupFactory:  # travels with the class: uses nothing of ours
        return tune.PlacementGroupFactory([json.loads(config["request"])])

    return tune.Tuner(
        tune.with_resources(trainable, request),
        tune_config=tune.TuneConfig(
            search_alg=_Searcher(desk),
            scheduler=_Scheduler(desk),
            num_samples=-1,
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
            callbacks=[_Watcher(desk)],
        ),
    )
