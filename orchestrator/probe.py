"""Costs of a plan measured on this machine before it starts: a few steps and windows of every cell (`--probe`).

As many cells are measured at once as trials will run at once, in processes of their own, so that what trials cost
each other (memory bandwidth, a shared card) is in the numbers.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import wait
from tempfile import TemporaryDirectory

import numpy as np

from orchestrator.errors import PlanError
from orchestrator.estimate import FITS, SPENT, CellCost, Costs, windows_of
from orchestrator.interrupts import SIGNALS, ends_in_order
from orchestrator.plan import Cell, SweepPlan, TrialPlan
from orchestrator.resources import Device, Slots, card_variables, trial_resources
from orchestrator.variables import environment, thread_variables
from orchestrator.weights import resolve_weights, worker_folders
from trainables.data.big_tables import StoredSeries, handed_over, opened
from trainables.data.series import LabelledSeries
from trainables.metrics import METRICS
from trainables.probe import Measured, ProbeRequest, measure
from trainables.protocol import Scalar, TrialResources
from trainables.registry import config_class
from trainables.settings import DataSettings
from trainables.trial import EvaluationSettings

MOST_AT_ONCE = 4
"""Each process holds the telemetry and imports torch."""


@dataclass(frozen=True, slots=True)
class Job:
    """Cells of one detector and source, the fewest shots first, and where they run."""

    cells: tuple[Cell, ...]
    on_gpu: bool


def probe(plan: SweepPlan, series: Mapping[str, LabelledSeries], slots: Slots) -> Costs:
    """Measure what the draws of every cell cost; folds of a source cost the same and are measured once.

    Raises
    ------
    PlanError
        A process of the probe died.
    WeightsError
        A backbone cannot be had.
    """
    started = time.monotonic()
    weights = worker_folders(resolve_weights(plan))
    external = {said.key: said for said in plan.external.values()}
    jobs = _jobs(plan, slots)
    with ends_in_order(), TemporaryDirectory(prefix="sweep-probe-") as cache:
        variables = {**thread_variables(slots.threads), **card_variables(slots), "FEWSHOT_CACHE": cache}
        with environment(variables):
            found: dict[str, Measured] = {}
            for on_gpu in (True, False):
                mine = [job for job in jobs if job.on_gpu == on_gpu]
                device: Device = "cuda" if on_gpu else "cpu"
                resources = trial_resources(plan.spec.resources, device, weights, external)
                found |= _measured(plan, series, mine, resources, _at_once(slots, on_gpu=on_gpu))
    problems = [f"{name}: {one.problem}" for name, one in found.items() if one.problem]
    if problems:
        return Costs({}, "", f"the probe failed on {'; '.join(problems)}")
    cells = {cell.name: cost for job in jobs for cell, cost in _costs(plan, series, job, found)}
    cells = {cell.name: cells[_probed(plan, cell).name] for cell in plan.cells}
    kind = "seconds of cards" if slots.gpu else "processor seconds"
    return Costs(cells, f"measured here: {kind} of {len(found)} cells, {time.monotonic() - started:.0f} s of probing")


def _jobs(plan: SweepPlan, slots: Slots) -> list[Job]:
    grouped: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        if _probed(plan, cell) is cell:
            grouped.setdefault((cell.detector, cell.source), []).append(cell)
    jobs = [Job(tuple(cells), cells[0].gpu and slots.gpu > 0) for cells in grouped.values()]
    return sorted(jobs, key=lambda job: not job.cells[0].gpu)  # networks take longest and begin


def _probed(plan: SweepPlan, cell: Cell) -> Cell:
    """Return the cell of the first fold that is measured for this one."""
    return next(
        one for one in plan.cells if (one.detector, one.source, one.shots) == (cell.detector, cell.source, cell.shots)
    )


def _at_once(slots: Slots, *, on_gpu: bool) -> int:
    return min(MOST_AT_ONCE, slots.trials_per_gpu if on_gpu else slots.concurrent)


def _measured(
    plan: SweepPlan,
    series: Mapping[str, LabelledSeries],
    jobs: Sequence[Job],
    resources: TrialResources,
    workers: int,
) -> dict[str, Measured]:
    if not jobs:
        return {}
    context = multiprocessing.get_context("spawn")
    found: dict[str, Measured] = {}
    with ProcessPoolExecutor(
        min(workers, len(jobs)),
        context,
        initializer=_keep,
        initargs=(plan.settings, handed_over(series), resources),
    ) as pool:
        waiting: list[tuple[Job, Future[list[Measured]]]] = []
        try:
            with _undisturbed_start():
                for job in jobs:
                    requests = [_request(cell) for cell in job.cells]
                    waiting.append((job, pool.submit(_measure, job.cells[0].source, requests)))
            for job, future in waiting:
                found |= dict(zip([cell.name for cell in job.cells], future.result(), strict=True))
        except BrokenProcessPool as err:
            raise PlanError(f"--probe: its process died while it measured {job.cells[0].detector}") from err
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():  # those of the pool: a probe starts no others
                process.kill()
            raise
    return found


@contextmanager
def _undisturbed_start() -> Iterator[None]:
    """Put signals off while processes start; these inherit that, and never hear a Ctrl-C: this process ends them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)


