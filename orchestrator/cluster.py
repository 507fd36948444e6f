"""Ray for a sweep: started on this machine and stopped afterwards, or a running cluster that code is shipped to."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ray

from orchestrator.backends.base import Fleet, Workplace
from orchestrator.cluster_nodes import ClusterNodes, free_resources
from orchestrator.errors import PlanError
from orchestrator.interrupts import Interrupts
from orchestrator.places import Node, Places
from orchestrator.plan import SweepPlan
from orchestrator.provenance import PACKAGES, own_code
from orchestrator.resources import Slots, card_variables
from orchestrator.variables import environment, thread_variables

logger = logging.getLogger(__name__)

LEAST_STORE_MB = 256
"""Object store beside the data: results on their way to the driver."""


class _ThisMachine:
    """A Ray that was started here: one node, which stays."""

    problem: str | None = None

    def __init__(self, slots: Slots) -> None:
        self.places = Places([Node("this machine", slots)])

    def refresh(self) -> None:
        """Do nothing."""

    @property
    def free(self) -> str:
        """What Ray has free."""
        return free_resources()


@contextmanager
def connected(
    address: str | None, workplace: Workplace, plan: SweepPlan, interrupts: Interrupts, *, verbose: bool = False
) -> Iterator[tuple[Slots, Fleet]]:
    """Connect to Ray within the block and give the slots of what is there, all together and by node.

    Without an address, a Ray with the CPUs and GPUs of this machine is started, without a dashboard, and is
    stopped afterwards. With one, the three packages and the modules of the user's own detectors are shipped.

    Raises
    ------
    PlanError
        Ray does not start, no cluster answers at the address, or nothing there can run the plan.
    """
    level = logging.INFO if verbose else logging.CRITICAL
    threads = thread_variables(workplace.slots.threads)
    try:
        if address is None:
            _start_here(workplace, threads, verbose=verbose)
            yield workplace.slots, _ThisMachine(workplace.slots)
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
            nodes = ClusterNodes(plan)
            with nodes.ready(interrupts) as slots:
                yield slots, nodes
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


def _shipped(plan: SweepPlan) -> list[Path]:
    """Return the folders and files that workers import: our packages and the user's own detector modules."""
    root = Path(__file__).resolve().parent.parent
    return [*(root / name for name in PACKAGES), *own_code(plan).values()]


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
    from orchestrator.cluster_commands import app

    app()
