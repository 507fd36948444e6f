"""What a sweep cost, in a sentence: hours, hours of cards, money, and what a cache spared."""

import pandas as pd

from analysis.words import number


def cost_in_words(costs: pd.DataFrame) -> str:
    """Return what all draws of a sweep cost together, as far as its rows say.

    Parameters
    ----------
    costs
        As `tables.costs` gives them, a row a cell.

    Examples
    --------
    >>> cell = {"total_hours": 2.0, "hours_without_cache": 5.0, "gpu_hours": 1.5, "money": 3.0}
    >>> cost_in_words(pd.DataFrame([cell]))
    'All draws took 2.00 h; without the cache 5.00 h. GPU hours: 1.50, which cost 3.00 at the price of the sweep file.'
    """
    hours, without = costs["total_hours"].sum(), costs["hours_without_cache"].sum()
    spared = f"; without the cache {number(without, 2)} h" if without > hours else "; no cache spared anything"
    return f"All draws took {number(hours, 2)} h{spared}. {_gpu(costs)}"


def _gpu(costs: pd.DataFrame) -> str:
    if costs["gpu_hours"].isna().all():
        return "GPU hours: not known, the rows do not name the device."
    used, money = costs["gpu_hours"].sum(), costs["money"].sum(min_count=1)
    unsaid = "" if costs["gpu_hours"].notna().all() else " (some rows do not name their device)"
    if used == 0:
        return f"GPU hours: none, no draw ran on a GPU{unsaid}."
    price = (
        "; no price is given" if pd.isna(money) else f", which cost {number(money, 2)} at the price of the sweep file"
    )
    return f"GPU hours: {number(used, 2)}{unsaid}{price}."
