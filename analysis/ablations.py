"""One factor at a time: detectors, and sources, of a sweep file that differ from their base in exactly one setting."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from analysis.curves import GROUP, SEEDS_ALONE, draw_values, sign
from analysis.load import Sweep
from analysis.paired import MIN_DRAWS_FOR_CLAIM, compare, holm
from analysis.roles import role

ALPHA = 0.05
DEFAULT = "default"
NAMES = ("name", "path", "incidents")
"""Keys of a source that are no setting."""

COLUMNS = ["factor", "source", "shots", "detector", "base", "before", "after", "level_before", "level_after", "mean",
           "low", "high", "n", "p", "p_holm", "verdict", "how", "note"]  # fmt: skip


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
    groups: dict[str, dict[str, Mapping[str, object]]] = {}
    for name, entry in (detectors if isinstance(detectors, Mapping) else {}).items():
        settings = entry if isinstance(entry, Mapping) else {}
        path = str(settings.get("class", name)).partition(":")[0].removeprefix("trainables.")
        groups.setdefault(path if settings.get("class") else str(name), {})[str(name)] = settings
    found = []
    for kind, members in groups.items():
        base = kind if kind in members else next(iter(members))
        found += list(_factors(base, members, ("class", "sources")))
    return found


def source_factors(spec: Mapping[str, object]) -> list[Factor]:
    """Return the variants of the first source of a sweep file."""
    data = spec.get("data")
    sources = {str(each.get("name", each.get("source"))): each for each in data} if isinstance(data, list) else {}
    return list(_factors(next(iter(sources)), sources, NAMES)) if sources else []


def _factors(base: str, members: Mapping[str, Mapping[str, object]], ignored: tuple[str, ...]) -> Iterator[Factor]:
    for name, settings in members.items():
        both = dict.fromkeys((*members[base], *settings))
        before, after = members[base], settings
        unlike = [key for key in both if key not in ignored and before.get(key, DEFAULT) != after.get(key, DEFAULT)]
        if len(unlike) == 1:
            key = unlike[0]
            yield Factor(base, name, key, str(before.get(key, DEFAULT)), str(after.get(key, DEFAULT)))


def ablations(sweep: Sweep, report: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Compare every variant with its base.

    Question: what does this one setting change, given this support part and these test faults? Detectors meet the
    same draws and are compared draw by draw (paired t); sources have draws of their own (Welch's t). p is corrected
    by Holm over all rows that have one. At 0 shots draws are training seeds: nothing is claimed there.

    Parameters
    ----------
    sweep
        The input; its sweep file says what is a variant of what. Of several runs nothing is compared.
    report
        Report rows that claims may rest on.
    metric
        Name of the metric.

    Returns
    -------
    pandas.DataFrame
        A row for each factor, source and number of shots: `COLUMNS`. `mean` is variant minus base; `detector` and
        `source` are the variant's, `base` the detector or source it is compared with; `how` says how the draws were
        compared; `verdict` is "better", "worse", "not separated" or "no claim".

    References
    ----------
    Welch (1947), Biometrika 34:28-35.
    """
    values = draw_values(report, metric, sweep.plan)
    by_point = {key: dict(zip(g["draw"], g["value"], strict=True)) for key, g in values.groupby(GROUP)}
    counts = sweep.plan.groupby(GROUP)["draw"].nunique().reset_index()
    planned = {(str(s), str(d), int(k)): int(n) for s, d, k, n in counts.itertuples(index=False, name=None)}
    records = [
        {"source": variant[0], "detector": variant[1], "shots": variant[2], "factor": factor.setting,
         "base": factor.base, "before": factor.before, "after": factor.after,
         **_difference(by_point.get(base, {}), by_point.get(variant, {}), planned[base], variant[2],
                       paired=base[0] == variant[0])}
        for factor, base, variant in _points(sweep.specs[0] if len(sweep.specs) == 1 else {}, planned)
    ]  # fmt: skip
    frame = pd.DataFrame.from_records(records, columns=[name for name in COLUMNS if name not in {"p_holm", "verdict"}])
    made = frame["p"].notna().to_numpy()
    frame["p_holm"] = np.nan
    frame.loc[made, "p_holm"] = holm(frame.loc[made, "p"].to_numpy())
    gains = frame["mean"].astype(float) * sign(metric)
    frame["verdict"] = [_verdict(float(p), gain) for p, gain in zip(frame["p_holm"], gains, strict=True)]
    return frame[COLUMNS]


Point = tuple[str, str, int]
"""Source, detector, shots."""


def _points(spec: Mapping[str, object], planned: Mapping[Point, int]) -> Iterator[tuple[Factor, Point, Point]]:
    """Yield every factor with the planned points of its base and of its variant; floors have nothing to show."""
    of_detectors, of_sources = detector_factors(spec), source_factors(spec)
    for source, detector, shots in planned:
        if role(detector) == "floor":
            continue
        for factor in of_detectors:
            base = (source, factor.base, shots)
            if detector == factor.variant and base in planned:
                yield factor, base, (source, detector, shots)
        for factor in of_sources:
            base = (factor.base, detector, shots)
            if source == factor.variant and base in planned:
                yield factor, base, (source, detector, shots)


def _difference(
    before: Mapping[int, float], after: Mapping[int, float], planned: int, shots: int, *, paired: bool
) -> dict[str, object]:
    """Return variant minus base with its interval, or why there is none."""
    told: dict[str, object] = {"level_before": _mean(before), "level_after": _mean(after)}
    told["how"] = "draw by draw" if paired else "independent draws"
    draws = min(len(before), len(after))
    if draws < planned:
        return told | {**_NOTHING, "n": draws, "note": f"{draws} of {planned} draws have a value: no claim"}
    if paired:
        result = compare(after, before)
        told |= {"mean": result.mean, "low": result.low, "high": result.high, "p": result.p}
        note = "; ".join(map(str, result.warnings))
    else:
        told |= _welch(list(after.values()), list(before.values()))
        note = ""
    if draws < MIN_DRAWS_FOR_CLAIM:
        told["p"] = None
        note = note or f"fewer than {MIN_DRAWS_FOR_CLAIM} draws: no claim"
    if shots == 0:
        told["p"] = None
        note = note or SEEDS_ALONE
    return told | {"n": draws, "note": note}


_NOTHING: Mapping[str, object] = {"mean": None, "low": None, "high": None, "p": None}


def _welch(after: list[float], before: list[float]) -> dict[str, object]:
    if np.ptp(after) == 0 and np.ptp(before) == 0:
        return {**_NOTHING, "mean": _mean(dict(enumerate(after))) - _mean(dict(enumerate(before)))}
    test = stats.ttest_ind(after, before, equal_var=False)
    interval = test.confidence_interval(0.95)
    return {
        "mean": float(np.mean(after) - np.mean(before)),
        "low": float(interval.low), "high": float(interval.high), "p": float(test.pvalue),
    }  # fmt: skip


def _mean(values: Mapping[int, float]) -> float:
    return float(np.mean(list(values.values()))) if values else float("nan")


def _verdict(p: float, gain: float) -> str:
    if np.isnan(p):
        return "no claim"
    if p >= ALPHA:
        return "not separated"
    return "better" if gain > 0 else "worse"
