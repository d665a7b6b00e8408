# DeepStock. `make` alone lists the targets.

PYTHON       ?= python3
VENV         ?= .venv
PRESET       ?= quick
# which methods to train, e.g. ddpg-both,ds-base or all; default: the preset's
METHODS      ?=
# make study; for make offline only smoke means anything
STUDY        ?= full
# make offline: the piece, and the folder of the publishers' tables
OFFLINE      ?= m5-cost
SOURCE       ?=
# make bench-classical
SEEDS        ?= 5
DATA         ?=
RAY_ADDRESS  ?=
OUT          ?= runs/$(basename $(notdir $(PRESET)))$(if $(DATA),-$(notdir $(abspath $(DATA))))$(if $(COSTS)$(COST_RATIO),-$(or $(COSTS),ratio))$(if $(COST_RATIO),-$(subst $(eval) ,-,$(strip $(COST_RATIO))))
# unit costs of generated data: COSTS=margin|ratio, COST_RATIO="4 40"; default: the preset's
COSTS        ?=
COST_RATIO   ?=
# make data
INVENTORIES  ?= 2000
DAYS         ?= 400
SEED         ?= 1
# make test: processes; JOBS=0 is one, for a debugger
JOBS         ?= 2
# extra arguments, e.g. make test ARGS="-k dynamics -x"
ARGS         ?=

# RAY_ADDRESS travels as an option, never through the environment: Ray would read it by itself.
unexport RAY_ADDRESS
export RAY_USAGE_STATS_ENABLED := 0
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0
export MLFLOW_DISABLE_TELEMETRY := true
# One thread a process: Ray runs one process a core, and more threads only get in their way.
export OMP_NUM_THREADS := 1

PY := $(VENV)/bin/python
COST_OPTIONS = $(if $(COSTS)$(COST_RATIO),--costs $(or $(COSTS),ratio)) $(if $(COST_RATIO),--cost-ratio $(COST_RATIO))
# A virtual environment that `make` did not create (no .deepstock in it) is used as it is.
MANAGED := $(if $(wildcard $(VENV)/bin/python),$(wildcard $(VENV)/.deepstock),yes)
READY := $(if $(MANAGED),$(VENV)/.installed)
READY_DEV := $(if $(MANAGED),$(VENV)/.installed-dev)

.DEFAULT_GOAL := help
.PHONY: help venv dev-venv data train-cluster study offline test test-slow bench bench-classical ui lint format typecheck clean

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-15s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  Variables: PRESET=smoke|quick|full|million  METHODS=ddpg-both,...  COSTS=margin|ratio  COST_RATIO=\"4 40\"  STUDY=smoke|full|full-50  OFFLINE=m5-cost|...|sensitivity  SOURCE=dir  SEEDS=5  DATA=dir  RAY_ADDRESS=host:port  OUT=dir  VENV=dir  PYTHON=python3"

$(VENV)/.deepstock:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "PYTHON = $(PYTHON) is older than 3.11 or missing. Install Python 3.11 or newer, or name one: make PYTHON=python3.12" >&2; exit 2; }
	mkdir -p $(VENV)
	touch $@
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/.deepstock
	$(PY) -m pip install --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(PY) -m pip install --disable-pip-version-check -r requirements-dev.txt
	touch $@

venv: $(READY) ## Make .venv with the pinned requirements

dev-venv: $(READY_DEV) ## The same, plus the tools for tests and checks

data: $(READY) ## Generate a data set (INVENTORIES, DAYS, SEED) into DATA (default data/generated)
	$(PY) -m pipeline data make --inventories $(INVENTORIES) --days $(DAYS) --seed $(SEED) --out $(or $(DATA),data/generated) $(COST_OPTIONS) $(ARGS)

train-cluster: $(READY) ## The main job: train, tune and compare all methods on a Ray cluster
	$(PY) -m cluster train --preset $(PRESET) --out $(OUT) $(if $(METHODS),--methods $(METHODS)) $(if $(DATA),--data $(DATA)) $(COST_OPTIONS) $(if $(RAY_ADDRESS),--address $(RAY_ADDRESS))

study: $(READY) ## The synthetic study (STUDY=smoke|full|full-50, or a YAML) into runs/study
	$(PY) -m cluster study --study $(STUDY) $(if $(filter command line environment,$(origin OUT)),--out $(OUT)) $(if $(RAY_ADDRESS),--address $(RAY_ADDRESS)) $(ARGS)

offline: $(READY) ## A piece of the study on real demand (OFFLINE=m5-cost, SOURCE=dir) into runs/offline
	$(PY) -m cluster offline --piece $(OFFLINE) $(if $(filter smoke,$(STUDY)),--smoke) $(if $(SOURCE),--source $(SOURCE)) $(if $(filter command line environment,$(origin OUT)),--out $(OUT)) $(if $(RAY_ADDRESS),--address $(RAY_ADDRESS)) $(ARGS)

test: $(READY_DEV) ## All tests except the slow ones
	$(PY) -m pytest -m "not slow" -n $(JOBS) --dist loadfile $(ARGS)

test-slow: $(READY_DEV) ## Only the slow tests: learning, faults, several nodes
	$(PY) -m pytest -m slow $(ARGS)

bench: $(READY_DEV) ## Throughput of the simulator and the training steps
	$(PY) -m pipeline bench $(ARGS)

bench-classical: $(READY) ## Learners on problems whose best cost is known (SEEDS each: hours of CPU)
	$(PY) -m pipeline bench classical --seeds $(SEEDS) $(ARGS)

ui: $(READY) ## Start MLflow and TensorBoard on the finished and running sweeps
	$(PY) -m cluster ui

lint: $(READY_DEV) ## ruff: rules and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

format: $(READY_DEV) ## ruff: fix and format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

typecheck: $(READY_DEV) ## mypy, strict
	$(PY) -m mypy

clean: ## Remove caches and unfinished output; keeps data, runs and .venv
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
	find . -path ./.venv -prune -o \( -name __pycache__ -o -name '*.partial' \) -print0 | xargs -0 rm -rf
