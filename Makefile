# Two commands are enough: `make run` and `make test`. The others are for those who change the service.
.DEFAULT_GOAL := help
# Made by these commands, with no file of that name.
.PHONY: help run test verify mutants soak overload lint format format-check types lock openapi clean
PYTHON ?= python3
PORT ?= 8080
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check install --quiet

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run .venv-engine/run ## try the service: embedded DynamoDB, example playlists, docs page (PORT=8080)
	@exec $(BIN)/playlists dev --port $(PORT)

test: .venv/test .venv-engine/run ## the whole suite: on DynamoDB Local where Java and Maven are, else on the embedded engine
	@$(BIN)/pytest --numprocesses auto

verify: .venv/test .venv-engine/run ## what needs more tools: the container files; the history load (Go, Java, Maven)
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@cd tests/history && go vet ./... && go test ./...
	@$(BIN)/python -m tests.history.load --seeds 1 2 3 --requests 3500

mutants: .venv/test .venv-engine/run ## seeded mistakes that tests and history checker have to find (Go, Java, Maven; 10 min)
	@$(BIN)/python -m tests.history.mutants

soak: .venv/test ## the history load over 28 seeds, 100,000 requests: the figures of docs/reliability.md (10 min)
	@$(BIN)/python -m tests.history.load --seeds $$(seq 101 128) --requests 3600

overload: .venv/benchmarks ## goodput and latency at up to three times the load that the service can take (9 min)
	@$(BIN)/python -m benchmarks.overload

lint: .venv/test ## ruff's rules
	@$(BIN)/ruff check .

format: .venv/test ## ruff's format, written
	@$(BIN)/ruff format .

format-check: .venv/test ## ruff's format, looked at only
	@$(BIN)/ruff format --check .

types: .venv/test ## mypy, strict
	@$(BIN)/mypy

openapi: .venv/run ## write openapi/openapi.json
	@$(BIN)/playlists openapi --output openapi/openapi.json

lock: .venv/test ## write the hashed locks anew from pyproject.toml
	@$(BIN)/python requirements/lock.py

clean: ## remove all that the other targets made
	@rm -rf .venv .venv-engine .dynamodb-local .mypy_cache .pytest_cache .ruff_cache .hypothesis

# A stamp, because venv makes bin/python first: one that fails later leaves it behind.
.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name one with make PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/run: requirements/run.txt pyproject.toml | .venv/made
	@echo "Installing the service into .venv"
	@$(BIN)/python $(PIP) --require-hashes -r requirements/run.txt
	@$(BIN)/python $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/test: requirements/test.txt .venv/run
	@echo "Installing the test tools into .venv"
	@$(BIN)/python $(PIP) --require-hashes -r requirements/test.txt
	@touch $@

.venv/benchmarks: requirements/benchmarks.txt .venv/test
	@echo "Installing the benchmarks' tools into .venv"
	@$(BIN)/python $(PIP) --require-hashes -r requirements/benchmarks.txt
	@touch $@

.venv-engine/run: requirements/engine.txt
	@echo "Installing the embedded DynamoDB engine into .venv-engine"
	@$(PYTHON) -m venv .venv-engine
	@.venv-engine/bin/python $(PIP) --require-hashes -r requirements/engine.txt
	@touch $@
