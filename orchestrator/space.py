"""Kinds of search dimension, each one row: how the sweep file spells it and its Optuna distribution."""

Dimension = object  # replaced by the sweep-file work
