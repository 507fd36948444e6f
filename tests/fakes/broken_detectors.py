"""A sound detector, and one copy of it for each way to break the contract."""

import pickle
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import MissingPackageError
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources


class SoundConfig(DetectorConfig):
    steps: int = Field(default=2, ge=1)


def recent(windows: Windows, steps: int) -> NDArray[np.float64]:
    """Mean of the last steps [N, C]."""
    if not len(windows):
        return np.empty((0, windows.channels))
    return windows.x[:, :, -steps:].astype(np.float64).mean(axis=2)


class Sound:
    """Score: largest recent level of any channel. Type: the nearest mean of the support set."""

    labels: ClassVar[Labels] = "all"
    Config: ClassVar[type[DetectorConfig]] = SoundConfig

    def __init__(self, config: SoundConfig, resources: TrialResources) -> None:
        self.config = config
        self.seed = resources.seed

    def fit(self, support: LabelledWindows, reference: Windows) -> "Sound":
        self.fault_types = tuple(sorted(set(support.fault_type.tolist())))
        levels = recent(support, self.config.steps)
        self.means = np.stack([levels[support.fault_type == name].mean(axis=0) for name in self.fault_types])
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        return recent(windows, self.config.steps).max(axis=1)

    def classify(self, windows: Windows) -> NDArray[np.float64]:
        distance = np.linalg.norm(recent(windows, self.config.steps)[:, None] - self.means, axis=2)  # [N, types]
        closeness = np.exp(-(distance - distance.min(axis=1, keepdims=True)))
        return closeness / closeness.sum(axis=1, keepdims=True)

    @property
    def facts(self) -> FitFacts:
        return FitFacts()


class Quiet:
    """Sees no labels and names no faults."""

    labels: ClassVar[Labels] = "none"
    Config: ClassVar[type[DetectorConfig]] = SoundConfig
    __init__ = Sound.__init__
    score = Sound.score
    facts = Sound.facts

    def fit(self, support: LabelledWindows, reference: Windows) -> "Quiet":
        return self


class QuietNormal(Quiet):
    labels: ClassVar[Labels] = "normal"


class UnknownLabels(Quiet):
    labels = "some"


class ListedLabels(Quiet):
    labels: ClassVar = ["none"]


class ConfigAsADict(Quiet):
    Config: ClassVar = {"steps": 2}


class ScoreAsANumber(Quiet):
    score = 3


class ThawedConfig(DetectorConfig):
    model_config = ConfigDict(frozen=False)
    steps: int = 2


class WithThawedConfig(Quiet):
    Config = ThawedConfig


class LooseConfig(DetectorConfig):
    model_config = ConfigDict(frozen=True, extra="ignore")
    steps: int = 2


class AcceptingAnything(Quiet):
    Config = LooseConfig


class NotReturningSelf(Quiet):
    def fit(self, support, reference):
        pass


class TwoScoresAWindow(Quiet):
    def score(self, windows):
        return recent(windows, 2)[:, :2]


class SinglePrecision(Quiet):
    def score(self, windows):
        return super().score(windows).astype(np.float32)


class Overflowing(Quiet):
    def score(self, windows):
        return super().score(windows) ** 9  # beyond float32 on heavy tails, not on noise


class Falling(Quiet):
    def score(self, windows):
        return -super().score(windows)


class ScoringShiftsDown(Quiet):
    """Right on spikes only: both faults raise the last step, only a shift the one before half a window."""

    def score(self, windows):
        return recent(windows, 2).max(axis=1) - 3 * recent(windows, 12).max(axis=1)


class Unseeded(Quiet):
    def fit(self, support, reference):
        self.noise = np.random.default_rng().normal()
        return self

    def score(self, windows):
        return super().score(windows) + self.noise


class Restless(Quiet):
    def score(self, windows):
        return super().score(windows) + np.random.default_rng().normal(size=len(windows))


class Counting(Quiet):
    calls = 0

    def score(self, windows):
        self.calls += 1
        return super().score(windows)


class WritingIntoInputs(Quiet):
    def score(self, windows):
        scores = super().score(windows)
        if windows.table.flags.writeable:
            windows.table[windows.ends] = 0.0
        return scores


class ScalingByTheBatch(Quiet):
    def score(self, windows):
        scores = super().score(windows)
        return scores / np.abs(scores).max()


class NeedingTwoShots(Sound):
    def fit(self, support, reference):
        if len(support) < 2:
            raise ValueError("needs two windows")
        return super().fit(support, reference)


class NeedingBothClasses(Sound):
    def fit(self, support, reference):
        if len(support) > 1 and len(np.unique(support.y)) == 1:
            raise ValueError("needs both classes")
        return super().fit(support, reference)


class DividingBySpread(Quiet):
    def fit(self, support, reference):
        self.spread = recent(reference, 2).std(axis=0)
        return self

    def score(self, windows):
        with np.errstate(invalid="ignore"):
            return (recent(windows, 2) / self.spread).max(axis=1)


class NeedingShots(QuietNormal):
    def fit(self, support, reference):
        if not len(support):
            raise ValueError("needs shots")
        return self


class HoldingAFunction(Quiet):
    def fit(self, support, reference):
        self.squash = lambda values: values
        return self


class ForgettingItsState(Quiet):
    """Its files hold nothing, so that what it learned is lost."""

    offset = 0.0

    def fit(self, support, reference):
        self.offset = 1.0
        return self

    def score(self, windows):
        return super().score(windows) + self.offset

    def save(self, folder):
        (folder / "empty.json").write_text("{}")

    @classmethod
    def load(cls, folder, config, resources):
        return cls(config, resources)


class SavingAPickle(ForgettingItsState):
    def save(self, folder):
        (folder / "model.pkl").write_bytes(pickle.dumps(self.offset))

    @classmethod
    def load(cls, folder, config, resources):
        detector = cls(config, resources)
        detector.offset = pickle.loads((folder / "model.pkl").read_bytes())
        return detector


class HoldingTelemetry(Quiet):
    def fit(self, support, reference):
        self.reference = reference
        return self


class BlamingOneChannel(Quiet):
    def channel_errors(self, windows):
        return np.eye(windows.channels)[np.full(len(windows), 3)]


class ErrorsWithASign(Quiet):
    def channel_errors(self, windows):
        return recent(windows, self.config.steps)


class PeekingAtFaults(Quiet):
    def fit(self, support, reference):
        self.offset = float(support.y.sum())
        return self

    def score(self, windows):
        return super().score(windows) + self.offset


class PeekingAtTypes(QuietNormal):
    def fit(self, support, reference):
        self.offset = len(set(support.fault_type.tolist()))
        return self

    def score(self, windows):
        return super().score(windows) + self.offset


class FactsAsADict(Quiet):
    facts = property(lambda self: {"trainable_parameters": 0})


class UnevenRows(Sound):
    def classify(self, windows):
        return super().classify(windows) * 0.5


class WrongNames(Sound):
    def classify(self, windows):
        return super().classify(windows)[:, [1, 0, 2]]


class BareConstructor(Quiet):
    def __init__(self):
        pass


class RefusingConstruction(Quiet):
    def __init__(self, config, resources):
        raise ValueError("needs a licence")


SomeInstance = Quiet(SoundConfig(), TrialResources())


class LackingAPackage(Quiet):
    def fit(self, support, reference):
        raise MissingPackageError("needs some_package: pip install some_package")


class ImportingWhatIsNotThere(Quiet):
    def fit(self, support, reference):
        import no_such_package

        return no_such_package
