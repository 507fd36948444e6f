"""run_trial: data + detector + draw -> outcome. Plain Python, no Ray, and the one place that catches everything."""

import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from threading import Event, Thread
from types import TracebackType
from typing import Self

import numpy as np
import psutil
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from trainables.data import Parts, audit, draw_support, prepare
from trainables.data.series import LabelledSeries
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError, DrawTimeoutError, NonFiniteError, ProtocolError
from trainables.metrics import compute_metrics
from trainables.protocol import Detector, FaultClassifier, TrialResources
from trainables.registry import build_detector
from trainables.thresholds import choose_threshold
from trainables.trial import (
    EvaluationSettings,
    LabelLedger,
    Status,
    TrialOutcome,
    TrialRequest,
    WindowScores,
)

SUPPORT_FOLDS = 3
"""Folds of out-of-fold support scores: few, since every fold is one more fit."""


def run_trial(
    request: TrialRequest, settings: EvaluationSettings, series: LabelledSeries, resources: TrialResources
) -> TrialOutcome:
    """Fit a detector on one few-shot draw and judge it; a failure becomes a status and a reason, never a score.

    A selection draw is judged where `settings.select_on` says, a report draw on the test part.
    `resources.seed` is replaced by the seed of the request.
    """
    memory = _PeakMemory(on_gpu=resources.device == "cuda")
    try:
        with memory:
            outcome = _run(request, settings, series, replace(resources, seed=request.seed))
    except DrawTimeoutError as err:
        outcome = _failure("timeout", err)
    except MemoryError as err:
        outcome = _failure("oom", err)
    except Exception as err:  # the trial boundary: whatever a detector raises becomes a row
        outcome = _failure("oom" if type(err).__name__ == "OutOfMemoryError" else "failed", err)
    return replace(outcome, peak_host_mb=memory.peak_mb, peak_device_mb=memory.peak_device_mb)


def _run(
    request: TrialRequest, settings: EvaluationSettings, series: LabelledSeries, resources: TrialResources
) -> TrialOutcome:
    parts = _prepared(series, settings, request.fold)
    few_shot = settings.few_shot
    index = draw_support(parts.pool, source=series.name, shots=request.shots, draw=request.draw, few_shot=few_shot)
    support = parts.pool.take(index)
    audit(parts, support)

    def build() -> Detector:
        return build_detector(request.detector, request.settings, resources, request.class_path)

    started = time.perf_counter()
    detector = build()
    on_support = request.phase == "select" and settings.select_on == "support_cv"
    if on_support and detector.labels != "all":
        raise ProtocolError(
            f"select_on: support_cv needs a detector that sees fault labels; {request.detector} does not"
        )
    detector.fit(visible_support(detector, support), parts.reference)
    fitted = time.perf_counter()
    # a detector that sees no fault labels has no reason to spend them on its threshold
    wants_support = on_support or (settings.threshold.rule == "support_f1" and detector.labels == "all")
    support_scores = _out_of_fold(build, support, parts.reference) if wants_support else None
    reference_scores = _scores(detector, parts.reference)
    threshold, rule = choose_threshold(
        settings.threshold,
        reference_scores=reference_scores,
        spacing_s=_spacing_s(parts.reference),
        support_scores=support_scores,
        support_y=support.y,
    )
    if on_support and support_scores is not None:
        query = support
        scores = _window_scores(series, query, support_scores, None)
    else:
        query = parts.test if request.phase == "report" else parts.validation
        scores = _window_scores(series, query, _scores(detector, query), detector)
    scored = time.perf_counter()
    facts = detector.facts
    return TrialOutcome(
        status="ok",
        metrics=compute_metrics(scores, threshold, series.step_s),
        threshold=threshold,
        threshold_rule=rule,
        ledger=_ledger(request, settings, parts, support, query),
        scores=scores,
        fit_seconds=fitted - started,
        score_seconds=scored - fitted,
        micro_batch=facts.micro_batch,
        trainable_parameters=facts.trainable_parameters,
        effective_scale=facts.effective_scale,
    )


def visible_support(detector: Detector, support: LabelledWindows) -> LabelledWindows:
    """Return the part of the support set that the detector's `labels` allow it to see."""
    if detector.labels == "all":
        return support
    allowed = support.y == 0 if detector.labels == "normal" else np.zeros(len(support), dtype=bool)
    return support.take(allowed)


def _prepared(series: LabelledSeries, settings: EvaluationSettings, fold: int) -> Parts:
    """Return the parts of a series, made once per process for each series, split and fold."""
    key = (id(series), fold, repr(settings.data), repr(settings.split))
    if key not in _PREPARED:
        while len(_PREPARED) >= _PREPARED_MAX:
            _PREPARED.pop(next(iter(_PREPARED)))
        _PREPARED[key] = (series, prepare(series, settings, fold))
    return _PREPARED[key][1]


