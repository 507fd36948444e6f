"""What a trial is asked and what it answers: plain values that travel between driver and workers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trainables.protocol import Scalar
from trainables.settings import DataSettings, FewShotSettings, SplitSettings, ThresholdSettings
from trainables.winner import SavedWinner

Phase = Literal["select", "report"]
Status = Literal["ok", "failed", "timeout", "oom", "pruned", "interrupted"]


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """How a source is cut, drawn from and judged: the same for every detector of a sweep.

    `select_on` is where a selection draw is scored: the validation part, or out-of-fold on the support set.
    `objective` is the metric that the search looks at: one that needs a threshold makes selection draws pay for it.
    """

    data: DataSettings
    split: SplitSettings
    few_shot: FewShotSettings
    threshold: ThresholdSettings
    select_on: Literal["validation", "support_cv"] = "validation"
    objective: str = "average_precision"


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """One draw of one configuration.

    Attributes
    ----------
    detector, class_path
        Name in rows; the user's own `module:Class` or None.
    settings
        The detector's settings, fixed and searched ones merged.
    fold, shots, phase, draw
        Identity of the draw; `draw` is the number in the sweep file.
    seed
        Seed of the detector (derived; not of the draw, which depends on source, K and `draw` alone).
    searched
        True if the configuration was chosen on validation labels, which are then part of the labels spent.
    keep
        True if the fitted detector is to come back with the outcome, as the winner of its cell.
    """

    detector: str
    fold: int
    shots: int
    phase: Phase
    draw: int
    seed: int
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    class_path: str | None = None
    searched: bool = False
    keep: bool = False


@dataclass(frozen=True, slots=True)
class LabelLedger:
    """Labels spent and what the numbers rest on; windows unless named events.

    `held_out` is the kind of fault that the draw was judged on, `exposure` whether it could learn from that kind
    ("unseen", "seen"); None where nothing is held out.
    """

    shots_used: int
    support_windows: int
    support_normal_windows: int
    support_events: int
    reference_windows: int
    validation_labels: int
    validation_events: int
    test_windows: int
    test_events: int
    prevalence: float
    pool_share: float
    held_out: str | None = None
    exposure: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class WindowScores:
    """Scores of one draw, window by window [N], in order of time within segments.

    `event` is -1 outside faults; `fault_type` is "normal" there; `score` is float32 as stored on disk.
    """

    window_end: NDArray[np.datetime64]
    segment: NDArray[np.str_]
    event: NDArray[np.int32]
    fault_type: NDArray[np.str_]
    label: NDArray[np.int8]
    score: NDArray[np.float32]
    predicted_type: NDArray[np.str_] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrialOutcome:
    """The answer to one `TrialRequest`: scores exist only where `status` is ok.

    `metrics` are the names of `trainables.metrics.METRICS`; a metric that is not defined on this draw is None.
    """

    status: Status
    reason: str = ""
    trace: str = ""
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    threshold: float | None = None
    threshold_rule: str = ""
    ledger: LabelLedger | None = None
    scores: WindowScores | None = None
    fit_seconds: float | None = None
    threshold_seconds: float | None = None
    score_seconds: float | None = None
    peak_host_mb: float | None = None
    peak_device_mb: float | None = None
    micro_batch: int | None = None
    checkpointing: bool | None = None
    channels_at_once: int | None = None
    memory_halvings: int | None = None
    trainable_parameters: int | None = None
    effective_scale: float | None = None
    training_steps: int | None = None
    cache_saved_seconds: float | None = None
    device: Literal["cpu", "cuda"] | None = None
    dtype: Literal["fp32", "bf16"] | None = None
    kept_channels: str | None = None
    winner: SavedWinner | None = None
