# Two commands on a fresh machine: `make demo` and `make test`. Each sets up its own environment first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2

.PHONY: help demo test test-fast lint clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[train,plot]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## do you need a learnable classifier? Answered on real handwritten digits
	$(BIN)/equiangular compare digits --output runs/demo

# timm and torchvision in a folder of their own, beside the environment: see tests/conftest.py.
.vision/.done: constraints.txt | $(VENV)/.dev
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --target .vision timm 'torchvision==0.28.*'
	@touch $@

test: $(VENV)/.dev .vision/.done  ## everything: lint, then all tests (slow ones too)
	$(BIN)/ruff check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)
	OMP_NUM_THREADS=1 PYTHONPATH=.vision $(BIN)/python -m pytest -n $(JOBS) tests/vision

test-fast: $(VENV)/.dev  ## the tests without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "not slow"

lint: $(VENV)/.dev  ## ruff
	$(BIN)/ruff check .

clean:  ## remove the environment, caches and runs
	rm -rf $(VENV) .vision runs .pytest_cache .ruff_cache
