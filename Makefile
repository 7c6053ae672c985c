# One virtual environment in .venv, from the hashed lock files; a target that finds it up to date does not touch it.

CONFIG ?= config/proxy.yaml
PORT ?= 8080
MINUTES ?= 30
ROUNDS ?= 0
ONLY ?=
WORKERS ?=
QUICK ?=
UPDATE ?=
OPERATIONS ?= 10000
POLLS ?= 1000
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# What is there for development has all that runs.
RUNS := $(or $(wildcard $(VENV)/dev.stamp),$(VENV)/run.stamp)

.PHONY: help run serve test lint docs docs-serve reference asking bench bench-smoke soak soak-scale lock clean

help:
	@echo 'make run [PORT=8080]      a slow backend, the proxy before it, and curl lines to paste'
	@echo 'make serve CONFIG=FILE    the proxy itself (default: $(CONFIG), which is made for the container and wants ORIGIN_URL)'
	@echo 'make test                 format, lint, types, and every test with branch coverage'
	@echo 'make lint                 the first three of these'
	@echo 'make docs                 the documentation as a site, in site/ (begin at site/index.html)'
	@echo 'make docs-serve           the same at http://127.0.0.1:8000, built again after every change'
	@echo 'make reference            write what is generated of the documentation, after a change of the configuration or the command line'
	@echo 'make soak [MINUTES=30]    kill it in every way for as long, and count what that costs; also ROUNDS=200, WORKERS=2, ONLY="deaths queues"'
	@echo 'make soak-scale           10,000 operations and 1,000 long polls at once; also OPERATIONS=, POLLS='
	@echo 'make bench [QUICK=1]      beside nginx, HAProxy and a naive proxy, with wrk: 11 minutes, and docs/performance.md is written anew; QUICK=1 and ONLY="small latency" only print'
	@echo 'make bench-smoke          instructions of a request and of an operation, beside those checked in, by valgrind; UPDATE=1 notes them'
	@echo 'make asking               simulates when clients ask that follow Retry-After, and writes docs/asking.md anew'
	@echo 'make lock                 pin the newest releases that pyproject.toml allows'
	@echo 'make clean                remove what the others made'
	@echo 'PYTHON=python3.13 before the first of them chooses the interpreter.'

run: $(RUNS)
	@$(BIN)/respond-async demo --port $(PORT)

serve: $(RUNS)
	@$(BIN)/respond-async serve --config "$(CONFIG)"

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# pytest's summary is the last line; too little coverage fails it (fail_under in pyproject.toml).
test: lint
	$(BIN)/pytest --cov

# `--strict`: a link that leads nowhere, or a page that is not in the menu, is an error.
docs: $(VENV)/dev.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-serve: $(VENV)/dev.stamp
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

reference: $(VENV)/dev.stamp
	$(BIN)/python -m proxy.config > config/schema.json
	$(BIN)/python -m reference

# pip is the last thing that this puts there: half an environment is made again.
$(BIN)/pip:
	sh .ci/make-venv $(VENV)

# The lock files name everything, so pip resolves nothing (`--no-deps`): where it does, older ones refuse `name[extra]`
# once a newer `name` is out. The stamps carry the time of the last installation. The second command adds our own package and the command.
$(VENV)/%.stamp: $(BIN)/pip
	@echo 'Installing into $(VENV), once.'
	$(PIP) install --require-hashes --no-deps --only-binary :all: --requirement $(filter %.lock,$^)
	$(PIP) install --no-deps --no-index --no-build-isolation --editable .
	@touch $@

$(VENV)/run.stamp: requirements.lock pyproject.toml
$(VENV)/dev.stamp: requirements-dev.lock pyproject.toml

# Bounded, on the loopback interface, in temporary folders; what they start they end.
soak: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.faults.soak --minutes $(MINUTES) --rounds $(ROUNDS) $(addprefix --only ,$(ONLY)) $(addprefix --workers ,$(WORKERS))

soak-scale: $(VENV)/dev.stamp
	@$(BIN)/python -m tests.faults.scale --operations $(OPERATIONS) --polls $(POLLS)

# On the loopback interface, in temporary folders. It installs no programs of the system, and says which it lacks.
bench: $(VENV)/dev.stamp
	@$(BIN)/python -m bench $(if $(QUICK),--quick) --only "$(ONLY)"

# Counted, not timed: it says the same on a busy machine.
bench-smoke: $(VENV)/dev.stamp
	@$(BIN)/python -m bench.smoke $(if $(UPDATE),--update)

# Simulated: the same figures everywhere.
asking: $(VENV)/dev.stamp
	@$(BIN)/python -m bench.asking

# One resolution for every supported Python and platform; the second repeats the first's versions. `uv` comes from PATH
# or, for this once, from an environment of its own.
UV ?= $(shell command -v uv || echo $(VENV)/lock/bin/uv)
COMPILE = UV_CUSTOM_COMPILE_COMMAND='make lock' $(UV) pip compile pyproject.toml --quiet --upgrade --universal \
	--python-version 3.11 --generate-hashes --no-annotate

lock: $(UV)
	$(COMPILE) --group build --output-file requirements.lock
	$(COMPILE) --extra otel --group build --group dev --constraints requirements.lock --output-file requirements-dev.lock

$(VENV)/lock/bin/uv: $(BIN)/pip
	sh .ci/make-venv $(VENV)/lock
	$(VENV)/lock/bin/python -m pip install --quiet uv

clean:
	rm -rf $(VENV) .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist site *.egg-info
	find proxy tests bench reference -name __pycache__ -prune -exec rm -rf {} +
