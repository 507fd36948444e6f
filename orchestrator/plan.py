"""The plan of a sweep: which cells exist, what each one runs, and the identity of a trial."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.space import Dimension
from trainables.protocol import Labels, Scalar
from trainables.trial import Phase, TrialRequest


@dataclass(frozen=True, slots=True)
class Cell:
    """Detector x source x fold x shots: one search (if anything is searched) and one set of report draws.

    Attributes
    ----------
    detector, class_path, labels, gpu
        As in the registry; `class_path` is the user's own `module:Class` or None.
    settings
        Fixed settings of the detector.
    space
        Searched settings; empty means that nothing is searched and no selection trial runs.
    candidates
        Configurations that the search tries; 0 when nothing is searched.
    selection_draws, report_draws
        Draw numbers of each phase.
    context
        Hash of everything else that a row's numbers depend on (data, split, few_shot, threshold, metric, weights).
    """

    detector: str
    class_path: str | None
    labels: Labels
    gpu: bool
    source: str
    fold: int
    shots: int
    settings: Mapping[str, Scalar]
    space: Mapping[str, Dimension]
    candidates: int
    selection_draws: tuple[int, ...]
    report_draws: tuple[int, ...]
    context: str

    @property
    def name(self) -> str:
        """Name of the cell: of its Optuna study, its progress line and its folder."""
        return f"{self.detector}-{self.source}-f{self.fold}-k{self.shots}"

    @property
    def rows(self) -> int:
        """Rows that the cell writes when nothing is raced out."""
        return self.candidates * len(self.selection_draws) + len(self.report_draws)


@dataclass(frozen=True, slots=True)
class TrialPlan:
    """One trial: a configuration on its block of selection draws, or one report draw.

    `candidate` is the number of the configuration within the search of its cell; None for report trials.
    """

    cell: Cell
    phase: Phase
    candidate: int | None
    parameters: Mapping[str, Scalar]
    draws: tuple[int, ...]
    id: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self._identity())

    def request(self, draw: int) -> TrialRequest:
        """Return what `run_trial` is asked for one of the draws."""
        settings = {**self.cell.settings, **self.parameters}
        return TrialRequest(
            detector=self.cell.detector,
            class_path=self.cell.class_path,
            fold=self.cell.fold,
            shots=self.cell.shots,
            phase=self.phase,
            draw=draw,
            seed=_derived_seed(self.id, draw),
            settings=settings,
            searched=bool(self.cell.space),
        )

    def _identity(self) -> str:
        """Hash of what the trial is: not when, where or in which order it runs."""
        cell = self.cell
        return _digest(
            [
                cell.detector, cell.class_path, cell.source, cell.fold, cell.shots, cell.context,
                self.phase, dict(cell.settings), dict(self.parameters), self.candidate,
                self.draws if self.phase == "report" else None,
            ]
        )  # fmt: skip


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _derived_seed(trial: str, draw: int) -> int:
    """Return a 31-bit seed for the detector, apart from the stream that draws the shots."""
    return int(hashlib.sha256(f"{trial}/{draw}/detector".encode()).hexdigest()[:8], 16) & 0x7FFFFFFF
