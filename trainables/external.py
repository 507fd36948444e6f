"""External: what you alarm on today, as a row beside the detectors."""

from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trainables.data.external_scores import ExternalScores
from trainables.data.windows import LabelledWindows, Windows
from trainables.errors import DetectorError
from trainables.protocol import DetectorConfig, FitFacts, Labels, TrialResources

ALARM_THRESHOLD = 0.5
"""Between no alarm (0) and an alarm (1): the decision of an alert history is already made."""


class ExternalConfig(DetectorConfig):
    """Settings of `External`.

    Attributes
    ----------
    path
        CSV or Parquet file with `start` and `end` (or `duration`) of alarms, or with `time` and `score`; relative to
        the sweep file. The driver reads it once; workers need not see it.
    tolerance_s
        Seconds that a score or an alarm counts beyond its own time. A window takes the latest score that is at most
        this old, and counts as alarmed if an alarm held at any moment of that stretch: never one from its future.
    threshold
        Score from which the other tool alarms; default: alarms as they are, scores by the rule of the sweep.
    timezone
        IANA zone of times without an offset; default UTC.
    """

    files: ClassVar[tuple[str, ...]] = ("path",)

    path: str = Field(default="", description="CSV or Parquet: start and end of alarms, or time and score.")
    tolerance_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=60, description="Seconds that a score or an alarm counts beyond its own time."
    )
    threshold: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="Score from which the other tool alarms; default: the rule of the sweep."
    )
    timezone: str | None = Field(default=None, description="IANA zone of times without an offset; default UTC.")

    @property
    def tolerance(self) -> np.timedelta64:
        """`tolerance_s` to the nanosecond."""
        return np.timedelta64(round(self.tolerance_s * 1e9), "ns")


def known_at(said: ExternalScores, config: ExternalConfig, times: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Return what was known at each time [N]: 1 and 0 for an alarm and none, or the latest score.

    Raises
    ------
    DetectorError
        A time without a score within the tolerance.
    """
    scores = said.at(times, config.tolerance)
    silent = np.isnan(scores)
    if silent.any():
        first = np.datetime_as_string(times[silent][0], unit="s")
        raise DetectorError(
            f"{said.name} has no score within tolerance_s {config.tolerance_s:g} for {int(silent.sum())} of "
            f"{len(scores)} windows, the first of which ends at {first} (UTC); raise tolerance_s, or export more scores"
        )
    return scores


class External:
    """Scores of another tool, joined to the ends of windows by time; sees neither telemetry nor labels.

    Raises
    ------
    DetectorError
        Nobody read the file: it is known to a sweep only.
    """

    labels: ClassVar[Labels] = "none"
    Config: ClassVar[type[DetectorConfig]] = ExternalConfig
    unsaved: ClassVar[bool] = True

    def __init__(self, config: ExternalConfig, resources: TrialResources) -> None:
        if config.path not in resources.external:
            raise DetectorError(
                f"external: the scores of {config.path or 'a file'} are not there; a sweep file names it under path"
            )
        self.config = config
        self.said = resources.external[config.path]

    def fit(self, support: LabelledWindows, reference: Windows) -> Self:  # noqa: ARG002
        """Learn nothing."""
        return self

    def score(self, windows: Windows) -> NDArray[np.float64]:
        """Return the score [N] that was known at the end of each window; 1 alarm, 0 none.

        Raises
        ------
        DetectorError
            Windows without times, or without a score within the tolerance.
        """
        if windows.times is None:
            raise DetectorError("external: these windows carry no times to join scores by")
        return known_at(self.said, self.config, windows.times[windows.ends])

    @property
    def own_threshold(self) -> float | None:
        """Where the other tool alarms; None if nobody said."""
        if self.config.threshold is None and self.said.alarms:
            return ALARM_THRESHOLD
        return self.config.threshold

    @property
    def facts(self) -> FitFacts:
        """Nothing was fitted."""
        return FitFacts(trainable_parameters=0)
