# Every target sets the project up first; where that is done already it costs nothing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup lint format test parity demo clean

PYTHON ?= $(firstword $(shell command -v python3.11 python3))
EXTRA ?= cpu
EXTRAS = $(EXTRA),dev
# Data sets that some tests and benchmarks read; without them those tests are skipped.
SACCADE_DATA ?= $(abspath $(wildcard ../shared/data))
export SACCADE_DATA

BIN := .venv/bin
PIP := $(BIN)/pip install --disable-pip-version-check --quiet --constraint constraints.txt
LOG := build/setup.log
FOLDERS := models pipelines plugins cluster
LINKS := $(FOLDERS:%=build/src/saccade/%) build/src/saccade/__init__.py
# $(call stage,words,command): one line a stage; what the command prints goes to the log, shown where it fails.
stage = @echo "setup: $(1)"; ($(2)) >> $(LOG) 2>&1 || { tail -n 30 $(LOG); echo "setup: failed, the whole log is $(LOG)"; exit 1; }

help: ## what can be made
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

setup: .venv/saccade.stamp $(LINKS) ## .venv with the pinned packages (EXTRA=gpu on a CUDA machine), about 5 minutes

# PyTorch goes first, so that nothing else chooses its version; TorchRec last and alone, because its metadata asks for
# the CUDA build of FBGEMM, which must not lie beside the CPU build.
.venv/saccade.stamp: pyproject.toml setup.py constraints.txt
	@mkdir -p build && : > $(LOG)
	$(call stage,virtual environment with $(PYTHON),test -x $(BIN)/pip || $(PYTHON) -m venv .venv)
	$(call stage,PyTorch,$(PIP) torch)
	$(call stage,Saccade with the extras $(EXTRAS),$(PIP) --editable '.[$(EXTRAS)]')
	$(call stage,TorchRec,$(PIP) --no-deps torchrec)
	$(call stage,DeepSpeed communication op (a minute the first time),$(BIN)/python -m saccade.cluster.prepare)
	@touch $@

# Type checkers and import-linter find saccade.* here: they don't follow the package-dir of pyproject.toml.
build/src/saccade/__init__.py:
	@mkdir -p $(@D) && ln -sfn ../../../cluster/package/__init__.py $@

build/src/saccade/%:
	@mkdir -p $(@D) && ln -sfn ../../../$* $@

lint: setup ## ruff, mypy, import-linter
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy --no-error-summary
	@PYTHONPATH=build/src $(BIN)/lint-imports --no-logo > build/lint.log || { cat build/lint.log; exit 1; }
	@echo "lint: ruff, mypy and import-linter found nothing"

format: setup ## put the code into ruff's format
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format .

test: setup ## all tests
	@$(BIN)/python -m pytest

parity: setup ## every engine against the reference, over the whole matrix (about 10 minutes)
	@$(BIN)/python -m tests.plugins.hybrid.parity

demo: setup ## make data, train on two Ray workers, evaluate, write the report
	$(BIN)/saccade data synthesize runs/demo-data --users 4000 --items 500 --clusters 20 --mean-length 30
	$(BIN)/saccade train cluster/jobs/demo.yaml data.path=runs/demo-data --fresh
	$(BIN)/saccade report runs/demo
	@$(BIN)/python -m saccade.cluster.demo runs/demo runs/demo-data

clean: ## remove builds and caches (runs/ and .venv stay)
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
