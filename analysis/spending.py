"""What a sweep cost, in a sentence: hours, hours of cards, money, and what a cache spared."""

import pandas as pd

from analysis.words import number


def cost_in_words(spent: pd.DataFrame) -> str:
    """Return what all draws of a sweep cost together, as far as its rows say, and how many rows say nothing.

    Parameters
    ----------
    spent
        As `tables.spent` gives it, a row a draw.

    Examples
    --------
    >>> draw = {"total_hours": 2.0, "hours_without_cache": 5.0, "gpu_hours": 1.5, "money": 3.0, "untimed": 0.0}
    >>> cost_in_words(pd.DataFrame([draw]))  # doctest: +NORMALIZE_WHITESPACE
    'All draws took 2.00 h; without the cache 5.00 h. GPU hours: 1.50 in fit, threshold and score, which
    cost 3.00 at the price of the sweep file.'
    """
    timed, untimed = spent[spent["untimed"] == 0], int(spent["untimed"].sum())
    hours, without = timed["total_hours"].sum(), timed["hours_without_cache"].sum()
    spared = f"; without the cache {number(without, 2)} h" if without > hours else "; no cache spared anything"
    all_timed = "All draws" if not untimed else f"{len(timed)} draws that ended"
    left_out = f" {untimed} rows without seconds (failed, out of time or left out) are not counted." if untimed else ""
    return f"{all_timed} took {number(hours, 2)} h{spared}. {_gpu(timed)}{left_out}"


def _gpu(timed: pd.DataFrame) -> str:
    if timed.empty:
        return "GPU hours: not known, no row has seconds."
    if timed["gpu_hours"].isna().all():
        return "GPU hours: not known, the rows do not name the device."
    used, money = timed["gpu_hours"].sum(), timed["money"].sum(min_count=1)
    unsaid = "" if timed["gpu_hours"].notna().all() else " (some rows do not name their device)"
    if used == 0:
        return f"GPU hours: none, no draw ran on a GPU{unsaid}."
    price = (
        "; no price is given" if pd.isna(money) else f", which cost {number(money, 2)} at the price of the sweep file"
    )
    return f"GPU hours: {number(used, 2)} in fit, threshold and score{unsaid}{price}."
