# Every target that needs the environment makes it first. Settings may stand as they are
# (make train optimizer=adam seed=1); everything else goes in ARGS="...".
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup setup-extras lock docs quickstart train sweep data-report remedies learning-curve \
	search compare report ui server \
	reproduce predict rerun register verify bench bench-short bench-compare bench-naive chaos calibrate \
	test fuzz audit release test-all lint format types check clean

SYSTEM_PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || \
	command -v python3.13 || command -v python3)
PYTHON := .venv/bin/python
FITGAP := .venv/bin/fitgap
UV := .venv/bin/uv
READY := .venv/ready
ARGS ?=
SEEDS ?= 3
# A process per core, a file's tests in one of them, since they share what they trained.
PARALLEL ?= --numprocesses auto --dist loadfile
HOST ?= 127.0.0.1
PORT ?= 5000

# What `make train optimizer=sgd` sets are variables of make; they are meant as settings.
OWN := SHELL SYSTEM_PYTHON PYTHON FITGAP UV READY ARGS SEEDS PARALLEL HOST PORT RUN NAME
IS_GIVEN = $(filter command,$(firstword $(origin $(1))))
GIVEN := $(strip $(foreach v,$(filter-out $(OWN),$(.VARIABLES)),$(if $(call IS_GIVEN,$(v)),$(v))))
SETTINGS := $(foreach v,$(GIVEN),'$(v)=$(subst ','\'',$(value $(v)))')
ifneq ($(GIVEN),)
ifneq ($(filter compare report ui server predict rerun register,$(MAKECMDGOALS)),)
$(error $(firstword $(GIVEN)): no setting of this target; its options go in ARGS="...")
endif
endif

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
	@$(PYTHON) -m compileall -q src
	@touch $@

setup-extras: $(READY) ## add what Ray, Slurm, PostgreSQL, Optuna and the fuzzer need
	$(UV) pip sync --quiet --python $(PYTHON) --require-hashes --compile-bytecode \
		requirements/uv.txt requirements/extras.txt
	$(UV) pip install --quiet --python $(PYTHON) --no-deps --no-build-isolation --editable .
	@$(PYTHON) -m compileall -q src

# extras.txt holds everything; lock.txt is the part of it, in the same versions, that all need.
lock: $(READY) ## resolve the dependencies again into requirements/
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--output-file requirements/uv.txt requirements/uv.in
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --extra dev \
		--extra fuzz --extra ray --extra search --extra server --extra submitit \
		--output-file requirements/extras.txt pyproject.toml requirements/build.in
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --extra dev \
		--constraint requirements/extras.txt \
		--output-file requirements/lock.txt pyproject.toml requirements/build.in
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		--output-file requirements/docs.txt --group docs

# The site needs none of fitgap's own packages: the reference is read from the source.
docs: $(READY) ## build the documentation's site in build/site
	$(UV) venv --quiet --allow-existing --python $(PYTHON) build/docs
	$(UV) pip sync --quiet --python build/docs/bin/python --require-hashes requirements/docs.txt
	NO_MKDOCS_2_WARNING=1 build/docs/bin/mkdocs build --strict

quickstart: $(READY) ## compare three optimizers over three seeds on the bundled digits
	$(FITGAP) train sweep=quickstart $(SETTINGS) $(ARGS)
	@$(FITGAP) compare
	@$(FITGAP) report
	@echo "make ui      opens MLflow's table and charts of these runs"

train: $(READY) ## train one experiment: make train dataset=mnist optimizer=adam
	$(FITGAP) train $(SETTINGS) $(ARGS)

sweep: $(READY) ## train a sweep: make sweep optimizer=sgd,adam seed=0,1,2
	$(FITGAP) train -m hydra/launcher=joblib $(SETTINGS) $(ARGS)

data-report: $(READY) ## look at data before training: make data-report dataset=mnist
	@$(FITGAP) data-report $(SETTINGS) $(ARGS)

remedies: $(READY) ## show what each remedy against overfitting changes: make remedies dataset=mnist
	$(FITGAP) train sweep=remedies tracking.experiment=remedies $(SETTINGS) $(ARGS)
	@$(FITGAP) remedies --experiment remedies

