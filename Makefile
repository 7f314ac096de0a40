# The front door: the same targets here and in CI.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Python 3.11 or newer is needed, {sys.version.split()[0]} was found; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

install: $(STAMP) ## Create .venv with the locked dependencies

conformance: $(STAMP) ## Judge the reference gateway on the fake fleet; writes reports/out/
	$(BIN)/windtunnel conform --out reports/out

test: $(STAMP) ## Run every test
	$(BIN)/pytest -n auto

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

.PHONY: help install conformance test clis check format mutants load bench up lock clean fuzz kills
