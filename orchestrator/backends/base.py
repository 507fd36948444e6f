"""The contract of backends: where trials run. A backend knows neither studies nor files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from orchestrator.driver import Driver
from orchestrator.interrupts import Interrupts
from orchestrator.places import Places
from orchestrator.plan import Cell
from orchestrator.resources import Machine, Slots
from trainables.data.external_scores import ExternalScores
from trainables.data.series import LabelledSeries
from trainables.protocol import TrialResources
from trainables.trial import EvaluationSettings

Device = Literal["cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Workplace:
    """What trials need beside their plan; the same for all trials of a sweep.

    Attributes
    ----------
    settings, series
        By source name.
    machine, slots
        This machine, and how many trials run at once on it.
    draw_timeout_s
        Seconds after which a draw is ended.
    gpu_memory_gb, host_memory_gb
        Caps of device memory of a trial that has a GPU, and of memory of one that has none.
    weights, external
        See `TrialResources`.
    """

    settings: Mapping[str, EvaluationSettings]
    series: Mapping[str, LabelledSeries]
    machine: Machine
    slots: Slots
    draw_timeout_s: float
    gpu_memory_gb: float
    host_memory_gb: float
    weights: Mapping[str, str] = field(default_factory=dict)
    external: Mapping[str, ExternalScores] = field(default_factory=dict)

    def device(self, cell: Cell) -> Device:
        """Return where the trials of a cell run: GPU detectors on a GPU where there is one."""
        return "cuda" if cell.gpu and self.slots.gpu else "cpu"

    def resources(self, device: Device, *, large: bool = False) -> TrialResources:
        """Return what a trial may use, twice the memory in a `large` slot; `run_trial` sets its seed."""
        room = 2 if large else 1
        return TrialResources(
            threads=self.slots.threads,
            device=device,
            gpu_memory_gb=room * self.gpu_memory_gb if device == "cuda" else None,
            host_memory_gb=room * self.host_memory_gb if device == "cpu" else None,
            weights=self.weights,
            external=self.external,
        )


class Fleet(Protocol):
    """Where trials run: the places, kept in step with what is there."""

    places: Places

    def refresh(self) -> None:
        """Look again which nodes are there."""

    @property
    def free(self) -> str:
        """What is free, in words."""

    @property
    def problem(self) -> str | None:
        """Why nothing can run here now, or None."""


class Backend(Protocol):
    """Runs trials until the driver has none left.

    For each assignment of `driver.next()`: run its draws in order, `driver.report` each, stop early if that
    returns False, then `driver.done`; or `driver.lost` if the process that ran it is gone.
    """

    def run(self, driver: Driver, workplace: Workplace, interrupts: Interrupts) -> None:
        """Run everything.

        Raises
        ------
        SweepInterrupt
            A signal arrived; draws under way have no row.
        RunFolderError
            A row could not be written.
        PlanError
            Nothing here can run the trials.
        """
        ...
