# Every target does all its own set-up on a fresh machine; nothing else has to be run first.
#   make sweep         a small multi-objective sweep on real faces: data, weights, training, attacks, frontier
#   make test          lint, types and tests
#   make test-long     what is left out there: every fault of a sweep, in a quarter of an hour
#   make test-cluster  a cluster of several hosts on this machine: as root, in ten minutes, with nothing beside it
#   make ui            the tracking UI of the studies in this folder
# Variables: PYTHON (creates the environment), VENV (where it lies), ARGS (of `veil sweep`), WORKERS (of `make test`).

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
WORKERS ?= 2

BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed
TESTING := $(VENV)/.installed-test

.DEFAULT_GOAL := help
.PHONY: help sweep test test-long test-cluster lint format ui clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null 2>&1 || \
	  { echo "$(PYTHON) not found: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "found $$($(PYTHON) --version), expected Python 3.11 or newer: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
	  { echo "$(PYTHON) cannot create virtual environments: install its venv package (Debian: apt install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(TESTING): pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $(RUNTIME) $@

sweep: $(RUNTIME)
	$(BIN)/veil sweep $(ARGS)
	@echo
	@echo "Next:  $(BIN)/veil frontier smoke            the frontier again, and its page"
	@echo "       make ui                               every trial and attack, in the tracking UI"
	@echo "       $(BIN)/veil pick --max-leak 0.50      rescore the candidates on sealed people and choose one"

test: lint
	$(BIN)/mypy
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not long"

test-long: $(TESTING)
	$(BIN)/python -m pytest -n 0 -m long

test-cluster: $(TESTING)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,cluster]"
	VEIL_TEST_HOSTS=1 $(BIN)/python -m pytest -n 0 tests/cluster

lint: $(TESTING)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(TESTING)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

ui: $(RUNTIME)
	$(BIN)/veil ui

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info platform/*.egg-info
	find platform trainables search_spaces tests -name __pycache__ -type d -prune -exec rm -rf {} +
