"""Which searched parameters mattered to the search: Optuna's PED-ANOVA on selection rows. Never for claims."""

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.curves import sign
from analysis.landscape import is_number, is_wide, parameter_columns

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

LEAST_CONFIGURATIONS = 20
"""Optuna asks for 5 configurations above the quantile that the evaluator looks at, and it looks at the best quarter."""

BEST = 0.25
SHUFFLES = 19
"""Scores are dealt anew to the configurations this many times: what importances are where nothing matters."""

COLUMNS = ["source", "detector", "shots", "configurations", "parameter", "importance", "shuffled", "note"]
TOO_FEW = f"too few configurations to rank (fewer than {LEAST_CONFIGURATIONS})"
ALL_EQUAL = "all configurations score the same: nothing to rank"
NONE_VARIES = "the configurations that ran on all draws do not differ in any parameter: nothing to rank"
NONE_WHOLE = "every parameter is missing in some configuration: nothing to rank"


def importances(tried: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return how much each searched parameter tells the best quarter of the configurations from all of them.

    Configurations count if they ran on all selection draws of their cell (those raced out did not); the level of a
    fold is taken out first. The shares of a cell add up to 1 even where no parameter matters, hence `shuffled`.

    Parameters
    ----------
    tried
        Configurations as `landscape.candidates` gives them, from selection rows alone.
    metric
        What `value` is; the direction is the metric's own.

    Returns
    -------
    pandas.DataFrame
        A row for each source, detector, shots and parameter: `configurations`; `importance`, a share of 1;
        `shuffled`, in how many of `SHUFFLES` random orders of the scores the parameter gets at least as much.
        One row with `note` and without numbers where a cell cannot be ranked.

    References
    ----------
    Watanabe, Bansal and Hutter (2023), "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
    Subspaces", IJCAI; `optuna.importance.PedAnovaImportanceEvaluator`.
    """
    key = ["source", "detector", "shots"]
    rows: list[dict[str, object]] = []
    for cell, mine in tried.groupby(key):
        if parameter_columns(mine):
            rows += [dict(zip(key, cell, strict=True)) | found for found in _of_cell(mine, metric)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _of_cell(mine: pd.DataFrame, metric: str) -> Iterator[dict[str, object]]:
    """Yield the parameters of one cell, the most important first, or the reason why they are not ranked."""
    whole = mine[mine["draws"] == mine.groupby("fold")["draws"].transform("max")]
    names = [name for name in parameter_columns(whole) if whole[name].notna().all()]
    score = (whole["value"] - whole.groupby("fold")["value"].transform("mean")).to_numpy(dtype=float) * sign(metric)
    why_not = _why_not(whole, names, score)
    if why_not:
        yield {"configurations": len(whole), "parameter": "", "note": why_not}
        return
    search = _Search(whole[names])
    raw = search.importances(score)
    rng = np.random.default_rng(0)
    shuffled = [search.importances(rng.permutation(score)) for _ in range(SHUFFLES)]
    total = sum(raw.values())
    for name in sorted(names, key=lambda name: (-raw[name], name)):
        yield {
            "configurations": len(whole), "parameter": name.removeprefix("param."),
            "importance": raw[name] / total if total > 0 else 0.0,
            "shuffled": sum(other[name] >= raw[name] for other in shuffled), "note": "",
        }  # fmt: skip


def _why_not(whole: pd.DataFrame, names: list[str], score: np.ndarray) -> str:
    """Return why parameters cannot be ranked; empty if they can."""
    if len(whole) < LEAST_CONFIGURATIONS:
        return TOO_FEW
    if np.ptp(score) == 0:
        return ALL_EQUAL
    if not names:
        return NONE_WHOLE if parameter_columns(whole) else NONE_VARIES
    return ""


class _Search:
    """Configurations as Optuna sees them; scores are given with each question."""

    def __init__(self, settings: pd.DataFrame) -> None:
        import optuna  # noqa: PLC0415  (a second, and only where there is a search)

        names = [str(name) for name in settings.columns]
        distributions = {name: _distribution(settings[name]) for name in names}
        columns = [settings[name].tolist() if is_number(settings[name]) else settings[name].astype(str).tolist()
                   for name in names]  # fmt: skip
        optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line for each study in memory otherwise
        self._study = optuna.create_study()
        self._study.add_trials(
            optuna.trial.create_trial(
                params=dict(zip(names, values, strict=True)), distributions=distributions, value=0.0
            )
            for values in zip(*columns, strict=True)
        )

    def importances(self, score: np.ndarray) -> Mapping[str, float]:
        """Return the importance of each parameter, not scaled; higher scores are better."""
        from optuna.importance import PedAnovaImportanceEvaluator  # noqa: PLC0415

        evaluator = PedAnovaImportanceEvaluator(target_quantile=BEST)
        with warnings.catch_warnings():  # it warns that low targets are good: they are, the sign is turned
            warnings.simplefilter("ignore", UserWarning)
            return evaluator.evaluate(self._study, target=lambda trial: -float(score[trial.number]))


def _distribution(values: "pd.Series[float]") -> "BaseDistribution":
    """Return the range that was tried: logarithmic where it is wide, as the figures show it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution  # noqa: PLC0415

    if is_number(values):
        return FloatDistribution(float(values.min()), float(values.max()), log=is_wide(values))
    return CategoricalDistribution(sorted(values.astype(str).unique()))
