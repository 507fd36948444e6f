"""Kinds of search dimension."""

import pickle

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.space import KINDS, Dimension

RIGHT = {
    "choice": (2, 4, None, "a", True),
    "uniform": (0.0, 0.5),
    "log_uniform": (1e-5, 1e-2),
    "int_uniform": (1, 8),
    "log_int_uniform": (1, 64),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_samples_within_its_values(kind: str):
    dimension = Dimension(kind, RIGHT[kind])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(20):
        value = study.ask({"x": dimension.distribution}).params["x"]
        if kind == "choice":
            assert value in dimension.values
        else:
            assert dimension.values[0] <= value <= dimension.values[1]
            assert isinstance(value, int) == KINDS[kind].whole


def test_every_kind_has_a_row_in_this_table():
    assert set(RIGHT) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dimension_survives_pickling(kind: str):
    dimension = Dimension(kind, RIGHT[kind])
    assert dimension == pickle.loads(pickle.dumps(dimension))


@given(
    st.sampled_from(sorted(set(KINDS) - {"choice"})),
    st.lists(st.integers(-5, 5) | st.floats(-5, 5) | st.booleans() | st.text(max_size=2), max_size=3),
)
def test_a_range_is_refused_or_makes_a_distribution(kind: str, values: list[object]):
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    right = len(numbers) == len(values) == 2 and numbers[0] < numbers[1]
    if KINDS[kind].whole:
        right = right and all(float(number).is_integer() for number in numbers)
    if KINDS[kind].log:
        right = right and numbers[0] > 0
    if right:
        assert not Dimension(kind, tuple(values)).distribution.single()
    else:
        with pytest.raises(ValueError, match=f"{kind} .*found"):
            Dimension(kind, tuple(values))


def test_an_unknown_kind_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean log_uniform"):
        Dimension("loguniform", (1, 2))
