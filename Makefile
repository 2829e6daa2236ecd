PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.whet-installed
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: demo test test-slow check clean

demo: $(READY)  ## the whole pipeline on what this machine already has
	$(BIN)/whet demo

# One thread a process: two processes with two threads each wait for each other on two cores.
PYTEST := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false $(BIN)/python -m pytest -n auto --dist loadscope --durations 10

test: $(READY)  ## every fast test, and the ten slowest
	$(PYTEST)

test-slow: $(READY)  ## end-to-end trainings and kill sweeps
	$(PYTEST) -m slow

check: $(READY)  ## format, lint, types, import order, size bars
	scripts/check

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist

# torch goes first and alone, so that pip settles on one build of it before anything else asks for it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "whet needs Python 3.11 or newer; name one: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "Installing into .venv (once; again when pyproject.toml or constraints.txt change)" >&2
	$(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	$(PIP) -e '.[dev]'
	@touch $@
