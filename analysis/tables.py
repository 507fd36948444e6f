"""Tables beside the leaderboard: cost, failures, draws behind each cell, provenance."""

from collections.abc import Iterator, Mapping

import pandas as pd

from analysis.load import Sweep
from analysis.words import metric_title
from analysis.words import records as as_records

SECONDS = ("fit_seconds", "threshold_seconds", "score_seconds", "cache_saved_seconds")
"""Of a draw; the last is what results from a cache took when they were computed: cheap only for who comes second."""

SPENT = ["total_hours", "hours_without_cache", "gpu_hours", "money", "untimed"]
"""Sums over all rows of a cell, selection included; see `spent`."""

FAILURE = ["phase", "source", "detector", "shots", "status", "reason"]


def costs(sweep: Sweep, levels: pd.DataFrame) -> pd.DataFrame:
    """Return what a draw costs, a row for each source, detector and number of shots.

    Returns
    -------
    pandas.DataFrame
        `source`, `detector`, `shots`; `fit_seconds`, `threshold_seconds` (the fits behind an out-of-fold threshold),
        `score_seconds`, `cache_saved_seconds`, `seconds` (their sum), medians over report draws; `peak_host_mb`,
        `peak_device_mb`, largest; `trainable_parameters`; `estimate` and `n` of the metric; and the `SPENT` sums.
    """
    key = ["source", "detector", "shots"]
    spared = pd.to_numeric(sweep.report["cache_saved_seconds"])  # text-like where no row has one
    report = (
        sweep.report.assign(cache_saved_seconds=spared)
        .groupby(key, as_index=False)
        .agg(
            fit_seconds=("fit_seconds", "median"),
            threshold_seconds=("threshold_seconds", "median"),
            score_seconds=("score_seconds", "median"),
            cache_saved_seconds=("cache_saved_seconds", "median"),
            peak_host_mb=("peak_host_mb", "max"),
            peak_device_mb=("peak_device_mb", "max"),
            trainable_parameters=("trainable_parameters", "max"),
        )
    )
    report["seconds"] = report[[*SECONDS]].sum(axis=1)
    total = spent(sweep).groupby(key, as_index=False)[SPENT].sum(min_count=1)
    return report.merge(total, on=key, how="left").merge(levels[[*key, "estimate", "n"]], on=key, how="left")


def spent(sweep: Sweep) -> pd.DataFrame:
    """Return what every row cost, selection included, as far as rows say: a lower bound.

    Only fit, threshold and score of draws that ended are timed. What a draw took that failed or ran out of time is
    not in its row, nor is time between draws.

    Returns
    -------
    pandas.DataFrame
        `source`, `detector`, `shots` and `SPENT`, a row for each row of the sweep: `total_hours` as computed;
        `hours_without_cache`, with what results from a cache took when they were computed; `gpu_hours`, the share of
        a card, `resources.trials_per_gpu` to a card (one where it is `auto`), 0 on a CPU, NaN where the row has no
        seconds or does not name its device; `money`, NaN where `resources.price_per_gpu_hour` is not given;
        `untimed`, 1 for a row without seconds.
    """
    rows = sweep.rows
    seconds = rows[[*SECONDS]].apply(pd.to_numeric)  # text-like where no row has one
    hours = seconds[[*SECONDS[:-1]]].sum(axis=1) / 3600
    untimed = seconds[[*SECONDS[:-1]]].isna().all(axis=1)
    resources = [_resources(spec) for spec in sweep.specs]
    shared = rows["run"].map(dict(enumerate(_number(r.get("trials_per_gpu"), 1.0) for r in resources)))
    price = rows["run"].map(dict(enumerate(_number(r.get("price_per_gpu_hour"), float("nan")) for r in resources)))
    on_card = rows["device"].map(lambda device: float("nan") if pd.isna(device) else float(device == "cuda"))
    gpu_hours = (hours * on_card.astype(float) / shared).mask(untimed)
    return rows[["source", "detector", "shots"]].assign(
        total_hours=hours,
        hours_without_cache=hours + seconds[SECONDS[-1]].fillna(0) / 3600,
        gpu_hours=gpu_hours,
        money=gpu_hours * price,
        untimed=untimed.astype(float),
    )


def _resources(spec: Mapping[str, object]) -> Mapping[str, object]:
    found = spec.get("resources")
    return found if isinstance(found, Mapping) else {}


def _number(value: object, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def failures(sweep: Sweep, metric: str) -> pd.DataFrame:
    """Return every report draw without a score or a value of the metric, and selection draws that failed.

    Returns
    -------
    pandas.DataFrame
        A row a reason: `phase`, `source`, `detector`, `shots`, `status`, `reason`, `count`, `draws` (their numbers).
    """
    records = [
        {"phase": "report", "source": g.source, "detector": g.detector, "shots": g.shots, "status": g.status,
         "reason": g.reason or ("no row yet" if g.status == "missing" else ""), "draw": g.draw}
        for g in sweep.gaps
    ]  # fmt: skip
    selection = sweep.failed[sweep.failed["phase"] == "select"]
    records += [dict(row) for row in as_records(selection[[*FAILURE, "draw"]])]
    report = sweep.report
    empty = report[report.get(metric, pd.Series(index=report.index, dtype=float)).isna()]
    reason = f"ended well, but without a value of {metric_title(metric)}"
    records += [dict(row) for row in as_records(empty[[*FAILURE, "draw"]].assign(reason=reason))]
    frame = pd.DataFrame.from_records(records, columns=[*FAILURE, "draw"])
    if frame.empty:
        return frame.drop(columns="draw").assign(count=[], draws=[])
    grouped = frame.groupby(FAILURE, as_index=False)
    return grouped.agg(count=("draw", "size"), draws=("draw", lambda d: ", ".join(map(str, sorted(set(d))))))


def flatten(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted name, text) for every leaf of a manifest.

    Examples
    --------
    >>> list(flatten({"versions": {"numpy": "2.4"}, "seeds": [1, 2]}))
    [('versions.numpy', '2.4'), ('seeds', '1, 2')]
    """
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        yield name, f"{len(value)} entries"
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value))
    else:
        yield name, str(value)
