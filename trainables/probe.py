"""What a draw costs here, measured on a few windows and steps of the real thing before a sweep starts.

A detector is built and fitted on the sweep's own telemetry; its training ends after a few steps, and a few windows
are scored. Seconds are processor seconds on a CPU, so that other programs on the machine do not count, and wall
clock seconds on a GPU.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trainables.data import Parts, draw_support, prepare
from trainables.data.series import LabelledSeries
from trainables.data.windows import LabelledWindows
from trainables.errors import DrawTimeoutError
from trainables.evaluate import visible_support
from trainables.held_out import checked_scores
from trainables.protocol import FaultClassifier, Scalar, TrialResources
from trainables.registry import build_detector
from trainables.stopwatch import Stopwatch, watched
from trainables.trial import EvaluationSettings, TrialRequest
from trainables.watchdog import time_limit

STEPS = 4
"""Training steps that are taken."""

WINDOWS = 24
"""Windows that are scored."""

MOST_SHOTS = 128
"""More shots are not drawn for detectors that train a network: their cost is taken to grow with the shots."""

LIMIT_S = 60.0
"""A detector that takes longer than this is not waited for."""

WARM_UP_S = 300.0
"""The same for its first run, which imports libraries and reads weights."""

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One cell to probe: a draw, and the ends of the space that is searched (equal where nothing is).

    `most_passes` is the detector's own cap on windows seen in training, None if it has none.
    """

    trial: TrialRequest
    low: Mapping[str, Scalar]
    high: Mapping[str, Scalar]
    network: bool
    most_passes: int | None


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of the parts of a draw.

    Attributes
    ----------
    shots
        Windows that were drawn; up to `MOST_SHOTS` for networks.
    fit
        A fit without training steps and looks at held-out windows.
    step, steps
        A training step, and how many a whole fit with the asked-for shots may take; 0 where nothing is stepped.
    look, looks
        A look at held-out windows, and how many a whole fit may take.
    score, query
        A scored window, and one of those that a draw is judged on: there detectors that can also name the fault.
    first_fit, first_score
        Beside these, for a window that frozen weights have not met before: of the shots, and of those scored.
    pool
        Windows that shots are drawn from.
    problem
        Why there are no numbers; "" if there are.
    """

    shots: int = 0
    fit: float = 0.0
    step: float = 0.0
    steps: int = 0
    look: float = 0.0
    looks: int = 0
    score: float = 0.0
    query: float = 0.0
    first_fit: float = 0.0
    first_score: float = 0.0
    pool: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Run:
    fit: float
    score: float
    query: float
    watch: Stopwatch
    frozen: bool


def measure(
    requests: Sequence[ProbeRequest], settings: EvaluationSettings, series: LabelledSeries, resources: TrialResources
) -> list[Measured]:
    """Measure cells of one detector, source and fold, the fewest shots first; a failure becomes a `problem`."""
    clock = time.perf_counter if resources.device == "cuda" else time.process_time
    try:
        parts = prepare(series, settings, requests[0].trial.fold)
        with time_limit(WARM_UP_S, hard=False):
            _run(requests[0].trial, requests[0].low, settings, parts, series, resources, clock, warm_up=True)
    except (Exception, DrawTimeoutError) as err:
        return [_failed(err)] * len(requests)
    return [_measured(request, settings, parts, series, resources, clock) for request in requests]


def _measured(
    request: ProbeRequest,
    settings: EvaluationSettings,
    parts: Parts,
    series: LabelledSeries,
    resources: TrialResources,
    clock: Clock,
) -> Measured:
    shots = min(request.trial.shots, MOST_SHOTS) if request.network else request.trial.shots
    trial = replace(request.trial, shots=shots)
    try:
        with time_limit(LIMIT_S, hard=False):
            low = _run(trial, request.low, settings, parts, series, resources, clock)
            high = low
            if low.frozen or request.low != request.high:  # frozen weights have met the windows the second time
                high = _run(trial, request.high, settings, parts, series, resources, clock)
    except (Exception, DrawTimeoutError) as err:
        return _failed(err)
    runs = [high] if low.frozen else [low, high]
    watch = high.watch
    return Measured(
        shots=shots,
        fit=_mean([run.fit for run in runs]),
        step=_mean(watch.steps),
        steps=_whole_steps(request, watch, shots),
        look=_mean(watch.looks),
        looks=watch.most_looks,
        score=_mean([run.score for run in runs]),
        query=_mean([run.query for run in runs]),
        first_fit=max(low.fit - high.fit, 0.0) / max(shots, 1) if low.frozen else 0.0,
        first_score=max(low.score - high.score, 0.0) if low.frozen else 0.0,
        pool=len(parts.pool),
    )


def _whole_steps(request: ProbeRequest, watch: Stopwatch, shots: int) -> int:
    """Return the steps of a whole fit with the asked-for shots: passes grow with the shots up to the detector's cap."""
    passes = watch.passes * request.trial.shots / shots if shots else watch.passes
    if request.most_passes is not None:
        passes = min(passes, max(request.most_passes, watch.passes))
    return -(-round(passes) // watch.batch)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def _run(
    trial: TrialRequest,
    settings: Mapping[str, Scalar],
    evaluation: EvaluationSettings,
    parts: Parts,
    series: LabelledSeries,
    resources: TrialResources,
    clock: Clock,
    *,
    warm_up: bool = False,
) -> _Run:
    """Fit and score once; a warm-up, which imports libraries, uses another draw and other windows."""
    draw = trial.draw + 1 if warm_up else trial.draw
    shots = min(trial.shots, MOST_SHOTS) if warm_up else trial.shots
    few_shot = evaluation.few_shot
    index = draw_support(parts.pool, source=series.name, shots=shots, draw=draw, few_shot=few_shot)
    scored = _spread(parts.validation, 2) if warm_up else _spread(parts.test, WINDOWS)
    detector = build_detector(trial.detector, settings, replace(resources, seed=trial.seed), trial.class_path)
    support = visible_support(detector, parts.pool.take(index))
    with watched(clock, STEPS) as watch:
        started = clock()
        detector.fit(support, parts.reference)
        fitted = clock()
        checked_scores(detector, scored)
        done = clock()
        if isinstance(detector, FaultClassifier) and "normal" in detector.fault_types:
            detector.classify(scored.unlabelled())
        classified = clock()
    return _Run(
        fit=fitted - started - watch.seconds,
        score=(done - fitted) / len(scored),
        query=(classified - fitted) / len(scored),
        watch=watch,
        frozen=detector.facts.cache_saved_seconds is not None,
    )


def _spread(windows: LabelledWindows, count: int) -> LabelledWindows:
    return windows.take(np.unique(np.linspace(0, len(windows) - 1, count).astype(np.int64)))


def _failed(err: BaseException) -> Measured:
    return Measured(problem=" ".join(f"{type(err).__name__}: {err}".split())[:300])
