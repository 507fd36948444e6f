"""Every example in a docstring of the analysis runs and gives what it says."""

import doctest
import importlib
import pkgutil

import pytest

import analysis
import analysis.plots

MODULES = [
    f"{package.__name__}.{module.name}"
    for package in (analysis, analysis.plots)
    for module in pkgutil.iter_modules(package.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_the_module_are_true(name):
    assert 0 == doctest.testmod(importlib.import_module(name)).failed


def test_there_are_examples_to_run():
    found = [doctest.DocTestFinder().find(importlib.import_module(name)) for name in MODULES]
    assert sum(bool(test.examples) for tests in found for test in tests) >= 10
