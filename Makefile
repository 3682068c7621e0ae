# Every target sets itself up on a bare machine: Python 3.11 or newer, a network, nothing else.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
SOURCES := src tests bench

.PHONY: demo test slow check docs clean

demo: $(BIN)/.run
	$(BIN)/delineate demo

test: $(BIN)/.dev
	$(BIN)/python -m pytest -m "not slow and not gpu"

slow: $(BIN)/.dev
	$(BIN)/python -m pytest -m "slow"

check: $(BIN)/.dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/pyright
	$(BIN)/codespell

docs: $(BIN)/.dev
	$(BIN)/python docs/generate.py

clean:
	rm -rf .venv demo build dist

# torch first and pinned: the CPU build where the machine offers one.
$(BIN)/.run: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) torch==2.13.0
	$(PIP) --editable .
	touch $@

$(BIN)/.dev: $(BIN)/.run
	$(PIP) --editable ".[dev]"
	touch $@
