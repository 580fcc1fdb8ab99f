# `make demo` and `make test` each work alone on a fresh machine with Python >= 3.11 and a C++ compiler.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test check coverage format docs bench clean

setup: $(READY)

$(READY): setup.cfg pyproject.toml requirements.txt scripts/setup.sh scripts/compiler_flags.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh scripts/setup.sh
	@touch $(READY)

demo: $(READY)
	$(BIN)/llamabench demo

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml llamabench
	$(BIN)/python -m pytest

# which lines and branches of llamabench/ the tests reach, processes that hold models among them; takes longer than `test`,
# and a few tests of what is imported, and how fast, fail while lines are counted
coverage: $(READY)
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# the tests build the documents too, and look into them
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(READY)
	$(BIN)/python benchmarks/mcq.py --build --quick

clean:
	rm -rf $(VENV) build site *.egg-info .mypy_cache .ruff_cache .pytest_cache .coverage*
