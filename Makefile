# Every target that needs the environment makes it first. Hydra overrides go in ARGS="...".
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-extras lock quickstart train sweep data-report remedies learning-curve search \
	compare report ui server \
	reproduce predict rerun register verify bench bench-compare bench-naive chaos \
	test test-all lint format types check clean

SYSTEM_PYTHON ?= $(shell command -v python3.11 || command -v python3)
PYTHON := .venv/bin/python
UV := .venv/bin/uv
READY := .venv/ready
ARGS ?=
SEEDS ?= 3
# A process per core, a file's tests in one of them, since they share what they trained.
PARALLEL ?= --numprocesses auto --dist loadfile
HOST ?= 127.0.0.1
PORT ?= 5000

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
		awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(READY) ## make the environment in .venv from the locked versions

# Bytecode is compiled here: without it every start of TensorFlow takes three times as long.
$(READY): pyproject.toml requirements/lock.txt requirements/uv.txt
	$(SYSTEM_PYTHON) -m venv .venv
	$(PYTHON) -m pip install --quiet --require-hashes --requirement requirements/uv.txt
	$(UV) pip sync --quiet --python $(PYTHON) --require-hashes --compile-bytecode \
		requirements/uv.txt requirements/lock.txt
	$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	@touch $@

setup-extras: $(READY) ## add what Ray, Slurm, PostgreSQL and Optuna need
	$(UV) pip sync --quiet --python $(PYTHON) --require-hashes --compile-bytecode \
		requirements/uv.txt requirements/extras.txt
	$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .

# extras.txt holds everything; lock.txt is the part of it, in the same versions, that all need.
lock: $(READY) ## resolve the dependencies anew into requirements/
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--output-file requirements/uv.txt requirements/uv.in
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --extra dev \
		--extra ray --extra search --extra server --extra submitit \
		--output-file requirements/extras.txt pyproject.toml requirements/build.in
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --extra dev \
		--constraint requirements/extras.txt \
		--output-file requirements/lock.txt pyproject.toml requirements/build.in

quickstart: $(READY) ## compare three optimizers over three seeds on the bundled digits
	$(PYTHON) scripts/train.py sweep=quickstart tracking.experiment=quickstart $(ARGS)
	@$(PYTHON) scripts/compare.py --experiment quickstart
	@$(PYTHON) scripts/report.py --experiment quickstart
	@echo "make ui      opens MLflow's table and charts of these runs"

train: $(READY) ## train one experiment: make train ARGS="dataset=mnist optimizer=adam"
	$(PYTHON) scripts/train.py $(ARGS)

sweep: $(READY) ## train a sweep: make sweep ARGS="optimizer=sgd,adam seed=0,1,2"
	$(PYTHON) scripts/train.py -m hydra/launcher=joblib $(ARGS)

data-report: $(READY) ## look at data before training: make data-report ARGS="dataset=mnist"
	@$(PYTHON) scripts/data_report.py $(ARGS)

remedies: $(READY) ## what each remedy against overfitting brings: make remedies ARGS="dataset=mnist"
	$(PYTHON) scripts/train.py sweep=remedies tracking.experiment=remedies $(ARGS)
	@$(PYTHON) scripts/remedies.py --experiment remedies

learning-curve: $(READY) ## what more training images would be worth
	$(PYTHON) scripts/train.py sweep=learning_curve tracking.experiment=learning_curve $(ARGS)
	@$(PYTHON) scripts/learning_curve.py --experiment learning_curve

search: $(READY) ## search settings by Optuna, after make setup-extras: make search ARGS="..."
	$(PYTHON) scripts/train.py sweep=search hydra/sweeper=optuna $(ARGS)

compare: $(READY) ## rank the finished runs: make compare ARGS="--experiment fitgap"
	@$(PYTHON) scripts/compare.py $(ARGS)

report: $(READY) ## write the comparison as one HTML file
	@$(PYTHON) scripts/report.py $(ARGS)

ui: $(READY) ## open MLflow's UI of the same database on http://$(HOST):$(PORT)
	@$(PYTHON) scripts/ui.py --host $(HOST) --port $(PORT) $(ARGS)

server: $(READY) ## serve MLflow over its own PostgreSQL on http://$(HOST):$(PORT) (after setup-extras)
	@$(PYTHON) scripts/server.py --host $(HOST) --port $(PORT) $(ARGS)

reproduce: $(READY) ## run the published experiments: make reproduce SEEDS=1 is quicker
	$(PYTHON) scripts/reproduce.py --seeds $(SEEDS) $(ARGS)

predict: $(READY) ## predict images: make predict RUN=<run id> ARGS="photo.png folder/"
	@$(PYTHON) scripts/predict.py $(RUN) $(ARGS)

rerun: $(READY) ## repeat a run and compare the bits: make rerun RUN=<run id>
	@$(PYTHON) scripts/rerun.py $(RUN) $(ARGS)

register: $(READY) ## register the best run's model: make register NAME=digits
	@$(PYTHON) scripts/register.py --register "$(NAME)" $(ARGS)

verify: $(READY) ## hold every operation against the NumPy reference
	$(PYTHON) scripts/verify.py $(ARGS)

bench: $(READY) ## measure the engines and the sweep against plain Keras
	$(PYTHON) scripts/bench.py $(ARGS)

bench-compare: $(READY) ## measure compare and report on 100, 1,000 and 10,000 made-up runs
	$(PYTHON) scripts/measure_growth.py $(ARGS)

bench-naive: $(READY) ## measure naive loops against NumPy and Keras
	$(PYTHON) scripts/bench_naive.py $(ARGS)

chaos: $(READY) ## kill a sweep 30 times and compare it with an undisturbed one
	$(PYTHON) scripts/chaos.py $(ARGS)

test: $(READY) ## run the tests, without the slow ones
	$(PYTHON) -m pytest $(PARALLEL) -m "not slow" $(ARGS)

test-all: $(READY) ## run all tests, the slow ones too
	$(PYTHON) -m pytest $(PARALLEL) $(ARGS)

lint: $(READY) ## check style and formatting
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format: $(READY) ## mend style and formatting
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types: $(READY) ## check types
	$(PYTHON) -m mypy

check: lint types test ## what must pass before a commit

clean: ## remove caches and build leftovers; runs, reports and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build src/*.egg-info
	find src scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
