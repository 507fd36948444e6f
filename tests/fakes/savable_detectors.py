"""Detectors whose winners are saved, or not, each in its own way."""

import pickle
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tests.fakes.detectors import InstantConfig
from trainables.data.windows import LabelledWindows, Windows
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources


class Levels:
    """Score = largest distance of the last step from the mean of the normal shots, times gain."""

    labels: ClassVar[Labels] = "all"
    Config: ClassVar[type[DetectorConfig]] = InstantConfig

    def __init__(self, config: InstantConfig, resources: TrialResources) -> None:
        self.config = config
        self.seed = resources.seed

    def fit(self, support: LabelledWindows, reference: Windows) -> "Levels":
        normal = support.take(support.y == 0)
        self.level = normal.table[normal.ends].mean(axis=0)
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        distance = np.abs(windows.table[windows.ends] - self.level).astype(np.float64)
        return self.config.gain * distance.max(axis=1)

    @property
    def facts(self) -> FitFacts:
        return FitFacts()


class OnceConfig(InstantConfig):
    marker: str = ""


class FailingOnce(Levels):
    """Its first fit on the whole support set fails; the marker file remembers it."""

    Config: ClassVar[type[DetectorConfig]] = OnceConfig

    def fit(self, support: LabelledWindows, reference: Windows) -> "Levels":
        marker = Path(self.config.marker)
        if not marker.exists():
            marker.touch()
            raise ValueError("planted: the first fit fails")
        return super().fit(support, reference)


class Unsaved(Levels):
    unsaved: ClassVar[bool] = True


class RaisingOnSave(Levels):
    def save(self, folder: Path) -> None:
        raise RuntimeError("planted: no save")

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, resources: TrialResources) -> "Levels":
        raise AssertionError


class Forgetting(Levels):
    """Loads something else than what it saved."""

    def save(self, folder: Path) -> None:
        np.save(folder / "level.npy", self.level + 1)

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, resources: TrialResources) -> "Levels":
        detector = cls(config, resources)
        detector.level = np.load(folder / "level.npy")
        return detector


class OwnPickle(Levels):
    def save(self, folder: Path) -> None:
        (folder / "level.pkl").write_bytes(pickle.dumps(self.level))

    @classmethod
    def load(cls, folder: Path, config: DetectorConfig, resources: TrialResources) -> "Levels":
        detector = cls(config, resources)
        detector.level = pickle.loads((folder / "level.pkl").read_bytes())
        return detector


class SlowToSave(Levels):
    """Saving it takes longer than a draw may last."""

    def save(self, folder: Path) -> None:
        time.sleep(60)

    @classmethod
    def load(cls, folder: Path, config: InstantConfig, resources: TrialResources) -> "SlowToSave":
        return cls(config, resources)


class PacedConfig(InstantConfig):
    pace: float = 0.05


class Paced(Levels):
    """Takes its time: long enough for something to happen to it."""

    Config: ClassVar[type[DetectorConfig]] = PacedConfig

    def fit(self, support: LabelledWindows, reference: Windows) -> "Levels":
        time.sleep(self.config.pace)
        return super().fit(support, reference)


class PacedNormal(Paced):
    """Needs no labelled fault."""

    labels: ClassVar[Labels] = "normal"

    def fit(self, support: LabelledWindows, reference: Windows) -> "Levels":
        time.sleep(self.config.pace)
        self.level = reference.table[reference.ends].mean(axis=0)
        return self
