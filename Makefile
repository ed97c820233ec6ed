# One command a job; `make` alone lists them. Each job sets up the environment that it needs, once.

PYTHON    ?= python3
LIGHT     ?= .venv-light
VENV      ?= .venv
DEMO_OUT  ?= demo
DATA      ?= data

# Stamps carry a hash of what the environment depends on: a change of pyproject.toml or constraints.txt sets up anew,
# new file times alone do not. Bytecode is left to be compiled when a module is first used: that halves the wait.
HASH        := $(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
LIGHT_STAMP := $(LIGHT)/.bargewatch-light-$(HASH)
FULL_STAMP  := $(VENV)/.bargewatch-full-$(HASH)

export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo setup setup-light test killtest year lint bench data train evaluate calibrate clean

help:  ## List the jobs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

demo: $(LIGHT_STAMP)  ## Paint a small port, find its vessels and show the files (light install, no data needed)
	$(LIGHT)/bin/bargewatch demo --force --out $(DEMO_OUT)

setup-light: $(LIGHT_STAMP)  ## Make .venv-light: what inference needs, without torch

setup: $(FULL_STAMP)  ## Make .venv: everything, torch included

test: export OMP_NUM_THREADS ?= 2
test: $(FULL_STAMP)  ## Run the unit and integration tests
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

killtest: $(FULL_STAMP)  ## Kill `watch` sixty times over thirty scenes; nothing may be lost or done twice (minutes)
	$(VENV)/bin/python -m pytest tests/endurance/test_killed.py -s $(PYTEST_ARGS)

year: $(FULL_STAMP)  ## Paint, serve, watch and count a year of two coal berths, and compare with the truth (minutes)
	$(VENV)/bin/python -m pytest tests/endurance/test_year.py -s $(PYTEST_ARGS)

lint: $(FULL_STAMP)  ## Check style and types
	$(VENV)/bin/ruff check detector training tests
	$(VENV)/bin/mypy

bench: $(FULL_STAMP)  ## Measure speed and memory on a full tile; needs an otherwise idle machine
	$(VENV)/bin/python -m pytest tests/bench
	$(VENV)/bin/python -m tests.bench.bench_tile $(ARGS)

data: $(FULL_STAMP)  ## Fetch and check the training data into data/
	$(VENV)/bin/bargewatch data --out $(DATA) $(ARGS)

train: $(FULL_STAMP)  ## Train a network (ARGS="--fold a --resume")
	$(VENV)/bin/bargewatch train $(ARGS)

evaluate: $(FULL_STAMP)  ## Measure trained networks, each place by one that has not seen it
	$(VENV)/bin/bargewatch evaluate $(ARGS)

calibrate: $(FULL_STAMP)  ## Simulate years of berths and check the intervals of the estimate (hours; ARGS="--quick")
	$(VENV)/bin/python -m training.simulate.calibrate $(ARGS)

clean:  ## Remove caches and the demo; environments, data and runs stay
	@test ! -e $(DEMO_OUT)/truth.geojson || rm -rf $(DEMO_OUT)
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find detector training tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(LIGHT_STAMP):
	test -x $(LIGHT)/bin/python || $(PYTHON) -m venv $(LIGHT)
	$(LIGHT)/bin/python -m pip install --quiet --no-compile -c constraints.txt -e .
	@rm -f $(LIGHT)/.bargewatch-light-* && touch $@

$(FULL_STAMP):
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --no-compile -c constraints.txt -e '.[train,parquet,ais,onnxruntime,land,dask,bench,test]'
	@# ultralytics and sahi bring the OpenCV with windows, which needs libGL; the headless one lies in the same folder.
	$(VENV)/bin/python -m pip install --quiet --no-compile --no-deps --force-reinstall -c constraints.txt opencv-python-headless
	@rm -f $(VENV)/.bargewatch-full-* && touch $@
