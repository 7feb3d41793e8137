# Python 3.11, make and git are enough; everything else lands in .venv.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: help setup run test check format drill bench lock
.DEFAULT_GOAL := help

help:  ## this list
	@sed -nE 's/^([a-z]+):[^#]*## /\1\t/p' Makefile | expand -t 10

setup: .venv/.ready  ## the environment, and the broker in it as .venv/bin/broker

run: setup  ## the service with demo data and pretend programs on loopback; Ctrl-C ends it
	@$(BIN)/broker serve --demo

test: setup  ## every test, on both database engines; ends with the number of tests
	@$(BIN)/pytest -n 3 --dist loadfile

check: setup  ## what a reader need not look for: format, lint, types, import law, contracts
	$(BIN)/ruff format --check . && $(BIN)/ruff check .
	$(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/openapi-spec-validator openapi/*.yaml

format: setup  ## format, and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

drill: setup  ## races and faults at full size: minutes, before a release
	@$(BIN)/pytest -m drill

bench: setup  ## ours beside its peers, and at size: 20 minutes, written into docs/performance.md
	@$(BIN)/python -m bench $(BENCH)

lock: setup  ## pin every dependency again, with hashes, after pyproject.toml changed
	$(LOCK) pyproject.toml --extra postgres -o requirements.txt
	$(LOCK) pyproject.toml --extra postgres --group dev -o requirements-dev.txt
	$(LOCK) --group build -o requirements-build.txt && echo uv | $(LOCK) - -o requirements-uv.txt

LOCK = $(BIN)/uv pip compile --generate-hashes --no-emit-index-url --no-header --quiet
INSTALL = install --quiet --require-hashes -r

# uv installs in seconds what takes pip a minute; where it cannot be had, pip does the same work.
.venv/.ready: pyproject.toml requirements-dev.txt requirements-uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "Python 3.11 is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv && ($(BIN)/pip $(INSTALL) requirements-uv.txt || true)
	$(BIN)/uv pip $(INSTALL) requirements-dev.txt || $(BIN)/pip $(INSTALL) requirements-dev.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable . && touch $@
