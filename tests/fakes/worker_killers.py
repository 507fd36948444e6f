"""Detectors that end, block or fill the process that runs them."""

import os
import re
import threading
from pathlib import Path
from typing import ClassVar

from tests.fakes.detectors import Instant, InstantConfig
from trainables.data.windows import LabelledWindows, Windows
from trainables.protocol import DetectorConfig, Labels


class Dying(Instant):
    """Its process ends without a word, as if the kernel had killed it."""

    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        os._exit(1)


class DyingNone(Dying):
    labels: ClassVar[Labels] = "none"


class OnceConfig(InstantConfig):
    marker: str


class DyingOnce(Instant):
    """Ends its process at the first fit; the marker file remembers it."""

    Config: ClassVar[type[DetectorConfig]] = OnceConfig

    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        marker = Path(self.config.marker)
        if not marker.exists():
            marker.touch()
            os._exit(1)
        return super().fit(support, reference)


class UnpicklableError(Exception):
    """Cannot travel from a worker to the driver."""

    def __init__(self) -> None:
        super().__init__("planted")
        self.lock = threading.Lock()


class RaisingUnpicklable(Instant):
    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        raise UnpicklableError


class HangingInC(Instant):
    """Stays in C code, which no Python signal handler interrupts."""

    def fit(self, support: LabelledWindows, reference: Windows) -> "Instant":
        re.match(r"(a+)+$", "a" * 64 + "b")
        return self