learning-curve: $(READY) ## predict what more training images would bring
	$(FITGAP) train sweep=learning_curve tracking.experiment=learning_curve $(SETTINGS) $(ARGS)
	@$(FITGAP) learning-curve --experiment learning_curve

search: $(READY) ## search settings by Optuna, after make setup-extras: make search dataset=mnist
	$(FITGAP) train sweep=search hydra/sweeper=optuna $(SETTINGS) $(ARGS)

compare: $(READY) ## rank the finished runs: make compare ARGS="--experiment fitgap"
	@$(FITGAP) compare $(ARGS)

report: $(READY) ## write the comparison as one HTML file
	@$(FITGAP) report $(ARGS)

ui: $(READY) ## open MLflow's UI of the same database on http://$(HOST):$(PORT)
	@$(FITGAP) ui --host $(HOST) --port $(PORT) $(ARGS)

server: $(READY) ## serve MLflow over its own PostgreSQL on http://$(HOST):$(PORT) (after setup-extras)
	@$(FITGAP) server --host $(HOST) --port $(PORT) $(ARGS)

reproduce: $(READY) ## run the published experiments: make reproduce SEEDS=1 is quicker
	$(PYTHON) scripts/reproduce.py --seeds $(SEEDS) $(ARGS)

predict: $(READY) ## predict images: make predict RUN=<run id> ARGS="photo.png folder/"
	@$(FITGAP) predict $(RUN) $(ARGS)

rerun: $(READY) ## repeat a run and compare it bit for bit: make rerun RUN=<run id>
	@$(FITGAP) rerun $(RUN) $(ARGS)

register: $(READY) ## register the best run's model: make register NAME=digits
	@$(FITGAP) register --register "$(NAME)" $(ARGS)

verify: $(READY) ## compare every operation with the NumPy reference
	$(PYTHON) scripts/verify.py $(ARGS)

bench: $(READY) ## measure the engines and the sweep against plain Keras
	$(PYTHON) scripts/bench.py $(ARGS)

bench-short: $(READY) ## run each part of the benchmark once on little data; its times say nothing
	$(PYTHON) scripts/bench.py --short --output reports/bench-short.json $(ARGS)

bench-compare: $(READY) ## measure compare and report on 100, 1,000 and 10,000 artificial runs
	$(PYTHON) scripts/measure_growth.py $(ARGS)

bench-naive: $(READY) ## measure naive loops against NumPy and Keras
	$(PYTHON) scripts/bench_naive.py $(ARGS)

chaos: $(READY) ## kill a sweep 30 times and compare it with an undisturbed one
	$(PYTHON) scripts/chaos.py $(ARGS)

calibrate: $(READY) ## check what comparisons claim where the truth is known
	$(PYTHON) scripts/calibrate.py

test: $(READY) ## run the tests, without the slow ones
	$(PYTHON) -m pytest $(PARALLEL) -m "not slow" $(ARGS)

fuzz: $(READY) ## feed readers damaged files (after setup-extras): make fuzz ARGS="--minutes 60 csv"
	$(PYTHON) scripts/fuzz.py $(ARGS)

# Strict: where the database cannot be asked about a package, nothing is said to be well.
# Exceptions: --ignore-vuln ID, each with its reason in a comment here. There are none.
audit: $(READY) ## look for known vulnerabilities of the locked dependencies (needs a network)
	$(UV) tool run --from pip-audit pip-audit --strict --disable-pip --require-hashes \
		--requirement requirements/extras.txt $(ARGS)

# The list holds what lock.txt does: each package with its version and hashes.
release: $(READY) ## build the wheel into dist/, with the list of its dependencies (CycloneDX)
	$(UV) build --quiet --wheel --no-build-isolation --python $(PYTHON) --out-dir dist
	$(UV) tool run --from cyclonedx-bom==7.5.0 cyclonedx-py requirements requirements/lock.txt \
		--pyproject pyproject.toml --output-reproducible --output-file dist/sbom.cdx.json

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

check: lint types test ## run what must pass before a commit

clean: ## remove caches and build leftovers; runs, reports and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build src/*.egg-info
	find src scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