_PREPARED_MAX = 4
_PREPARED: dict[tuple[int, int, str, str], tuple[LabelledSeries, Parts]] = {}
"""The series is kept beside its parts, so that its id is not given to another one."""


def _scores(detector: Detector, windows: Windows) -> NDArray[np.float32]:
    """Return checked scores [N], rounded to the precision of the score file."""
    plain = windows.unlabelled() if isinstance(windows, LabelledWindows) else windows
    values = np.asarray(detector.score(plain), dtype=np.float64)
    if values.shape != (len(windows),):
        raise DetectorError(f"score returned shape {values.shape}, expected ({len(windows)},)")
    rounded = values.astype(np.float32)
    if not np.isfinite(rounded).all():
        bad = int((~np.isfinite(rounded)).sum())
        raise NonFiniteError(f"{bad} of {len(windows)} scores are NaN or infinite")
    return rounded


def _out_of_fold(build: Callable[[], Detector], support: LabelledWindows, reference: Windows) -> NDArray[np.float32]:
    """Return a score for every support window from a detector that did not see its event or its neighbours."""
    events = _events(support)
    if events < 2 or (support.y == 0).sum() < 2:
        raise ProtocolError(
            f"out-of-fold support scores need two faults and two normal windows; "
            f"this draw has {events} and {(support.y == 0).sum()}"
        )
    neighbourhood = support.ends // (4 * support.length)
    groups = np.where(support.y == 1, support.event, -1 - neighbourhood)
    splitter = StratifiedGroupKFold(n_splits=min(SUPPORT_FOLDS, events))
    values = np.full(len(support), np.nan, dtype=np.float32)
    for train, held_out in splitter.split(support.ends, support.y, groups):
        detector = build()
        detector.fit(support.take(train), reference)
        values[held_out] = _scores(detector, support.take(held_out))
    return values


def _spacing_s(windows: Windows) -> float:
    """Return the seconds that one window of a thinned set stands for."""
    gaps = np.diff(windows.ends)
    return float(np.median(gaps)) * windows.step_s if len(gaps) else windows.step_s


def _window_scores(
    series: LabelledSeries, query: LabelledWindows, values: NDArray[np.float32], classifier: object
) -> WindowScores:
    predicted = None
    if isinstance(classifier, FaultClassifier) and "normal" in classifier.fault_types:
        likelihood = classifier.classify(query.unlabelled())  # [N, types]
        predicted = np.asarray(classifier.fault_types, dtype=np.str_)[likelihood.argmax(axis=1)]
    segment_names = np.asarray(series.segments, dtype=np.str_)
    return WindowScores(
        window_end=series.timestamps[query.ends],
        segment=segment_names[series.segment[query.ends]],
        event=query.event,
        fault_type=query.fault_type,
        label=query.y,
        score=values,
        predicted_type=predicted,
    )


def _ledger(
    request: TrialRequest,
    settings: EvaluationSettings,
    parts: Parts,
    support: LabelledWindows,
    query: LabelledWindows,
) -> LabelLedger:
    spends_validation = settings.select_on == "validation" and (request.searched or request.phase == "select")
    return LabelLedger(
        shots_used=_events(support) if settings.few_shot.unit == "events" else len(support),
        support_windows=len(support),
        support_normal_windows=int((support.y == 0).sum()),
        support_events=_events(support),
        reference_windows=len(parts.reference),
        validation_labels=len(parts.validation) if spends_validation else 0,
        validation_events=_events(parts.validation) if spends_validation else 0,
        test_windows=len(query),
        test_events=_events(query),
        prevalence=float(query.y.mean()),
        pool_share=len(support) / len(parts.pool),
    )


def _events(windows: LabelledWindows) -> int:
    return len(np.unique(windows.event[windows.y == 1]))


def _failure(status: Status, err: BaseException) -> TrialOutcome:
    reason = " ".join(f"{type(err).__name__}: {err}".split())[:500]
    return TrialOutcome(status=status, reason=reason, trace="".join(traceback.format_exception(err)))


class _PeakMemory:
    """Resident memory of this process, sampled while the block runs, and the allocator's peak on a GPU."""

    interval_s = 0.05

    def __init__(self, *, on_gpu: bool) -> None:
        self.peak_mb = 0.0
        self.peak_device_mb: float | None = None
        self._on_gpu = on_gpu
        self._done = Event()
        self._process = psutil.Process()
        self._thread = Thread(target=self._sample, daemon=True, name="peak-memory")

    def __enter__(self) -> Self:
        if self._on_gpu:
            import torch  # noqa: PLC0415  (baselines run without it)

            torch.cuda.reset_peak_memory_stats()  # a reused process would report its largest draw for all
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        if self._on_gpu:
            import torch  # noqa: PLC0415

            self.peak_device_mb = torch.cuda.max_memory_allocated() / 2**20

    def _sample(self) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, self._process.memory_info().rss / 2**20)
            if self._done.wait(self.interval_s):
                break
