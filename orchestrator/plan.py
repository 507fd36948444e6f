"""The plan of a sweep: which cells exist, what each one runs, and the identity of a trial."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from orchestrator.detector_spec import DetectorSpec
from orchestrator.errors import PlanError
from orchestrator.external import read_external_files
from orchestrator.space import Dimension
from orchestrator.spec import SweepSpec
from trainables.data import check_supply, hold_out
from trainables.data.big_tables import blocks
from trainables.data.external_scores import ExternalScores
from trainables.data.series import LabelledSeries
from trainables.protocol import Labels, Scalar
from trainables.settings import DataSettings
from trainables.trial import EvaluationSettings, Phase, TrialRequest


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
    exposure
        Whether the kind of fault that the fold holds out is "seen" or "unseen" in training; None: it holds out none.
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
    exposure: str | None = None

    @property
    def name(self) -> str:
        """Name of the cell: of its Optuna study, its progress line and its folder."""
        return f"{self.detector}-{self.source}-f{self.fold}-k{self.shots}"

    @property
    def kind(self) -> str:
        """Name of the built-in detector whose class this is, under whatever name; of other classes their module."""
        if self.class_path is None:
            return self.detector
        return self.class_path.partition(":")[0].removeprefix("trainables.")

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


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """What a sweep will run.

    Attributes
    ----------
    spec
        The checked sweep file.
    cells
        In order of source, fold, shots, and detectors as in the file.
    settings
        What `run_trial` needs to know, by source name.
    data_digests
        Content hash of each source, by source name.
    external
        What files of other tools say, by the name of the detector that stands for it.
    """

    spec: SweepSpec
    cells: tuple[Cell, ...]
    settings: Mapping[str, EvaluationSettings]
    data_digests: Mapping[str, str]
    external: Mapping[str, ExternalScores] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows that a complete sweep holds when nothing is raced out."""
        return sum(self.selection_rows(cell) + len(cell.report_draws) for cell in self.cells)

    @property
    def trials(self) -> int:
        """Trials: one per configuration, one per report draw."""
        return sum(cell.candidates + len(cell.report_draws) for cell in self.cells)

    def selection_rows(self, cell: Cell) -> int:
        """Rows of a cell's search: a searched seed is one draw per configuration, a replicated one is all."""
        draws = 1 if self.spec.few_shot.seeds == "searched" else len(cell.selection_draws)
        return cell.candidates * draws


def make_plan(spec: SweepSpec, series: Mapping[str, LabelledSeries]) -> SweepPlan:
    """Cross detectors, sources, folds and shots into the cells that exist.

    `labels: none` runs at 0 shots only, `normal` at 0 and K, `all` at K > 0 only. Nothing is searched at 0 shots.

    Parameters
    ----------
    spec
        The checked sweep file.
    series
        Telemetry of every source, by source name.

    Raises
    ------
    PlanError
        The data cannot carry the split or the shots; every problem of every source, one line each.
    """
    settings = {source.source_name: spec.evaluation(source) for source in spec.sources}
    problems = [
        problem
        for name, evaluation in settings.items()
        for problem in check_supply(series[name], evaluation, spec.few_shot.shots)
    ]
    if problems:
        raise PlanError("\n".join(problems))
    digests = {name: series_digest(series[name]) for name in settings}
    folds = {name: hold_out.folds(series[name], each.data.window, each.split) for name, each in settings.items()}
    external = read_external_files(spec, series, settings)
    return SweepPlan(spec, tuple(_cells(spec, digests, folds, external)), settings, digests, external)


def cell_exists(labels: Labels, shots: int) -> bool:
    """Say whether a detector that may see such labels runs at that many shots."""
    return {"none": shots == 0, "normal": True, "all": shots > 0}[labels]


def series_digest(series: LabelledSeries) -> str:
    """Return the hash of everything that trials read of a series; its name and notes are not part of it."""
    state = hashlib.blake2b(digest_size=16)
    for array in (series.timestamps, series.values, series.labels, series.event, series.segment, series.quality):
        state.update(f"{array.dtype.str}{array.shape}".encode())
        for rows in blocks(array):
            state.update(np.ascontiguousarray(array[rows]).view(np.uint8).data)
    events = [[event.start, event.stop, event.fault_type, event.service] for event in series.events]
    state.update(json.dumps([series.columns, series.segments, events, series.step_s, series.simulated]).encode())
    return state.hexdigest()


def _cells(
    spec: SweepSpec,
    digests: Mapping[str, str],
    folds: Mapping[str, Sequence[hold_out.HeldOut | None]],
    external: Mapping[str, ExternalScores],
) -> Iterator[Cell]:
    for source in spec.sources:
        context = _context(spec, source, digests[source.source_name])
        for fold, held_out in enumerate(folds[source.source_name]):
            for shots in sorted(spec.few_shot.shots):
                for name, detector in spec.detectors.items():
                    wanted = not detector.sources or source.source_name in detector.sources
                    if wanted and cell_exists(detector.labels, shots):
                        cell = _cell(spec, name, detector, source.source_name, fold, shots, context)
                        if name in external:  # trials know a file by its content, wherever it lies
                            cell = replace(cell, settings={**cell.settings, "path": external[name].key})
                        yield cell if held_out is None else replace(cell, exposure=held_out.exposure)


def _cell(spec: SweepSpec, name: str, detector: DetectorSpec, source: str, fold: int, shots: int, context: str) -> Cell:
    searched = bool(detector.space) and shots > 0 and detector.labels != "none"
    return Cell(
        detector=name,
        class_path=detector.class_path,
        labels=detector.labels,
        gpu=detector.gpu,
        source=source,
        fold=fold,
        shots=shots,
        settings=detector.settings,
        space=detector.space if searched else {},
        candidates=spec.search.candidates if searched else 0,
        selection_draws=spec.few_shot.selection_seeds.draws,
        report_draws=spec.few_shot.report_seeds.draws,
        context=context,
    )


def _context(spec: SweepSpec, source: DataSettings, data_digest: str) -> str:
    """Hash what the numbers of a row depend on beside its own cell; where files lie is not part of it."""
    few_shot = spec.few_shot.model_dump(mode="json", include={"unit", "shortage", "balance", "seeds"})
    return _digest(
        [
            data_digest,
            source.model_dump(mode="json", exclude={"name", "path", "incidents"}),
            spec.split.model_dump(mode="json"),
            spec.protocol,
            few_shot,
            spec.threshold.model_dump(mode="json"),
            spec.objective.metric,
            [spec.search.select_on, spec.search.sampler, spec.search.seed],
            spec.resources.threads,
        ]
    )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _derived_seed(trial: str, draw: int) -> int:
    """Return a 31-bit seed for the detector, apart from the stream that draws the shots."""
    return int(hashlib.sha256(f"{trial}/{draw}/detector".encode()).hexdigest()[:8], 16) & 0x7FFFFFFF
