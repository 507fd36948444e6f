"""The contract of backends: where trials run. A backend knows neither studies nor files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from orchestrator.driver import Driver
from orchestrator.interrupts import Interrupts
from orchestrator.places import Places
from orchestrator.plan import Cell
from orchestrator.resources import Device, Machine, Slots, trial_resources
from orchestrator.spec import ResourceSettings
from trainables.data.external_scores import ExternalScores
from trainables.data.series import LabelledSeries
from trainables.protocol import TrialResources
from trainables.trial import EvaluationSettings

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
    limits
        What a trial may use, and how long a draw may take.
    weights, external
        See `TrialResources`.
    """

    settings: Mapping[str, EvaluationSettings]
    series: Mapping[str, LabelledSeries]
    machine: Machine
    slots: Slots
    limits: ResourceSettings
    weights: Mapping[str, str] = field(default_factory=dict)
    external: Mapping[str, ExternalScores] = field(default_factory=dict)

    def device(self, cell: Cell) -> Device:
        """Return where the trials of a cell run: GPU detectors on a GPU where there is one."""
        return "cuda" if cell.gpu and self.slots.gpu else "cpu"

    def resources(self, device: Device, *, large: bool = False) -> TrialResources:
        """See `trial_resources`."""
        return trial_resources(self.limits, device, self.weights, self.external, large=large)


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
