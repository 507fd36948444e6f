"""Comparing two detectors on the same draws: difference, interval, exact test, and corrections for many tests."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from analysis.errors import AnalysisError
from analysis.intervals import Caution, Floats, finite, sample_cautions, student_t_bounds

MIN_DRAWS_FOR_CLAIM = 6
"""With n draws the exact sign-flip test cannot go below 2 / 2^n: .0625 at five, .031 at six."""

EXACT_FLIPS_UP_TO = 40
"""Sign flips are counted exactly up to this n: sums of two halves, at most 2^20 each, are met in the middle."""

RANDOM_FLIPS = 100_000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Detector A minus detector B over the draws that both have.

    Attributes
    ----------
    n
        Pairs.
    mean, low, high
        Mean difference and its t interval; None where the input gives none.
    t, p
        Paired t statistic and two-sided p-value; None where there is no interval.
    p_signflip
        Two-sided p-value of the sign-flip test, which assumes symmetry only; None without pairs.
    probability_better
        P(A > B) on the same draw, ties counting half; None without pairs.
    level
        Nominal coverage of the interval.
    unpaired
        Draws that only one of the two has; left out, and to be said.
    warnings
        What to say beside the numbers.
    """

    n: int
    mean: float | None
    low: float | None
    high: float | None
    t: float | None
    p: float | None
    p_signflip: float | None
    probability_better: float | None
    level: float
    unpaired: tuple[Hashable, ...] = ()
    warnings: tuple[Caution, ...] = ()

    @property
    def claimable(self) -> bool:
        """True if the draws allow a claim of significance at all: six or more, with some variance."""
        return self.n >= MIN_DRAWS_FOR_CLAIM and self.p is not None


def compare(
    a: ArrayLike | Mapping[int, float], b: ArrayLike | Mapping[int, float], *, level: float = 0.95
) -> Comparison:
    """Compare detector A with detector B on identical draws.

    Question: by how much does A beat B, over new draws, given the support pool and this test set?
    Unit of resampling: the draw; both saw the same support set, so what makes a draw easy cancels. Differences are
    nearly symmetric even where levels are skewed, so plain t serves them (simulated coverage .945 to .955).

    Parameters
    ----------
    a, b
        Scores by draw number (paired by name), or two arrays [D] in the same order of draws.
    level
        Nominal coverage of the interval.

    Raises
    ------
    AnalysisError
        A value is NaN or infinite; arrays of different length; one mapping and one array.

    References
    ----------
    Sign flips: Fisher (1935), The Design of Experiments, section 21. P(A > B): Bouthillier et al. (2021),
    "Accounting for variance in machine learning benchmarks", MLSys.

    Examples
    --------
    >>> comparison = compare([0.81, 0.78, 0.84, 0.69, 0.80], [0.78, 0.77, 0.80, 0.70, 0.76])
    >>> round(comparison.mean, 3), round(comparison.p, 4), comparison.p_signflip
    (0.022, 0.0858, 0.1875)
    """
    difference, unpaired = _differences(a, b)
    n = len(difference)
    degenerate = sample_cautions(difference)
    warnings = degenerate + ((Caution.NO_CLAIM,) if n < MIN_DRAWS_FOR_CLAIM else ())
    mean = float(difference.mean()) if n else None
    better = float(((difference > 0) + 0.5 * (difference == 0)).mean()) if n else None
    p_flip = sign_flip(difference) if n else None
    if degenerate:
        return Comparison(n, mean, None, None, None, None, p_flip, better, level, unpaired, warnings)
    low, high = student_t_bounds(difference, level)
    test = stats.ttest_1samp(difference, 0.0)
    return Comparison(
        n, mean, float(low), float(high), float(test.statistic), float(test.pvalue), p_flip, better, level, unpaired,
        warnings,
    )  # fmt: skip


def compare_independent(a: Mapping[int, float], b: Mapping[int, float], *, level: float = 0.95) -> Comparison:
    """Compare A with B on draws of their own.

    Question: by how much does A beat B, over new draws of each? Unit of resampling: the draw. Draws of the two that
    have the same number have nothing in common.

    Parameters
    ----------
    a, b
        Scores by draw number.
    level
        Nominal coverage of the interval.

    Raises
    ------
    AnalysisError
        A value is NaN or infinite.

    References
    ----------
    Welch (1947), Biometrika 34:28-35.

    Examples
    --------
    >>> comparison = compare_independent({0: 0.8, 1: 0.9, 2: 0.7}, {0: 0.5, 1: 0.6, 2: 0.4})
    >>> round(comparison.mean, 3), round(comparison.p, 4)
    (0.3, 0.0213)
    """
    first, second = finite(list(a.values())), finite(list(b.values()))
    n = min(len(first), len(second))
    mean = float(first.mean() - second.mean()) if n else None
    few = (Caution.NO_CLAIM,) if n < MIN_DRAWS_FOR_CLAIM else ()
    degenerate = [sample_cautions(values) for values in (first, second)]
    if n < 2 or all(degenerate):
        warnings = (*dict.fromkeys((*degenerate[0], *degenerate[1])), *few)
        return Comparison(n, mean, None, None, None, None, None, None, level, (), warnings)
    test = stats.ttest_ind(first, second, equal_var=False)
    interval = test.confidence_interval(level)
    return Comparison(
        n, mean, float(interval.low), float(interval.high), float(test.statistic), float(test.pvalue), None, None,
        level, (), few,
    )  # fmt: skip


