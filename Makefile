# One command a job; `make` alone lists them. Each job sets up the environment that it needs, once.

PYTHON    ?= python3
LIGHT     ?= .venv-light
VENV      ?= .venv
DEMO_OUT  ?= demo
DATA      ?= data
THREADS   ?= 2

# Stamps carry a hash of what the environment depends on: a change of pyproject.toml or constraints.txt sets up anew,
# a fresh clone with new file times does not.
HASH        := $(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
LIGHT_STAMP := $(LIGHT)/.bargewatch-light-$(HASH)
FULL_STAMP  := $(VENV)/.bargewatch-full-$(HASH)

export OMP_NUM_THREADS ?= $(THREADS)
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo setup setup-light test lint format bench data train evaluate clean

help:  ## List the jobs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(LIGHT_STAMP)  ## Paint a small port, find its vessels and show the files (light install, no data needed)
	rm -rf $(DEMO_OUT)
	$(LIGHT)/bin/bargewatch demo --out $(DEMO_OUT)

setup-light: $(LIGHT_STAMP)  ## Make .venv-light: what inference needs, without torch

setup: $(FULL_STAMP)  ## Make .venv: everything, torch included

test: $(FULL_STAMP)  ## Run the unit and integration tests
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

lint: $(FULL_STAMP)  ## Check style and types
	$(VENV)/bin/ruff check detector training tests
	$(VENV)/bin/mypy

bench: $(FULL_STAMP)  ## Measure speed, memory and masks; needs an otherwise idle machine
	$(VENV)/bin/python -m pytest tests/bench $(PYTEST_ARGS)

data: $(FULL_STAMP)  ## Fetch and check the training data into data/
	$(VENV)/bin/bargewatch data --out $(DATA) $(ARGS)

train: $(FULL_STAMP)  ## Train a network (ARGS="--config FILE --fold a")
	$(VENV)/bin/bargewatch train $(ARGS)

evaluate: $(FULL_STAMP)  ## Measure the shipped network on labelled scenes
	$(VENV)/bin/bargewatch evaluate $(ARGS)

clean:  ## Remove caches and the demo; environments, data and runs stay
	rm -rf $(DEMO_OUT) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find detector training tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(LIGHT_STAMP): pyproject.toml constraints.txt
	test -x $(LIGHT)/bin/python || $(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/python -m pip install --quiet -c constraints.txt -e .
	@rm -f $(LIGHT)/.bargewatch-light-* && touch $@

$(FULL_STAMP): pyproject.toml constraints.txt
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[train,parquet,onnxruntime,land,bench,test]'
	@rm -f $(VENV)/.bargewatch-full-* && touch $@
