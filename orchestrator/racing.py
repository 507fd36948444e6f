"""Racing: a configuration stops early when, draw by draw, it is clearly worse than the best one so far.

Optuna's WilcoxonPruner pairs the draws of the running configuration with those of the best one, which
is right here: every configuration meets the same selection draws. Draws run in an order of their own in
each trial, as that pruner asks for, so that no draw decides alone.
"""

import warnings

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner, NopPruner, WilcoxonPruner

from orchestrator.spec import RACING_MIN_DRAWS

P_THRESHOLD = 0.1
"""Optuna's default; the test is one-sided and repeated after every draw."""


def racing_is_on(wanted: bool, draws: int) -> bool:
    """Say whether configurations are raced, given the number of selection draws."""
    return wanted and draws >= RACING_MIN_DRAWS


def make_pruner(on: bool) -> BasePruner:
    """Return the pruner of one study."""
    if not on:
        return NopPruner()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # pinned, and its decisions are tested here
        return WilcoxonPruner(p_threshold=P_THRESHOLD)


def running_order(draws: tuple[int, ...], seed: int, on: bool) -> tuple[int, ...]:
    """Return the draws in the order in which one trial runs them: shuffled if it is raced, else as given."""
    if not on:
        return draws
    return tuple(int(draw) for draw in np.random.default_rng(seed).permutation(draws))
