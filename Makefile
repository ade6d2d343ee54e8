# Two commands: `make train` and `make test`. Each needs python3 (3.10 or newer) with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Two workers at the least: most of a slow test's time is spent waiting for a process it started.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(max(2, os.cpu_count() or 1))')

.PHONY: train test lint clean

train: $(VENV)/.train
	$(BIN)/lphm train $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -W error -m pytest -n $(WORKERS) $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# One environment for all; a stamp says what was installed into it, and from which files.
$(VENV)/.train $(VENV)/.test: $(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -c constraints.txt -e '.[$*]'
	@touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "lphm needs Python 3.10 or newer")'
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