def sign_flip(differences: ArrayLike, *, rng: np.random.Generator | None = None) -> float:
    """Return the two-sided p-value of the sign-flip test of a mean difference of 0, exact up to 40 draws.

    Question: were A and B exchangeable on each draw, how often would the mean difference be this far from 0?
    Unit: the draw. Above 40 draws, 100,000 random flips from `rng` (a generator of seed 0 if None), counting the
    observed one.

    Raises
    ------
    AnalysisError
        No values, or one that is NaN or infinite.

    References
    ----------
    Phipson and Smyth (2010), Statistical Applications in Genetics and Molecular Biology 9:39, for random flips.
    """
    d = finite(differences)
    if not len(d):
        raise AnalysisError("a sign-flip test needs at least one difference")
    observed = abs(d.sum()) - 1e-9 * np.abs(d).sum()  # equal sums differ in the last bits
    if len(d) > EXACT_FLIPS_UP_TO:
        generator = np.random.default_rng(0) if rng is None else rng
        signs = generator.choice(np.array([-1.0, 1.0]), size=(RANDOM_FLIPS, len(d)))
        return float((np.abs(signs @ d) >= observed).sum() + 1) / (RANDOM_FLIPS + 1)
    left, right = _signed_sums(d[::2]), np.sort(_signed_sums(d[1::2]))
    at_least = len(right) - np.searchsorted(right, observed - left, side="left")
    at_most = np.searchsorted(right, -observed - left, side="right")
    return min(float((at_least + at_most).sum()) / (len(left) * len(right)), 1.0)


def holm(p_values: ArrayLike) -> Floats:
    """Return p-values [m] adjusted by Holm's step-down method, in the order given.

    Question: which of a family of claims hold, with at most a 5 % chance of any false one? Unit: the test.
    The family is declared before the scores exist: every test that could have been printed as a finding.

    Raises
    ------
    AnalysisError
        A p-value is NaN or outside 0 to 1.

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6:65.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, 0.005]).round(3).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    p = _probabilities(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Return p-values adjusted by Benjamini and Hochberg, for exploration only.

    Question: which finds to look at, so that on average at most 5 % of them are false? Unit: the test.

    References
    ----------
    Benjamini and Hochberg (1995), JRSS B 57:289.
    """
    p = _probabilities(p_values)
    return np.asarray(stats.false_discovery_control(p, method="bh")) if len(p) else p


@dataclass(frozen=True, slots=True)
class CorrectedTest:
    """Mean difference over re-splits with t interval and two-sided p-value, after the correction."""

    mean: float
    low: float
    high: float
    t: float
    p: float
    level: float


def nadeau_bengio(differences: ArrayLike, *, n_train: int, n_test: int, level: float = 0.95) -> CorrectedTest:
    """Return the corrected resampled t test, for repetitions that re-split *one* data set into train and test.

    Question: does A beat B when the same rows are split again? Unit: the re-split; splits overlap, so the variance
    of the mean is (1 / J + n_test / n_train) s². Not for draws from a pool that is scored on a fixed test part:
    there training sets are independent of the test part, and `compare` is right.

    Parameters
    ----------
    differences
        One a re-split [J], J at least 2, not all equal.
    n_train, n_test
        Rows of each side, at least 1.
    level
        Nominal coverage.

    Raises
    ------
    AnalysisError
        Too few or equal differences, or sizes below 1.

    References
    ----------
    Nadeau and Bengio (2003), Machine Learning 52:239.
    """
    d = finite(differences)
    cautions = sample_cautions(d)
    if cautions or min(n_train, n_test) < 1:
        raise AnalysisError("; ".join(cautions) or f"sizes must be at least 1, got {n_train} and {n_test}")
    error = float(np.sqrt((1 / len(d) + n_test / n_train) * d.var(ddof=1)))
    mean = float(d.mean())
    half = float(stats.t.ppf((1 + level) / 2, len(d) - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, len(d) - 1))
    return CorrectedTest(mean, mean - half, mean + half, mean / error, p, level)


def _differences(
    a: ArrayLike | Mapping[int, float], b: ArrayLike | Mapping[int, float]
) -> tuple[Floats, tuple[Hashable, ...]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        both = sorted(a.keys() & b.keys())
        return finite([a[draw] - b[draw] for draw in both]), tuple(sorted(a.keys() ^ b.keys()))
    if isinstance(a, Mapping) or isinstance(b, Mapping):
        raise AnalysisError("pair two mappings by draw or two arrays by position, not one of each")
    first, second = finite(a), finite(b)
    if first.shape != second.shape or first.ndim != 1:
        raise AnalysisError(f"the same draws of both detectors expected, got shapes {first.shape} and {second.shape}")
    return first - second, ()


def _signed_sums(values: Floats) -> Floats:
    """Return the sums of values under all 2^n choices of signs."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums - value, sums + value])
    return sums


def _probabilities(p_values: ArrayLike) -> Floats:
    p = finite(p_values)
    if ((p < 0) | (p > 1)).any():
        raise AnalysisError(f"p-values must lie between 0 and 1, got {p.min():g} to {p.max():g}")
    return p
