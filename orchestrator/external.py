"""Files of other tools' alarms and scores: read once on the driver, joined to the telemetry by time."""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orchestrator.detector_spec import DetectorSpec
from orchestrator.errors import PlanError
from orchestrator.spec import SweepSpec
from trainables.data import hold_out
from trainables.data.external_scores import ExternalScores, read_external, refuse_unmatched
from trainables.data.parts import Cut, cut_windows
from trainables.data.series import LabelledSeries
from trainables.data.splits import run_starts
from trainables.errors import TrainablesError
from trainables.external import ExternalConfig, known_at
from trainables.registry import detector_config
from trainables.trial import EvaluationSettings

if TYPE_CHECKING:  # planning reads the files
    from orchestrator.plan import SweepPlan


def read_external_files(
    spec: SweepSpec, series: Mapping[str, LabelledSeries], settings: Mapping[str, EvaluationSettings]
) -> Mapping[str, ExternalScores]:
    """Return what the files of `external` detectors say, by the detector's name.

    Parameters
    ----------
    spec
        The checked sweep file.
    series, settings
        Telemetry, and how it is cut, by source name.

    Raises
    ------
    PlanError
        A file that cannot be read, entries that match no row of any source, windows without a score; all of them.
    """
    found: dict[str, ExternalScores] = {}
    problems: list[str] = []
    scored = cache(lambda source: _scored(series[source], settings[source]))
    for name, detector in spec.detectors.items():
        config = _config(name, detector)
        if config is None:
            continue
        sources = detector.sources or tuple(series)
        try:
            said = read_external(Path(config.path), config.timezone)
            times = np.concatenate([series[source].timestamps for source in sources])
            refuse_unmatched(said, config.path, times, config.tolerance)
            for source in sources:
                known_at(said, config, scored(source))
        except TrainablesError as err:
            problems.append(f"detectors.{name}: {err}")
        else:
            found[name] = said
    if problems:
        raise PlanError("\n".join(problems))
    return found


def external_lines(plan: "SweepPlan", series: Mapping[str, LabelledSeries]) -> Iterator[str]:
    """Yield a line for the plan about each file, and about alarms that no scored window will see."""
    widest_gap_s = cache(lambda source: _widest_gap_s(series[source], plan.settings[source]))
    for name, said in plan.external.items():
        detector = plan.spec.detectors[name]
        config = _config(name, detector)
        if config is None:
            continue
        what = "alarms" if said.alarms else "scores"
        first, last = (np.datetime_as_string(one, unit="s") for one in (said.start.min(), said.end.max()))
        yield f"{name}: {len(said)} {what} of {said.name}, {first} to {last}, tolerance {config.tolerance_s:g} s"
        if not said.alarms:
            continue
        length = (said.end - said.start) + config.tolerance
        for source in detector.sources or tuple(series):
            spacing = widest_gap_s(source)
            short = int((length < np.timedelta64(round(spacing * 1e9), "ns")).sum())
            if short:
                yield (
                    f"note: {name}: {short} alarms are shorter than the {spacing:g} s between two scored "
                    f"windows of {source} (at most) and may fall between; tolerance_s: {spacing:g} counts every one"
                )


def _config(name: str, detector: DetectorSpec) -> ExternalConfig | None:
    config = detector_config(name, detector.settings, detector.class_path)
    return config if isinstance(config, ExternalConfig) else None


def _scored(series: LabelledSeries, settings: EvaluationSettings) -> NDArray[np.datetime64]:
    """Return the ends of every window that a detector without labels is asked about, in any fold."""
    ends = np.unique(np.concatenate([part for cut in _cuts(series, settings) for part in (cut.reference, cut.test)]))
    return np.asarray(series.timestamps[ends])


def _widest_gap_s(series: LabelledSeries, settings: EvaluationSettings) -> float:
    """Return the longest time between the ends of neighbouring test windows of one stretch of a segment, in any fold.

    The stride is the least it can be: caps (`max_score_windows`) and rows without a trusted label thin out further.
    """
    widest = series.step_s * settings.data.score_stride
    for cut in _cuts(series, settings):
        stretch = run_starts(series.segment, *(() if cut.territory is None else (cut.territory,)))[cut.test]
        gaps = np.diff(series.timestamps[cut.test])[np.diff(stretch) == 0]
        widest = max(widest, float(gaps.max(initial=np.timedelta64(0, "ns")) / np.timedelta64(1, "s")))
    return widest


def _cuts(series: LabelledSeries, settings: EvaluationSettings) -> list[Cut]:
    """Return how each fold is cut."""
    folds = range(len(hold_out.folds(series, settings.data.window, settings.split)))
    return [cut_windows(series, settings, fold) for fold in folds]
