"""Counters: which series are, and their rates through resets."""

import re
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

MOST_FALLS = 0.1
"""A metric named like a counter that falls at more than this share of its changes (and twice) is something else."""


def is_counter_by_name(name: str, names: Collection[str], values: Sequence[NDArray[np.float64]]) -> bool:
    """Return whether a metric of undeclared kind counts up: by its name, unless its values contradict.

    Counters end in `_total`; a histogram has `_bucket`, `_sum` and `_count`, a summary `_sum` and `_count`.

    References
    ----------
    Prometheus documentation, "Metric and label naming" and "Metric types".
    """
    base = re.sub(r"_(sum|count)$", "", name)
    paired = base != name and {f"{base}_sum", f"{base}_count"} <= set(names)
    if not (paired or name.endswith(("_total", "_bucket"))):
        return False
    changed = fell = 0
    for one in values:
        if (one < 0).any():
            return False
        changes = np.diff(one[~np.isnan(one)])
        changed += int((changes != 0).sum())
        fell += int((changes < 0).sum())
    return fell <= max(1, MOST_FALLS * changed)


def rate(
    seconds: NDArray[np.float64], values: NDArray[np.float64], longest_s: float = np.inf
) -> tuple[NDArray[np.float64], int]:
    """Return the increase per second since the sample before [T], and the number of resets.

    A fall is a reset to zero: the increase is then the new value. The first sample has no rate, nor has one
    after a pause of more than `longest_s` seconds. Missing values are skipped.

    References
    ----------
    Prometheus documentation, "Query functions", `rate`.
    """
    rates = np.full(len(values), np.nan)
    there = np.flatnonzero(~np.isnan(values))
    if len(there) < 2:
        return rates, 0
    increase = np.diff(values[there])
    pause = np.diff(seconds[there])
    fell = increase < 0
    increase[fell] = values[there[1:]][fell]
    near = pause <= longest_s
    rates[there[1:][near]] = increase[near] / pause[near]
    return rates, int((fell & near).sum())
