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

from trainables.data import Parts, audit, draw_support, prepare
from trainables.data.series import LabelledSeries
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DrawTimeoutError, ProtocolError, is_out_of_memory
from trainables.held_out import HeldOutScores, checked_scores, held_out_scores, why_not_held_out
from trainables.metrics import METRICS, compute_metrics
from trainables.protocol import Decided, Detector, FaultClassifier, TrialResources
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
from trainables.winner import SavedWinner, describe, with_files
from trainables.winner_manifest import UNSAVED


def run_trial(
    request: TrialRequest, settings: EvaluationSettings, series: LabelledSeries, resources: TrialResources
) -> TrialOutcome:
    """Fit a detector on one few-shot draw and judge it; a failure becomes a status and a reason, never a score.

    A selection draw is judged where `settings.select_on` says, a report draw on the test part.
    `resources.seed` is replaced by the seed of the request.
    """
    memory = _PeakMemory(on_gpu=resources.device == "cuda")
    resources = replace(resources, seed=request.seed)
    try:
        with memory:
            outcome, detector = _run(request, settings, series, resources)
        if request.keep:
            outcome = replace(outcome, winner=_winner(request, settings, series, resources, outcome, detector))
    except DrawTimeoutError as err:
        outcome = _failure("timeout", err)
    except Exception as err:  # the trial boundary: whatever a detector raises becomes a row
        outcome = _failure("oom" if is_out_of_memory(err) else "failed", err)
    return replace(outcome, peak_host_mb=memory.peak_mb, peak_device_mb=memory.peak_device_mb)


def _run(
    request: TrialRequest, settings: EvaluationSettings, series: LabelledSeries, resources: TrialResources
) -> tuple[TrialOutcome, Detector]:
    parts = _prepared(series, settings, request.fold)
    few_shot = settings.few_shot
    index = draw_support(parts.pool, source=series.name, shots=request.shots, draw=request.draw, few_shot=few_shot)
    support = parts.pool.take(index)
    audit(parts, support)

    def build() -> Detector:
        return build_detector(request.detector, request.settings, resources, request.class_path)

    started = time.perf_counter()
    detector = build()
    detector.fit(visible_support(detector, support), parts.reference)
    fitted = time.perf_counter()
    held_out, threshold, rule = _threshold(request, settings, detector, build, support, parts.reference)
    decided = time.perf_counter()
    if held_out is not None and held_out.support is not None and _judged_on_support(request, settings):
        query = support
        scores = _window_scores(series, query, held_out.support, None)
    else:
        query = parts.test if request.phase == "report" else parts.validation
        classifier = detector if _names_faults(request, settings) else None
        scores = _window_scores(series, query, checked_scores(detector, query), classifier)
    scored = time.perf_counter()
    facts = detector.facts
    outcome = TrialOutcome(
        status="ok",
        metrics=compute_metrics(scores, threshold, series.step_s),
        threshold=threshold,
        threshold_rule=rule,
        ledger=_ledger(request, settings, parts, support, query),
        scores=scores,
        fit_seconds=fitted - started,
        threshold_seconds=decided - fitted,
        score_seconds=scored - decided,
        micro_batch=facts.micro_batch,
        checkpointing=facts.checkpointing,
        channels_at_once=facts.channels_at_once,
        memory_halvings=facts.memory_halvings,
        trainable_parameters=facts.trainable_parameters,
        effective_scale=facts.effective_scale,
        training_steps=facts.training_steps,
        cache_saved_seconds=facts.cache_saved_seconds,
        device=resources.device,
        dtype=facts.dtype,
        kept_channels=facts.kept_channels,
    )
    return outcome, detector


def _winner(
    request: TrialRequest,
    settings: EvaluationSettings,
    series: LabelledSeries,
    resources: TrialResources,
    outcome: TrialOutcome,
    detector: Detector,
) -> SavedWinner:
    """Return the fitted detector in files; one that cannot be saved says why, and its draw stands all the same."""
    parts = _prepared(series, settings, request.fold)
    winner = describe(request, settings, parts, resources, (outcome.threshold or 0.0, outcome.threshold_rule))
    if getattr(detector, "unsaved", False):
        return winner.without_files(UNSAVED)
    try:
        return with_files(winner, detector, parts, resources)
    except (Exception, DrawTimeoutError) as err:  # whatever a user's own class does: a score must not be lost to it
        return winner.without_files(_reason(err))


def _names_faults(request: TrialRequest, settings: EvaluationSettings) -> bool:
    """Say whether fault types are wanted: a selection draw is asked only for what its objective needs."""
    return request.phase == "report" or settings.objective == "macro_f1"


def _judged_on_support(request: TrialRequest, settings: EvaluationSettings) -> bool:
    return request.phase == "select" and settings.select_on == "support_cv"


def _threshold(
    request: TrialRequest,
    settings: EvaluationSettings,
    detector: Detector,
    build: Callable[[], Detector],
    support: LabelledWindows,
    reference: Windows,
) -> tuple[HeldOutScores | None, float | None, str]:
    """Return out-of-fold scores (None if there are none), the threshold and its rule.

    A selection draw whose objective needs no threshold has none: scoring the reference for it would take a network
    as long as scoring the validation part. Out-of-fold scores cost a few more fits of a detector that saw faults.
    """
    own = detector.own_threshold if isinstance(detector, Decided) else None
    if own is not None:
        return None, own, "as it alarms by itself"
    judged = _judged_on_support(request, settings)
    if request.phase == "select" and not judged and not METRICS[settings.objective].needs_threshold:
        return None, None, "none (the objective needs no threshold)"
    held_out, note = None, ""
    if detector.labels == "all":
        by_support = settings.threshold.rule == "support_f1"
        why_not = why_not_held_out(support)
        if why_not is None:
            held_out = held_out_scores(build, support, reference, of_support=by_support or judged)
            note = "" if by_support else ", out of fold"
        elif judged or by_support:
            raise ProtocolError(f"no out-of-fold scores: {why_not}")
        else:
            note = f", in sample ({why_not})"
    elif judged:
        raise ProtocolError(
            f"select_on: support_cv needs a detector that sees fault labels; {request.detector} does not"
        )
    threshold, rule = choose_threshold(
        settings.threshold,
        reference_scores=checked_scores(detector, reference) if held_out is None else held_out.reference,
        spacing_s=_spacing_s(reference),
        support_scores=None if held_out is None else held_out.support,
        support_y=support.y,
    )
    return held_out, threshold, rule + note


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
        held_out=None if parts.held_out is None else parts.held_out.kind,
        exposure=None if parts.held_out is None else parts.held_out.exposure,
    )


def _events(windows: LabelledWindows) -> int:
    return len(np.unique(windows.event[windows.y == 1]))


def _reason(err: BaseException) -> str:
    return " ".join(f"{type(err).__name__}: {err}".split())[:500]


def _failure(status: Status, err: BaseException) -> TrialOutcome:
    return TrialOutcome(status=status, reason=_reason(err), trace="".join(traceback.format_exception(err)))


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
