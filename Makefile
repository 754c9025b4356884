# Two commands on a fresh machine: `make demo` and `make test`. Each sets up its own environment first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
LOCKED ?=

# Without compiled files every worker rewrites every test and every child process compiles the library again.
unexport PYTHONDONTWRITEBYTECODE

comma := ,
# LOCKED=1: the very files of requirements/, checked by hash, in place of the newest that constraints.txt allows.
install = $(if $(LOCKED),dev/locked.sh $(BIN)/python $(1),$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[$(2)]')

.PHONY: help demo test test-fast test-oldest trial matrix mutants lock lint docs bench release-check clean
.DEFAULT_GOAL := help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(call install,demo,train$(comma)plot)
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(call install,test,dev)
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo  ## do you need a learnable classifier? Answered on real handwritten digits
	$(BIN)/equiangular compare digits --output runs/demo

# timm, PEFT and torchvision in a folder of their own, beside the environment: see tests/conftest.py.
.vision/.done: constraints.txt | $(VENV)/.dev
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --target .vision $(if $(LOCKED),--require-hashes -r requirements/vision.txt,timm peft 'torchvision==0.28.*')
	@touch $@

test: lint .vision/.done  ## everything: lint, then all tests (slow ones too)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal
	OMP_NUM_THREADS=1 PYTHONPATH=.vision $(BIN)/python -m pytest -n $(JOBS) tests/vision

test-fast: $(VENV)/.dev  ## the tests without the slow ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) -m "not slow"

test-oldest:  ## the core on the oldest PyTorch that is supported, where a CPU build of it is to be had
	PYTHON=$(PYTHON) JOBS=$(JOBS) dev/oldest_torch.sh

trial: $(VENV)/.dev  ## long: kills at every write, damage, two writers; figures in runs/trial/trial.json
	OMP_NUM_THREADS=1 $(BIN)/python -m trial

matrix: $(VENV)/.dev  ## every head, loss and metric inside all of PyTorch's machinery; writes docs/matrix.md
	OMP_NUM_THREADS=1 $(BIN)/python tests/matrix.py --write

mutants: $(VENV)/.dev  ## long: does a test fail for small changes of the core? Goes on where it was stopped
	$(BIN)/python -m pip install --disable-pip-version-check -q 'mutmut>=3,<4' 'coverage>=7'
	test -f build/mutants/cover.json || OMP_NUM_THREADS=1 $(BIN)/python dev/mutants.py cover
	OMP_NUM_THREADS=1 nice $(BIN)/python dev/mutants.py run && $(BIN)/python dev/mutants.py score

lock: $(VENV)/.dev  ## requirements/ and docs/licences.md anew, after a change of pyproject.toml or constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q uv
	$(BIN)/python dev/lock.py lock && $(BIN)/python dev/lock.py licences

lint: $(VENV)/.dev  ## ruff (rules, form) and mypy --strict with the numbers of dev/mypy_ratchet.json
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python dev/ratchet.py

$(VENV)/.docs: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[docs]'
	@touch $@

bench: $(VENV)/.dev  ## speed and memory beside their goals, one thread; goes on where it was stopped
	$(BIN)/python -m benchmarks

docs: $(VENV)/.docs  ## the site, into build/site: open build/site/index.html; a warning is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

release-check: $(VENV)/.dev  ## wheel and sdist built, checked and tried; RELEASE="--extras python3.10 ..." for more
	$(BIN)/python dev/release_check.py $(RELEASE)

clean:  ## remove the environment, caches and runs
	rm -rf $(VENV) .venv-oldest .vision runs build .pytest_cache .ruff_cache .mypy_cache
