# Two commands are enough: `make run` and `make test`. The others are for those who change the service.
.DEFAULT_GOAL := help
# Made by these commands, with no file of that name.
.PHONY: help run test verify contract seen browser screenshots mutants soak overload cost growth lint format format-check types
.PHONY: audit licences lock openapi clean
PYTHON ?= python3
PORT ?= 8080
SEEDS ?= 1 2
BIN := .venv/bin
PIP := -m pip --disable-pip-version-check install

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s%s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run .venv-engine/run ## try the service: embedded DynamoDB, example playlists, docs page (PORT=8080)
	@exec $(BIN)/playlists dev --port $(PORT)

test: .venv/test .venv-engine/run ## the whole suite, on DynamoDB Local where Java and Maven are (ENGINE=embedded: on the embedded engine)
	@$(BIN)/pytest --numprocesses auto

verify: contract browser .venv-deploy/run ## what needs more tools: contract, pages, files of deployment, history load (Node, Go, Chromium, Java, Maven)
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	@.venv-deploy/bin/cfn-lint deploy/table.yaml
	@.venv-deploy/bin/kubernetes-validate --strict --quiet deploy/kubernetes.yaml
	@cd tests/history && go vet ./... && go test ./...
	@$(BIN)/python -m tests.history.load --keep .histories --seeds 1 2 3 --requests 3500
	@PLAYLISTS_CLIENT=standard $(BIN)/python -m tests.history.load --keep .histories --seeds 4 --requests 3500
	@PLAYLISTS_CLIENT=standard $(BIN)/pytest tests/store tests/faults --ignore tests/store/wire

browser: .venv/browser .venv-engine/run ## the pages in a real browser: what is in docs page and landing page works (Chromium)
	@$(BIN)/pytest tests/browser

screenshots: .venv/browser .venv-engine/run ## take the README's pictures anew (Chromium)
	@$(BIN)/python -m tests.browser.screenshots

# The linters take what they are given in openapi/ and nothing else; every warning is an error.
contract: .venv/test .venv-engine/run .venv-contract/run .venv-contract/java/made openapi/node_modules/made ## the OpenAPI document: linters, breaking changes, clients, importers, schemathesis (Node, Go, Java, Maven; SEEDS="1 2")
	@cd openapi && node_modules/.bin/redocly lint openapi.json
	@cd openapi && node_modules/.bin/spectral lint openapi.json --fail-severity=hint
	@cd openapi && go tool oasdiff breaking released.json openapi.json --fail-on WARN --severity-levels oasdiff-levels.txt
	@$(BIN)/pytest tests/clients
	@$(BIN)/python -m tests.fuzzing.run --seeds $(SEEDS)

seen: .venv/test .venv-engine/run ## answers that the OpenAPI document declares and no test of the suite gets (4 min)
	@rm -f .pytest_cache/seen && mkdir -p .pytest_cache
	@CONTRACT_SEEN=$(CURDIR)/.pytest_cache/seen $(BIN)/pytest --numprocesses auto --quiet tests/api tests/faults
	@$(BIN)/python -m tests.contract openapi/openapi.json .pytest_cache/seen

mutants: .venv/test .venv-engine/run ## seeded mistakes that tests and history checker have to find (Go, Java, Maven; 10 min)
	@$(BIN)/python -m tests.history.mutants

soak: .venv/test ## the history load over 28 seeds, 100,000 requests: the figures of docs/reliability.md (10 min)
	@$(BIN)/python -m tests.history.load --keep .histories --seeds $$(seq 101 128) --requests 3600

overload: .venv/benchmarks ## goodput and latency at up to three times the load that the service can take (Go, Linux; 9 min)
	@$(BIN)/python -m benchmarks.overload

cost: .venv/benchmarks ## CPU time of a request, beside services in Go, Node and Python (Go, Node, Linux; 20 min)
	@$(BIN)/python -m benchmarks.cost

growth: .venv/benchmarks ## cost over tracks, playlists, workers and clients; memory over a million requests (Go, Linux; 30 min)
	@$(BIN)/python -m benchmarks.growth

lint: .venv/test ## ruff's rules
	@$(BIN)/ruff check .

format: .venv/test ## ruff's format, written
	@$(BIN)/ruff format .

format-check: .venv/test ## ruff's format, looked at only
	@$(BIN)/ruff format --check .

types: .venv/test ## mypy, strict
	@$(BIN)/mypy

audit: .venv/browser .venv/benchmarks .venv-engine/run .venv-deploy/run .venv-contract/run ## what is installed against the locks, these against pyproject.toml; licences
	@$(BIN)/python -m requirements.audit
	@$(BIN)/python -m requirements.licences --check

licences: .venv/test ## write docs/licences.md
	@$(BIN)/python -m requirements.licences

openapi: .venv/run ## write openapi/openapi.json
	@$(BIN)/playlists openapi --output openapi/openapi.json

lock: .venv/test ## write the hashed locks anew from pyproject.toml
	@$(BIN)/python requirements/lock.py

clean: ## remove all that the other targets made
	@rm -rf .venv .venv-contract .venv-deploy .venv-engine openapi/node_modules .dynamodb-local .benchmarks .histories
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/fuzzing/.schemathesis

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

.venv/browser: requirements/browser.txt .venv/test
	@echo "Installing the browser's driver into .venv"
	@$(BIN)/python $(PIP) --require-hashes -r requirements/browser.txt
	@touch $@

.venv-contract/run: requirements/contract.txt
	@echo "Installing the tools of the contract into .venv-contract"
	@$(PYTHON) -m venv .venv-contract
	@.venv-contract/bin/python $(PIP) --require-hashes -r requirements/contract.txt
	@touch $@

.venv-contract/java/made: tests/clients/java/pom.xml | .venv-contract/run
	@echo "Installing what the generated Java client needs into .venv-contract/java"
	@mvn -q -B -f tests/clients/java/pom.xml dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/.venv-contract/java
	@touch $@

openapi/node_modules/made: openapi/package-lock.json
	@echo "Installing the linters and importers into openapi/node_modules"
	@cd openapi && npm ci --ignore-scripts --silent
	@touch $@

.venv-engine/run: requirements/engine.txt
	@echo "Installing the embedded DynamoDB engine into .venv-engine"
	@$(PYTHON) -m venv .venv-engine
	@.venv-engine/bin/python $(PIP) --require-hashes -r requirements/engine.txt
	@touch $@

.venv-deploy/run: requirements/deploy.txt
	@echo "Installing the linters of deploy/ into .venv-deploy"
	@$(PYTHON) -m venv .venv-deploy
	@.venv-deploy/bin/python $(PIP) --require-hashes -r requirements/deploy.txt
	@touch $@
