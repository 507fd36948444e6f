"""Detectors we own for tests of the machinery: instant ones, and one for each way to fail."""

import os
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from trainables.data.windows import LabelledWindows, Windows
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources


class InstantConfig(DetectorConfig):
    gain: float = 1.0
    choice: int = 1


class Instant:
    """Score = largest absolute value of the last step, times gain."""

    labels: ClassVar[Labels] = "all"
    Config: ClassVar[type[DetectorConfig]] = InstantConfig

    def __init__(self, config: InstantConfig, resources: TrialResources) -> None:
        self.config = config
        self.resources = resources

    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        self.support_ = support
        self.reference_ = reference
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        return self.config.gain * np.abs(windows.table[windows.ends]).max(axis=1).astype(np.float64)

    @property
    def facts(self) -> FitFacts:
        return FitFacts(trainable_parameters=self.config.choice)


class InstantNormal(Instant):
    labels: ClassVar[Labels] = "normal"


class InstantNone(Instant):
    labels: ClassVar[Labels] = "none"


class Raising(Instant):
    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        raise ValueError("planted error")


class RaisingNone(Raising):
    labels: ClassVar[Labels] = "none"


class Leaking(Instant):
    """Fails with a text that quotes the environment, as careless libraries do."""

    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        raise ValueError(f"cannot connect with {dict(os.environ)}")


class Hanging(Instant):
    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        while True:
            time.sleep(0.01)


class HangingInSight(Hanging):
    """Leaves a file named `fit` in TMPDIR before it hangs."""

    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        Path(os.environ["TMPDIR"], "fit").touch()
        return super().fit(support, reference)


class ReturningNan(Instant):
    def score(self, windows: Windows) -> NDArray[np.float64]:
        return np.full(len(windows), np.nan)


class ReturningWrongShape(Instant):
    def score(self, windows: Windows) -> NDArray[np.float64]:
        return np.zeros((len(windows), 2))


class MemoryHungry(Instant):
    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        raise MemoryError("planted: 1 TB asked for")


class Slow(Instant):
    """Takes 0.2 s: long enough to interrupt a sweep in its middle."""

    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        time.sleep(0.2)
        return super().fit(support, reference)


class TwoSeconds(InstantNone):
    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        time.sleep(2)
        return super().fit(support, reference)


class FactsOfAnotherKind(Instant):
    @property
    def facts(self) -> FitFacts:
        return {"trainable_parameters": 1}  # type: ignore[return-value]


class OnCard(Slow):
    """Asks for a GPU, and takes 0.2 s."""

    gpu: ClassVar[bool] = True


class TooLargeForItsSlot(Instant):
    """Runs out of memory wherever a trial on the CPU may use less than 6 GB."""

    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        if (self.resources.host_memory_gb or 0) < 6:
            raise MemoryError(f"planted: {self.resources.host_memory_gb:g} GB are not enough")
        return super().fit(support, reference)
