# lossbench. `make` shows what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready

.PHONY: help run test lint bench
help: ## this text
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

run: $(READY) ## set up, then compare five losses over eight seeds on real data, and print the table
	@$(BIN)/lossbench train -m loss=cross_entropy,focal,polyloss,squentropy,brier 'seed=range(0,8)'
	@$(BIN)/lossbench collect
	@$(BIN)/lossbench compare --by loss --baseline cross_entropy --metric test/accuracy

test: $(READY) ## set up, then run all tests
	@$(BIN)/python -m pytest -n auto

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(READY) ## every row of the speed targets, as ratios measured in one run; also outputs/bench.json
	@$(BIN)/python -m benchmarks --json outputs/bench.json
