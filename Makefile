# `make run` and `make test` need Python 3.11 or later with venv and pip, and Node with npm for the frontend.
# Stamp files remember what is installed, so a second call costs nothing.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup setup-dev ui run test test-ui lint format lock wheel docs bench torture fuzz audit sbom clean

VENV := .venv
BIN := $(VENV)/bin
# A command that merely exists may be too old, without venv, or a shim of nothing: each candidate is asked. The
# distribution's own comes first: it is built with profile-guided optimization, which pyenv leaves out unless told
# otherwise, and a batch takes 15 % more CPU without it.
PYTHON ?= $(firstword $(foreach candidate,/usr/bin/python3.11 python3.11 python3.12 python3.13 python3.14 python3,\
	$(shell $(candidate) -c 'import ensurepip, sys; sys.version_info >= (3, 11) and print("$(candidate)")' 2>/dev/null)))
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check install
COMPILE := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links pyproject.toml --extra all --group build
CHECKED := $(wildcard src tests scripts benchmarks alembic examples docs/conf.py)
# Two cores are counted on, and a third process keeps them busy while others wait.
# For instance: make test PYTEST_ARGS="-n 0 -k contract"
PYTEST_ARGS ?= -n 3 --dist loadfile
SBOM ?= dist

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.stamp-runtime ## install what running needs
setup-dev: $(VENV)/.stamp-dev ## install what testing needs

run: setup ui ## start the service, with its own PostgreSQL unless WALLET_DATABASE_URL is set
	@$(BIN)/wallet serve

# Types take one core most of a minute, and so does the frontend. Neither measures time, as some of the other tests do.
test: ## everything that has to pass
	@$(MAKE) --no-print-directory --jobs 2 lint test-ui
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-ui: ui
ifneq ($(wildcard frontend/package.json),)
	cd frontend && npm run --silent test
endif

lint: setup-dev ## style, types and import contracts
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy $(CHECKED)
	$(BIN)/lint-imports --no-cache

format: setup-dev ## rewrite in the house style
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

lock: setup-dev ## pin anew after a change to pyproject.toml; UPGRADE=--upgrade takes the newest of everything
	$(COMPILE) $(UPGRADE) --output-file requirements/runtime.txt
	$(COMPILE) $(UPGRADE) --group dev --constraint requirements/runtime.txt --output-file requirements/dev.txt

wheel: setup ui ## build the wheel and the source distribution into dist/
	rm -rf dist
	$(BIN)/python -m hatchling build --target sdist --target wheel --directory dist

docs: setup-dev ## build the site of the documents into site/, which needs no network to be read
	rm -rf site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html -d site/.doctrees docs site
	@echo "$(CURDIR)/site/index.html"

torture: setup-dev ## break everything under load for MINUTES (default 5), and check; SEED= repeats a schedule
	$(BIN)/wallet torture --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED)) --report torture.html $(TORTURE_ARGS)

fuzz: setup-dev ## send the API what it allows and what it forbids for MINUTES (default 5), and check; SEED= begins as before
	PYTHONPATH=src $(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),5) $(if $(SEED),--seed $(SEED))

audit: setup-dev ## ask for known vulnerabilities of what is locked; fails too where nobody can be asked
	$(BIN)/python scripts/audit.py

# By the lock, not by what is installed here: it is what the service is made of everywhere. What depends on what is not in
# it, which a warning would say each time. npm loses packages where it goes by its lock alone.
sbom: setup-dev $(if $(wildcard frontend/package.json),frontend/node_modules/.stamp-npm) ## list what the service is made of, as CycloneDX, in dist/
	mkdir -p $(SBOM)
	PYTHONWARNINGS=ignore::UserWarning $(BIN)/cyclonedx-py requirements requirements/runtime.txt --pyproject pyproject.toml --output-reproducible \
		--of JSON -o $(SBOM)/sbom-python.cdx.json
ifneq ($(wildcard frontend/package.json),)
	cd frontend && npm sbom --loglevel=error --sbom-format cyclonedx --omit dev \
		> $(abspath $(SBOM))/sbom-frontend.cdx.json
endif

bench: setup-dev ## measure on this machine, in about ten minutes; BENCH_ARGS="--seconds 2 --parts yardstick credits"
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

clean: ## remove what was installed and built; data in .wallet stays
	rm -rf $(VENV) frontend/node_modules src/entrypoints/ui .mypy_cache .pytest_cache .ruff_cache .hypothesis dist site

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed, and not found" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.stamp-runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes --requirement requirements/runtime.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

# Most of it is imported by no test; what is, is compiled then.
$(VENV)/.stamp-dev: requirements/dev.txt $(VENV)/.stamp-runtime
	$(PIP) --no-compile --require-hashes --requirement requirements/dev.txt
	@touch $@

# The frontend builds into the Python package that serves it.
ifneq ($(wildcard frontend/package.json),)
UI_SOURCES := $(shell find frontend -type f -not -path '*/node_modules/*' -not -name '.stamp-*')

ui: src/entrypoints/ui/index.html

frontend/node_modules/.stamp-npm: frontend/package.json frontend/package-lock.json
	cd frontend && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

src/entrypoints/ui/index.html: frontend/node_modules/.stamp-npm $(UI_SOURCES)
	cd frontend && npm run --silent build
	@touch $@
else
ui:
endif
