# One command sets everything up: `make demo` or `make test` on a fresh clone needs nothing before it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
FLOWER := .venv-flower
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 POLARS_MAX_THREADS=1

.DEFAULT_GOAL := help
.PHONY: help install demo serve test test-long test-peers check bench bench-flower soak build promises clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Consilium needs Python >= 3.11; got $$($(PYTHON) --version): run make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[demo,test]'
	@touch $@

install: $(READY) ## create .venv and install all that demo and test need

demo: $(READY) ## the whole path on real bars: features, models, consensus, paper trading, report
	$(ONE_THREAD) $(BIN)/consilium demo

serve: $(READY) ## the service with its API, on a simulated market until Ctrl-C
	$(ONE_THREAD) $(BIN)/consilium serve --feed simulate:symbols=5

test: $(READY) ## the default test suite, one process a core
	$(ONE_THREAD) $(BIN)/pytest -n auto --dist worksteal

test-long: $(READY) ## the long tests in their short form, one process a core
	$(ONE_THREAD) $(BIN)/pytest -n auto --dist worksteal -m long

# neuralforecast asks for a training stack of its own, which would replace torch; one of its blocks is compared.
$(PEERS)/.ready: pyproject.toml
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -e '.[test,peers]'
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check --no-deps \
		neuralforecast pytorch-lightning torchmetrics lightning-utilities utilsforecast
	@touch $@

test-peers: $(PEERS)/.ready ## compare with other projects' code, in an environment of its own
	$(ONE_THREAD) $(PEERS)/bin/pytest -m peers tests/unit/test_networks_peers.py tests/unit/test_models_peers.py \
		tests/unit/test_federated_peers.py

check: $(READY) ## what CI runs: format, lint, types, import contracts, promises, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/promises.py --check
	$(MAKE) test

bench: $(READY) ## every benchmark, checked against benchmarks/thresholds.toml
	$(ONE_THREAD) $(BIN)/python benchmarks/run_all.py

# Flower asks for older versions of some libraries than the rest may have.
$(FLOWER)/.ready: pyproject.toml
	$(PYTHON) -m venv $(FLOWER)
	$(FLOWER)/bin/pip install --quiet --disable-pip-version-check -e '.[federated,flower]'
	@touch $@

bench-flower: $(FLOWER)/.ready ## the secure sum beside Flower's SecAgg+, in an environment of its own
	$(ONE_THREAD) $(FLOWER)/bin/python benchmarks/secure_sum_flower.py

soak: $(READY) ## the full counts of the long tests, written to benchmarks/soak.md
	$(ONE_THREAD) $(BIN)/python benchmarks/soak.py

build: $(READY) ## a wheel, proven by installing it into an empty environment
	rm -rf dist .venv-wheel
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/pip install --quiet --disable-pip-version-check dist/*.whl
	cd dist && ../.venv-wheel/bin/consilium --version && ../.venv-wheel/bin/consilium data check sample
	rm -rf .venv-wheel
	@ls -l dist

promises: $(READY) ## print docs/promises.md from the promise marks
	$(BIN)/python tests/promises.py

clean: ## remove what was built, never what was measured
	rm -rf $(VENV) .venv-* dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
