# The front door: the same targets here and in CI.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-20s\033[0m %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, {sys.version.split()[0]} was found; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(STAMP) ## Create .venv with the locked dependencies

conformance: $(STAMP) ## Judge the reference gateway on the fake fleet; writes reports/out/
	$(BIN)/windtunnel conform --out reports/out

conformance-workers: $(STAMP) ## The same of four workers on PostgreSQL and Redis (ONLY="--only limits": some)
	$(BIN)/windtunnel conform --out reports/out/workers --workers 4 $(ONLY) \
	  --database $${WINDTUNNEL_TEST_DATABASE:-postgresql://127.0.0.1:5432/postgres} \
	  --redis $${WINDTUNNEL_TEST_REDIS:-redis://127.0.0.1:6379/0}

test: $(STAMP) ## Run every test
	$(BIN)/pytest -n auto

test-postgresql: $(STAMP) ## The gateway's tests on PostgreSQL and Redis (TESTS=file… for some)
	WINDTUNNEL_TEST_ON=postgresql $(BIN)/pytest -n auto --dist loadfile $(or $(TESTS),tests/gateway)

workers: $(STAMP) ## A sample of the two above that CI can afford: what workers must share
	$(MAKE) test-postgresql TESTS="$(patsubst %,tests/gateway/test_%.py,idempotency limits spending api_keys responses_kept workers)"
	$(MAKE) conformance-workers ONLY="--only limits --only operations --only FLV-018"

clis: ## Install the coding agents and Node SDKs that tests drive, from npm, into the user's cache
	npm install --no-audit --no-fund --prefix "$${XDG_CACHE_HOME:-$$HOME/.cache}/windtunnel/clis" \
	  @openai/codex@0.169.0 @anthropic-ai/claude-code@2.1.197 @google/gemini-cli@0.61.0 openai @anthropic-ai/sdk @google/genai

check: $(STAMP) ## Format, lint, types and the walls between the folders
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Rewrite the files as `check` wants them
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

fuzz: $(STAMP) ## Try other examples of every property than `make test` does, and more of them
	WINDTUNNEL_PROPERTIES=exploring $(BIN)/pytest

kills: $(STAMP) ## Kill workers 200 times under load; needs PostgreSQL and Redis
	WINDTUNNEL_KILLS=$(or $(KILLS),200) $(BIN)/pytest -s tests/gateway/test_kills.py

mutants: $(STAMP) ## Print which check kills which broken gateway
	$(BIN)/windtunnel mutants

load: $(STAMP) ## Run the billing load, ending in the audit
	$(BIN)/windtunnel load billing

bench: $(STAMP) ## Measure fleet and gateway against bare uvicorn
	$(BIN)/windtunnel bench

up: $(STAMP) ## Start fleet and gateway to develop against
	$(BIN)/windtunnel up

lock: ## Resolve requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --extra dev --generate-hashes \
	  --no-emit-index-url --no-annotate --custom-compile-command 'make lock' --quiet -o requirements.lock

clean: ## Remove what can be made again
	rm -rf $(VENV) reports/out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.PHONY: help install conformance conformance-workers test test-postgresql workers clis check format mutants load bench up lock clean fuzz kills
