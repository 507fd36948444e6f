"""Ray for a sweep: started on this machine and stopped afterwards, or a running cluster that code is shipped to."""

import importlib
import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ray

from orchestrator.backends.base import Workplace
from orchestrator.errors import PlanError
from orchestrator.interrupts import Interrupts
from orchestrator.plan import SweepPlan
from orchestrator.resources import Slots, card_variables, gpu_fraction
from orchestrator.variables import environment, thread_variables

logger = logging.getLogger(__name__)

PACKAGES = ("orchestrator", "trainables", "analysis")

REMIND_S = 30.0
"""A sweep that waits says so again after this long."""

LEAST_STORE_MB = 256
"""Object store beside the data: results on their way to the driver."""


@contextmanager
def connected(
    address: str | None, workplace: Workplace, plan: SweepPlan, interrupts: Interrupts, *, verbose: bool = False
) -> Iterator[Slots]:
    """Connect to Ray within the block and give the slots of what is there.

    Without an address, a Ray with the CPUs and GPUs of this machine is started, without a dashboard, and is
    stopped afterwards. With one, the three packages and the modules of the user's own detectors are shipped, and
    with `resources.wait_for_nodes` a node with a GPU is asked for and waited for, where the plan has use for one.

    Raises
    ------
    PlanError
        Ray does not start, no cluster answers at the address, or it has no CPU for a trial.
    """
    level = logging.INFO if verbose else logging.CRITICAL
    threads = thread_variables(workplace.slots.threads)
    try:
        if address is None:
            _start_here(workplace, threads, verbose=verbose)
            yield workplace.slots
        else:
            modules = [str(path) for path in _shipped(plan)]
            try:
                ray.init(
                    address=address,
                    runtime_env={"py_modules": modules, "env_vars": threads},
                    log_to_driver=verbose,
                    logging_level=level,
                )
            except (ConnectionError, ValueError, RuntimeError) as err:
                raise PlanError(f"--address {address}: cannot connect: {_first_line(err)}") from err
            interrupts.install()  # ray.init took SIGTERM for itself
            with _gpu_node(plan, interrupts):
                yield cluster_slots(ray.cluster_resources(), workplace.slots, plan.spec.resources.trials_per_gpu)
    finally:
        ray.shutdown()


def _start_here(workplace: Workplace, threads: Mapping[str, str], *, verbose: bool) -> None:
    """Start Ray on this machine.

    Raises
    ------
    PlanError
        It did not come up: Ray gives its own processes 30 s, which a machine with too much to do does not keep.
    """
    cards = card_variables(workplace.slots)
    with environment({**threads, **cards, "PYTHONPATH": _python_path(), **_QUIET, **_DRIVER_ONLY}):
        try:
            ray.init(
                address="local",  # never somebody else's Ray that happens to run here
                num_cpus=workplace.machine.cpus,
                num_gpus=workplace.slots.cards,
                object_store_memory=_store_bytes(workplace),
                include_dashboard=False,
                log_to_driver=verbose,
                logging_level=logging.INFO if verbose else logging.CRITICAL,
            )
        except Exception as err:  # Ray raises a bare Exception here
            raise PlanError(
                f"Ray did not start on this machine: {_first_line(err)} "
                "Try again when the machine has less to do, or with --backend inline"
            ) from err


_QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}

_DRIVER_ONLY: Mapping[str, str | None] = {"WANDB_API_KEY": None}
"""What workers have no use for: the tracker runs on the driver."""


@contextmanager
def _gpu_node(plan: SweepPlan, interrupts: Interrupts) -> Iterator[None]:
    """See to it that a cluster whose GPU nodes come and go has one within the block, or say that it has none."""
    wants = sorted({cell.detector for cell in plan.cells if cell.gpu})
    if not wants or ray.cluster_resources().get("GPU"):
        yield
    elif plan.spec.resources.wait_for_nodes:
        from ray.autoscaler.sdk import request_resources  # noqa: PLC0415  (only where nodes can be asked for)

        request_resources(bundles=[{"GPU": 1}])  # without an autoscaler this waits for whoever adds a node
        try:
            _wait_for_gpu(interrupts)
            yield
        finally:
            request_resources(bundles=[])
    else:
        logger.warning(
            "the cluster has no GPU now: %s run on the CPU; resources.wait_for_nodes: true waits for one",
            ", ".join(wants),
        )
        yield


def _wait_for_gpu(interrupts: Interrupts) -> None:
    said = -math.inf
    while not (there := ray.cluster_resources()).get("GPU"):
        if time.monotonic() - said >= REMIND_S:
            said = time.monotonic()
            logger.warning("waiting for a node with a GPU; the cluster has %g CPUs and no GPU", there.get("CPU", 0))
        with interrupts.may_strike():
            time.sleep(1)


def cluster_slots(available: Mapping[str, float], here: Slots, wanted: int | str) -> Slots:
    """Return the slots of a cluster; the memory of its cards is not known, so `auto` is one trial a card."""
    concurrent = int(available.get("CPU", 0)) // here.threads
    if concurrent < 1:
        raise PlanError(f"the cluster has {available.get('CPU', 0):g} CPUs; a trial needs {here.threads}")
    gpus = int(available.get("GPU", 0))
    share = 0 if not gpus else wanted if isinstance(wanted, int) else 1
    return Slots(concurrent, min(gpus * share, concurrent), share, gpu_fraction(share), here.threads)


def _shipped(plan: SweepPlan) -> list[Path]:
    """Return the folders and files that workers import: our packages and the user's own detector modules."""
    root = Path(__file__).resolve().parent.parent
    paths = [root / name for name in PACKAGES]
    for cell in plan.cells:
        if cell.class_path is not None:
            top = importlib.import_module(cell.class_path.partition(":")[0].partition(".")[0])
            places = [Path(place) for place in getattr(top, "__path__", [])] or [Path(str(top.__file__))]
            paths += [place for place in places if place not in paths]
    return paths


def _python_path() -> str:
    """Return this process's import path: workers on this machine find what the driver finds."""
    places = [Path(place).resolve() for place in sys.path if not place or Path(place).is_dir()]
    return os.pathsep.join(dict.fromkeys(map(str, places)))


def _store_bytes(workplace: Workplace) -> int:
    data = sum(series.values.nbytes for series in workplace.series.values())
    return 3 * data + LEAST_STORE_MB * 2**20


def _first_line(err: BaseException) -> str:
    return (str(err).strip().splitlines() or [type(err).__name__])[0]


if __name__ == "__main__":
    from orchestrator.cluster_check import app

    app()
