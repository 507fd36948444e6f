"""Kinds of search dimension, each one row: how the sweep file spells it and its Optuna distribution."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from trainables.protocol import Scalar


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of dimension.

    Attributes
    ----------
    meaning
        One line for messages and documentation.
    distribution
        Values of the sweep file -> Optuna distribution.
    whole
        True if both ends must be whole numbers.
    log
        True if the scale is logarithmic: the low end must be above 0.
    """

    meaning: str
    distribution: Callable[[tuple[Scalar, ...]], BaseDistribution]
    whole: bool = False
    log: bool = False


def _float(log: bool) -> Callable[[tuple[Scalar, ...]], BaseDistribution]:
    return lambda ends: FloatDistribution(_number(ends[0]), _number(ends[1]), log=log)


def _int(log: bool) -> Callable[[tuple[Scalar, ...]], BaseDistribution]:
    return lambda ends: IntDistribution(int(_number(ends[0])), int(_number(ends[1])), log=log)


KINDS: Mapping[str, Kind] = {
    "choice": Kind("one of the listed values", CategoricalDistribution),
    "uniform": Kind("a number in [low, high]", _float(log=False)),
    "log_uniform": Kind("a number in [low, high] on a logarithmic scale", _float(log=True), log=True),
    "int_uniform": Kind("a whole number in [low, high]", _int(log=False), whole=True),
    "log_int_uniform": Kind(
        "a whole number in [low, high] on a logarithmic scale", _int(log=True), whole=True, log=True
    ),
}


@dataclass(frozen=True, slots=True)
class Dimension:
    """A searched setting: its kind and the choices, or [low, high] with both ends included.

    Raises
    ------
    ValueError
        Unknown kind, or values that the kind does not allow.
    """

    kind: str
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        problem = _problem(self.kind, self.values)
        if problem is not None:
            raise ValueError(problem)

    @property
    def distribution(self) -> BaseDistribution:
        """The Optuna distribution; made on demand, so that a plan stays plain data."""
        return KINDS[self.kind].distribution(self.values)

    def holds(self, value: Scalar) -> bool:
        """Say whether a search over this dimension could have suggested the value."""
        if self.kind == "choice":
            return value in self.values
        low, high = self.values
        return isinstance(value, int | float) and _number(low) <= value <= _number(high)


def kind_problem(kind: str) -> str | None:
    """Say what is wrong with the name of a kind, with the nearest valid one."""
    if kind in KINDS:
        return None
    near = get_close_matches(kind, KINDS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"unknown kind of dimension; {hint}known: {', '.join(KINDS)}"


def _problem(kind: str, values: tuple[Scalar, ...]) -> str | None:
    """Say what is wrong with a dimension, or None."""
    wrong_kind = kind_problem(kind)
    if wrong_kind is not None:
        return wrong_kind
    return _choice_problem(values) if kind == "choice" else _range_problem(kind, values)


def _range_problem(kind: str, values: tuple[Scalar, ...]) -> str | None:
    found = f"found {list(values)}"
    if len(values) != 2 or any(isinstance(end, bool) or not isinstance(end, int | float) for end in values):
        return f"{kind} takes two numbers, [low, high]; {found}"
    low, high = _number(values[0]), _number(values[1])
    if KINDS[kind].whole and not (low.is_integer() and high.is_integer()):
        return f"{kind} takes whole numbers; {found}"
    if KINDS[kind].log and low <= 0:
        return f"{kind} needs a low end above 0 (a logarithm of 0 does not exist); {found}"
    return None if low < high else f"{kind} needs low < high; {found}"


def _choice_problem(values: tuple[Scalar, ...]) -> str | None:
    if not values:
        return "choice is empty; list at least one value"
    if len({(type(value), value) for value in values}) < len(values):
        return f"choice lists a value twice: {list(values)}"
    return None


def _number(end: Scalar) -> float:
    if isinstance(end, bool) or not isinstance(end, int | float):
        raise TypeError(f"not a number: {end!r}")
    return float(end)
