"""One factor at a time: detectors, and sources, of a sweep file that differ from their base in exactly one setting."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.comparisons import Point, compared, held_points, judged
from analysis.load import Sweep
from analysis.roles import role

DEFAULT = "default"
NAMES = ("name", "path", "incidents")
"""Keys of a source that are no setting."""

COLUMNS = ["factor", "source", "shots", "detector", "base", "before", "after", "level_before", "level_after", "mean",
           "low", "high", "n", "p", "p_holm", "verdict", "how", "note"]  # fmt: skip

PAIRED, INDEPENDENT = "draw by draw", "independent draws"


@dataclass(frozen=True, slots=True)
class Factor:
    """What tells a variant from its base: one setting, `before` in the base and `after` in the variant."""

    base: str
    variant: str
    setting: str
    before: str
    after: str


def detector_factors(spec: Mapping[str, object]) -> list[Factor]:
    """Return the variants among the detectors of a sweep file.

    Detectors of one class belong together; the base is the one that needs no `class`, else the first.

    Examples
    --------
    >>> lora = "trainables.moment_lora:MomentLora"
    >>> detector_factors({"detectors": {"moment_lora": {"rank": 8}, "moment_small": {"class": lora, "rank": 2}}})
    [Factor(base='moment_lora', variant='moment_small', setting='rank', before='8', after='2')]
    """
    detectors = spec.get("detectors")
    entries = detectors if isinstance(detectors, Mapping) else {}
    settings = {str(name): entry if isinstance(entry, Mapping) else {} for name, entry in entries.items()}
    kinds: dict[str, dict[str, Mapping[str, object]]] = {}
    for name, own in settings.items():
        built_in, _, _ = str(own.get("class", "")).removeprefix("trainables.").partition(":")
        kinds.setdefault(str(own.get("class", name)) if built_in not in settings else built_in, {})[name] = own
    return [
        factor
        for kind, members in kinds.items()
        for factor in _factors(kind if kind in members else next(iter(members)), members, ("class", "sources"))
    ]


def source_factors(spec: Mapping[str, object]) -> list[Factor]:
    """Return the variants of the first source of a sweep file."""
    data = spec.get("data")
    sources = {str(each.get("name", each.get("source"))): each for each in data} if isinstance(data, list) else {}
    return list(_factors(next(iter(sources)), sources, NAMES)) if sources else []


def _factors(base: str, members: Mapping[str, Mapping[str, object]], ignored: tuple[str, ...]) -> Iterator[Factor]:
    before = members[base]
    for name, after in members.items():
        both = dict.fromkeys((*before, *after))
        unlike = [key for key in both if key not in ignored and before.get(key, DEFAULT) != after.get(key, DEFAULT)]
        if len(unlike) == 1:
            key = unlike[0]
            yield Factor(base, name, key, str(before.get(key, DEFAULT)), str(after.get(key, DEFAULT)))


def ablations(sweep: Sweep, report: pd.DataFrame, metric: str, plan: pd.DataFrame) -> pd.DataFrame:
    """Compare every variant with its base.

    Question: what does this one setting change, given this support part and these test faults? Detectors meet the
    same draws and are compared draw by draw (paired t); sources have draws of their own (Welch's t). Nothing is
    claimed where the comparisons between detectors would claim nothing (`comparisons.pairs`), nor where a source
    tests other faults than the first; `note` says how test windows differ, because a metric may follow their share of
    faulty ones. p is corrected by Holm over all rows with labels, also those that could not be tested.

    Parameters
    ----------
    sweep
        Its sweep file says what is a variant of what. Of several runs nothing is compared.
    report, plan
        Report rows and planned draws that claims may rest on.
    metric
        Name of the metric.

    Returns
    -------
    pandas.DataFrame
        A row for each factor, source and number of shots: `COLUMNS`. `mean` is variant minus base; `detector` and
        `source` are the variant's, `base` the detector or source it is compared with; `how` says how the draws were
        compared; `verdict` is "better", "worse", "not separated" or "no claim".
    """
    held = held_points(report, metric, plan)
    records = []
    for factor, base, variant in _points(sweep.specs[0] if len(sweep.specs) == 1 else {}, held):
        before, after, paired = held[base], held[variant], base[0] == variant[0]
        told = {"factor": factor.setting, "source": variant[0], "shots": variant[2], "base": factor.base,
                "before": factor.before, "after": factor.after, "level_before": before.mean,
                "level_after": after.mean, "how": PAIRED if paired else INDEPENDENT}  # fmt: skip
        result = compared(after, before, paired=paired)
        notes = [str(result["note"]), "" if paired else _other_windows(before, after)]
        records.append(told | result | {"note": "; ".join(filter(None, notes))})
    frame = pd.DataFrame.from_records(records, columns=[*COLUMNS, "claimable"])
    return judged(frame, frame["shots"] > 0, metric)[COLUMNS]


def _other_windows(before: Point, after: Point) -> str:
    """Say how the test windows of two sources differ; empty if they do not, or one has no draw that was tested."""
    if before.tested == after.tested or not (before.tested and after.tested):
        return ""
    told = []
    for point in (before, after):
        windows = sum(part[1] for part in point.tested)
        faulty = sum(part[1] * part[3] for part in point.tested)
        told.append(f"{faulty / windows:.1%} of {windows:.0f} test windows are faulty")
    return f"before, {told[0]}, after, {told[1]}"


Key = tuple[str, str, int]
"""Source, detector, shots."""


def _points(spec: Mapping[str, object], held: Mapping[Key, Point]) -> Iterator[tuple[Factor, Key, Key]]:
    """Yield every factor with the planned points of its base and of its variant; floors have nothing to show."""
    of_detectors, of_sources = detector_factors(spec), source_factors(spec)
    for source, detector, shots in held:
        if role(detector) == "floor":
            continue
        for factor in of_detectors:
            base = (source, factor.base, shots)
            if detector == factor.variant and base in held:
                yield factor, base, (source, detector, shots)
        for factor in of_sources:
            base = (factor.base, detector, shots)
            if source == factor.variant and base in held:
                yield factor, base, (source, detector, shots)
