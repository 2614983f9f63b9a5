# Each target sets itself up first and needs no other command before it: Python 3.11 to 3.13, make and git are enough.
# `make` alone lists them.

PYTHON ?= python3
# Twice the cores of a small machine: many tests wait for real programs.
WORKERS ?= 4
ONCE ?=

BIN := .venv/bin
READY := .venv/.ready
UV := .cache/uv/bin/uv

# The tests start the programs hundreds of times: byte code is kept, as where they are installed.
unexport PYTHONDONTWRITEBYTECODE
export UV_PYTHON_DOWNLOADS := never
# The machine's own trust store, as pip uses it: uv's built-in one knows no proxy of a company or a CI.
export UV_SYSTEM_CERTS := 1
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: help demo test check bench e2e wheel-check static unit pebble clean

help:
	@echo "make demo         the whole story on this machine, until Ctrl-C (ONCE=1: ends by itself)"
	@echo "make check        format, lint, types, import directions, migrations, unit tests: under a minute"
	@echo "make test         all checks and all tests"
	@echo "make e2e          the end-to-end tests only"
	@echo "make bench        every script of bench/, its figures in .cache/bench/"
	@echo "make wheel-check  the wheel, each extra installed from it in a clean environment"

demo: $(READY)
	@$(BIN)/python -m tests.testbed.pebble_binary >.cache/pebble.path
	@$(BIN)/python -m tests.end_to_end.demo $(if $(ONCE),--once)

check: static unit

# The tests run, and close with their summary, also when a check before them failed.
test: pebble
	@status=0; $(MAKE) --no-print-directory static || { status=1; echo "test: failed already, by the check above"; }; \
	echo "test: everything"; \
	$(BIN)/pytest -n $(WORKERS) || status=1; \
	exit $$status

e2e: $(READY) pebble
	@$(BIN)/pytest -n $(WORKERS) tests/end_to_end

bench: $(READY) pebble
	@mkdir -p .cache/bench
	@set -e; for script in bench/[!_]*.py; do \
	    name=$$(basename $$script .py); echo "bench: $$name"; \
	    $(BIN)/python -m bench.$$name --json .cache/bench/$$name.json; \
	done

wheel-check: $(UV)
	@PYTHON=$(PYTHON) UV=$(UV) ./.ci/wheel-check

static: $(READY)
	@echo "check: format"
	@$(BIN)/ruff format --check --quiet
	@echo "check: lint"
	@$(BIN)/ruff check --quiet
	@echo "check: types"
	@$(BIN)/mypy --no-error-summary
	@echo "check: import directions"
	@$(BIN)/lint-imports --no-cache --no-logo >.cache/imports.log || { cat .cache/imports.log; exit 1; }
	@echo "check: migrations"
	@$(BIN)/python -m certline_migrations.check

unit: $(READY)
	@echo "check: unit tests"
	@$(BIN)/pytest -q -n $(WORKERS) tests/unit

# Without a Pebble the tests that need it skip (in CI they fail) and say why, so this only fetches it beforehand.
pebble: $(READY)
	@$(BIN)/python -m tests.testbed.pebble_binary >.cache/pebble.path || true

$(READY): pyproject.toml uv.lock $(UV)
	@echo "set-up: installing the locked packages into .venv"
	@$(UV) sync --quiet --locked --all-extras --python $(PYTHON)
	@touch $@

$(UV):
	@$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] < (3, 14) or sys.exit("certline needs Python 3.11 to 3.13, $(PYTHON) is %d.%d: name another one, as in make PYTHON=python3.12" % sys.version_info[:2])'
	@echo "set-up: installing uv into .cache/uv"
	@$(PYTHON) -m venv .cache/uv
	@.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.10'

clean:
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
