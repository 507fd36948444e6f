# Two commands for a fresh clone: `make sweep` and `make test`. Both install first; nothing is installed twice.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

SPEC ?= search_spaces/fewshot.yaml
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
SUITABLE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# The first interpreter that fits; name another with PYTHON=/path/to/python3.12.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c '$(SUITABLE)' 2>/dev/null && { echo "$$python"; break; }; done)
PIP := $(BIN)/python -m pip install --disable-pip-version-check

.PHONY: help install sweep test lint bench clean

help:
	@echo "make sweep     install, then run a sweep to its report; SPEC=search_spaces/other.yaml, ARGS=--dry-run"
	@echo "make test      install with the test tools, then run the whole test suite"
	@echo "make install   make .venv and install everything"
	@echo "make lint      ruff, mypy, codespell, validate-pyproject"
	@echo "make bench     measure what the engine costs a trial, and MOMENT a window"
	@echo "make clean     remove caches and build products; .venv, data and runs stay"

install: $(VENV)/.installed

sweep: install
	$(BIN)/python -m orchestrator.sweep $(SPEC) $(ARGS)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/validate-pyproject pyproject.toml

bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench_moment
	$(BIN)/python -m tests.bench_rows

clean:
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find orchestrator trainables analysis tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "needs Python 3.11, 3.12 or 3.13: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 2; }
	@"$(PYTHON)" -c '$(SUITABLE)' || { echo "$(PYTHON) is not Python 3.11, 3.12 or 3.13"; exit 2; }
	"$(PYTHON)" -m venv $(VENV)

# momentfm's own pins are stale (numpy 1.25, transformers 4.33), hence --no-deps.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -c constraints.txt -e .
	$(PIP) --no-deps momentfm==0.1.4
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -c constraints.txt -e ".[dev]"
	@touch $@