_kept: list[tuple[Mapping[str, EvaluationSettings], Mapping[str, LabelledSeries], TrialResources]] = []
"""In a process of the probe: what all its jobs share."""


def _keep(
    settings: Mapping[str, EvaluationSettings],
    series: Mapping[str, LabelledSeries | StoredSeries],
    resources: TrialResources,
) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _kept.append((settings, opened(series), resources))


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, whatever became of it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _measure(source: str, requests: list[ProbeRequest]) -> list[Measured]:
    settings, series, resources = _kept[0]
    return measure(requests, settings[source], series[source], resources)


def _request(cell: Cell) -> ProbeRequest:
    draw = cell.report_draws[0]
    most = {**_defaults(cell), **cell.settings}.get("max_window_passes")
    return ProbeRequest(
        TrialPlan(cell, "report", None, {}, (draw,)).request(draw),
        low={**cell.settings, **{name: dimension.values[0] for name, dimension in cell.space.items()}},
        high={**cell.settings, **{name: dimension.values[-1] for name, dimension in cell.space.items()}},
        network=cell.gpu,
        most_passes=most if isinstance(most, int) else None,
    )


def _defaults(cell: Cell) -> dict[str, Scalar]:
    fields = config_class(cell.detector, cell.class_path).model_fields
    return {name: field.default for name, field in fields.items() if not field.is_required()}


def _costs(
    plan: SweepPlan, series: Mapping[str, LabelledSeries], job: Job, found: Mapping[str, Measured]
) -> list[tuple[Cell, CellCost]]:
    """Put the parts together: a draw fits and scores, a threshold takes the reference or further fits.

    Frozen weights compute each window once for all cells of a detector: the cell with most shots pays.
    """
    cells = job.cells
    parts = [found[cell.name] for cell in cells]
    fits = _Fits([cell.shots for cell in cells], parts)
    counts = _Counts.of(plan, cells[0], series[cells[0].source])
    costs = []
    for cell, one in zip(cells, parts, strict=True):
        decides = fits.out_of_fold(cell) + counts.reference * one.score
        once = 0.0
        if cell is cells[-1]:
            draws = len(cell.selection_draws) * bool(cell.candidates) + len(cell.report_draws)
            drawn = min(one.pool, draws * cell.shots)
            scored = counts.reference + counts.test + counts.validation * bool(cell.candidates)
            once = drawn * max(p.first_fit for p in parts) + scored * max(p.first_score for p in parts)
        each = one.query if plan.spec.objective.metric == "macro_f1" else one.score
        select = fits.seconds(cell.shots) + counts.validation * each
        if counts.selection_decides:
            select += decides
        costs.append((cell, CellCost(select, fits.seconds(cell.shots) + decides + counts.test * one.query, once)))
    return costs


@dataclass(frozen=True, slots=True)
class _Counts:
    """Windows of each part, and whether a selection draw needs a threshold or held-out scores, too."""

    reference: int
    validation: int
    test: int
    selection_decides: bool

    @classmethod
    def of(cls, plan: SweepPlan, cell: Cell, series: LabelledSeries) -> "_Counts":
        data: DataSettings = plan.settings[cell.source].data
        reference, validation, test = (
            windows_of(data, part, len(series)) for part in ("reference", "validation", "test")
        )
        decides = METRICS[plan.spec.objective.metric].needs_threshold or plan.spec.search.select_on == "support_cv"
        return cls(reference, validation, test, decides)


class _Fits:
    """Seconds of a fit by shots: of training, and of the rest, which grows with the shots in a straight line.

    Training is stopped by its held-out windows after `SPENT` of its steps; where nothing is held out it is not.
    """

    def __init__(self, asked: Sequence[int], parts: Sequence[Measured]) -> None:
        self._asked = np.asarray(asked, dtype=float)
        self._training = np.asarray([_share(one) * one.steps * one.step for one in parts])
        shots = np.asarray([one.shots for one in parts], dtype=float)
        rest = np.asarray([one.fit + _share(one) * one.looks * one.look for one in parts])
        self._extrapolates = bool((shots < self._asked).any())
        self._shots, self._rest = shots, rest
        distinct = len(np.unique(shots)) > 1
        self._line = np.polyfit(shots, rest, 1) if distinct else np.array([rest[-1] / max(shots[-1], 1), 0.0])

    def seconds(self, shots: float) -> float:
        """Return the seconds of one fit."""
        training = float(np.interp(shots, self._asked, self._training))
        if self._extrapolates and shots > self._shots.max():
            return training + float(max(np.polyval(self._line, shots), self._rest[-1]))
        return training + float(np.interp(shots, self._shots, self._rest))

    def out_of_fold(self, cell: Cell) -> float:
        """Return the seconds of the further fits that a threshold takes, each on two thirds of the shots."""
        return (FITS - 1) * self.seconds(cell.shots * 2 / 3) if cell.labels == "all" else 0.0


def _share(one: Measured) -> float:
    return SPENT if one.looks else 1.0
