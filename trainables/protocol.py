"""The contract that every detector fulfils."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from trainables.data.external_scores import ExternalScores
from trainables.data.windows import LabelledWindows, Windows

Labels = Literal["none", "normal", "all"]
Scalar = bool | int | float | str | None


class DetectorConfig(BaseModel):
    """Base of a detector's settings: frozen, bounded, unknown names refused.

    Its fields are the only names that a search space may use for that detector. Those named in `files` are paths,
    relative to the sweep file.
    """

    files: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class TrialResources:
    """What a trial may use.

    Attributes
    ----------
    seed
        Seed of everything random inside the detector (model initialisation, shuffling).
    threads
        CPU threads.
    device
        "cpu" or "cuda".
    gpu_memory_gb
        Cap of device memory in GB; None on the CPU.
    host_memory_gb
        Cap in GB that training on the CPU is divided under; None sets none.
    weights
        Backbone name as written in the sweep file -> local folder, resolved once by the driver.
        A name that is missing here is resolved by the detector itself.
    external
        Scores of other tools, read once by the driver, by the name that `path` of `external` has in a trial.
    """

    seed: int = 0
    threads: int = 1
    device: Literal["cpu", "cuda"] = "cpu"
    gpu_memory_gb: float | None = None
    host_memory_gb: float | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    external: Mapping[str, ExternalScores] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FitFacts:
    """What fitting and scoring did, for the row; filled by detectors that have something to say.

    Attributes
    ----------
    trainable_parameters
        Numbers that were fitted.
    micro_batch
        Windows of a forward pass in training.
    channels_at_once
        Channels of a window that passed at once in training, where memory made it fewer than all.
    effective_scale
        What the adapters' product B A is multiplied with.
    training_steps
        Steps whose result was kept; 0 if held-out windows liked the start best.
    cache_saved_seconds
        What results that came from a cache took when they were computed: add them to know what the work costs.
    dtype
        Floating point in which a network computed: "fp32" or "bf16".
    kept_channels
        "name=measure" of the channels that were kept, the first reason first; None if all were.
    """

    trainable_parameters: int | None = None
    micro_batch: int | None = None
    checkpointing: bool | None = None
    channels_at_once: int | None = None
    memory_halvings: int | None = None
    effective_scale: float | None = None
    training_steps: int | None = None
    cache_saved_seconds: float | None = None
    dtype: Literal["fp32", "bf16"] | None = None
    kept_channels: str | None = None


@runtime_checkable
class Detector(Protocol):
    """Turns windows into scores: higher means more anomalous.

    Construct as `SomeDetector(config, resources)`, where `config` is an instance of `SomeDetector.Config`.

    Attributes
    ----------
    labels
        What `fit` may see: "none" (support is always empty), "normal" (only support windows labelled
        normal; empty at 0 shots), "all" (normal and faulty support windows, at least one).
    Config
        The detector's settings, a subclass of `DetectorConfig`.
    """

    labels: ClassVar[Labels]
    Config: ClassVar[type[DetectorConfig]]

    def __init__(self, config: DetectorConfig, resources: TrialResources) -> None: ...

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:
        """Learn from K labelled windows [K, C, L] (K may be 0) and R unlabelled ones [R, C, L]."""
        ...

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Scores float64 [N], finite, higher = more anomalous; a window's score ignores its neighbours."""
        ...

    @property
    def facts(self) -> FitFacts:
        """What fitting did."""
        ...


@runtime_checkable
class FaultClassifier(Protocol):
    """A detector that can also name the fault type."""

    @property
    def fault_types(self) -> tuple[str, ...]:
        """Names seen in the support set, `normal` among them if it was."""
        ...

    def classify(self, windows: Windows) -> NDArray[np.float64]:
        """Probabilities float64 [N, types], columns in the order of `fault_types`."""
        ...


@runtime_checkable
class Decided(Protocol):
    """A detector whose alarms somebody has decided on already, outside of the sweep."""

    @property
    def own_threshold(self) -> float | None:
        """Lowest score that alarms; None leaves the choice to the rule of the sweep."""
        ...


@runtime_checkable
class ChannelErrors(Protocol):
    """A detector whose score is made of one error a channel, so that it can say which channels drove an alarm."""

    def channel_errors(self, windows: Windows) -> NDArray[np.float64]:
        """Return the errors that the score is made of, float64 [N, C], 0 or more; 0 for a channel it leaves out."""
        ...


@runtime_checkable
class Saveable(Protocol):
    """A detector that writes its own files, where `trainables.saving` cannot save its attributes for it.

    Needed only for attributes other than numbers, text, arrays, scikit-learn estimators, and dataclasses and
    containers of them. `save` writes no pickle and no telemetry.
    """

    def save(self, folder: Path) -> None:
        """Write what `fit` learned into an empty folder."""
        ...

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, resources: TrialResources) -> Self:
        """Return a detector that scores as the saved one did, bit for bit on the same device."""
        ...
