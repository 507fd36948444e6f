"""What part a detector plays in the comparison: foundation model, ordinary detector, or floor.

The name decides, because neither rows nor sweep file say it otherwise: `moment`, and whatever starts with `moment_`,
is a foundation model. Name a detector of your own accordingly (`moment_mine`), or it is compared as an ordinary one.
`external`, and whatever starts with `external_`, is what somebody alarms on today: an ordinary detector that the
others are held against once more, in faults caught and false alarms.
"""

from typing import Literal

Role = Literal["foundation", "ordinary", "floor"]

FLOORS = ("random", "always_alarm")
"""Detectors without any skill: what a metric gives for nothing."""

REFERENCES = ("random", "always_alarm", "moving_variance", "pca")
"""Rows that stand in every table, whatever was asked for."""


def role(detector: str) -> Role:
    """Return the part a detector plays, from its name in the rows.

    Examples
    --------
    >>> role("moment_lora"), role("pca"), role("random"), role("my_own_detector")
    ('foundation', 'ordinary', 'floor', 'ordinary')
    >>> role("moment [run 2]"), role("momentum")
    ('foundation', 'ordinary')
    """
    name = base_name(detector)
    if name in FLOORS:
        return "floor"
    return "foundation" if name == "moment" or name.startswith("moment_") else "ordinary"


def is_external(detector: str) -> bool:
    """Return True for rows of another tool's alarms or scores.

    Examples
    --------
    >>> is_external("external"), is_external("external_pagerduty [run 2]"), is_external("externals")
    (True, True, False)
    """
    name = base_name(detector)
    return name == "external" or name.startswith("external_")


def base_name(detector: str) -> str:
    """Return the name of a detector without the run that tells it apart: "pca [run 2]" is a "pca"."""
    return detector.partition(" [")[0]
