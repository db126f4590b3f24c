# Two commands on a fresh machine: `make demo` shows the main job, `make test` proves it.
# Both install everything they need first; a machine with Python 3.11+, make and git is enough.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PACKAGES := .packages
# The tools that build a release, and the runtime dependencies alone.
RELEASE := .release
DIST := dist
# A provider in a package of its own, installed where only its own tests see it.
TEMPLATE := .provider_template
WORKERS ?= 3
# What `make test` also runs on PostgreSQL; `make test-long` runs all of the engine's tests on it.
ON_POSTGRES := tests/engine/test_sync_kinds.py tests/engine/test_hostile_values.py

# Without bytecode, every process of the tests would rewrite and compile all their files again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long postgres browser packages lint format bench bench-quick dist pins clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-14s%s\n", $$1, $$2}' Makefile | sort

setup: $(STAMP)  ## create .venv with the pinned versions and the connector itself

# The script writes the stamp as its last step: an interrupted set-up starts again.
$(STAMP): pyproject.toml requirements.txt requirements-dev.txt tools/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash tools/setup.sh

demo: $(STAMP)  ## simulate three sites, sync 350 records over real HTTP, show the result
	@$(BIN)/connector demo

lint: $(STAMP)  ## formatting, ruff, mypy strict
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --num-workers 2

test: lint postgres packages $(TEMPLATE)/.installed  ## every check: formatting, ruff, mypy strict, all tests, warnings as errors, coverage
	$(BIN)/pytest -n $(WORKERS) -m "not long" -p branch_coverage
	$(BIN)/pytest -n $(WORKERS) -m "not long" --store postgres $(ON_POSTGRES)
	PYTHONPATH=$(CURDIR)/$(TEMPLATE) $(BIN)/pytest -n $(WORKERS) examples/provider_template/tests

test-long: $(STAMP) postgres browser packages  ## the proofs that take minutes; keeps their figures in RELIABILITY.md
	$(BIN)/pytest -n $(WORKERS) -m long --timeout=3600 --keep-figures
	$(BIN)/pytest -n $(WORKERS) -m "not long" --store postgres tests/engine
	$(BIN)/pytest -n $(WORKERS) -m long --timeout=3600 --keep-figures --store postgres tests/engine

postgres:
	@bash tools/postgres.sh

browser:
	@bash tools/browser.sh

# One install for the stamp; where node is missing there is no stamp, and the test is skipped.
packages: $(PACKAGES)/.installed

$(PACKAGES)/.installed: tools/npm.sh
	@PACKAGES="$(PACKAGES)" bash tools/npm.sh

$(TEMPLATE)/.installed: $(STAMP) $(wildcard examples/provider_template/*.toml examples/provider_template/findwell/*.py)
	@VENV="$(VENV)" TARGET="$(TEMPLATE)" bash tools/provider_template.sh

format: $(STAMP)  ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)  ## every measurement against the simulator, up to 40 minutes; rewrites BENCHMARKS.md
	$(BIN)/python -m benchmarks.run

bench-quick: $(STAMP)  ## the main measurements with 10,000 Leads, under 3 minutes; rewrites BENCHMARKS.md
	$(BIN)/python -m benchmarks.run --quick

dist: $(RELEASE)/tools/.installed $(RELEASE)/runtime/.installed  ## build the wheel, the sdist and the SBOM of the last commit into dist/, reproducibly
	@DIST="$(DIST)" TOOLS="$(RELEASE)/tools" RUNTIME="$(RELEASE)/runtime" bash tools/dist.sh

$(RELEASE)/tools/.installed: requirements-release.txt tools/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(RELEASE)/tools" REQUIREMENTS=requirements-release.txt bash tools/setup.sh

$(RELEASE)/runtime/.installed: requirements.txt tools/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(RELEASE)/runtime" REQUIREMENTS=requirements.txt bash tools/setup.sh

pins: $(STAMP)  ## recompute the pinned versions and their hashes from pyproject.toml
	.uv/bin/uv pip compile -q --upgrade --generate-hashes --extra postgres --extra fast --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 \
	  pyproject.toml -o requirements.txt
	.uv/bin/uv pip compile -q --upgrade --generate-hashes --extra postgres --extra fast --extra otel --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 \
	  -c requirements.txt --group dev pyproject.toml -o requirements-dev.txt
	.uv/bin/uv pip compile -q --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 \
	  -c requirements-dev.txt --group build -o requirements-build.txt
	.uv/bin/uv pip compile -q --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url --universal --python-version 3.11 \
	  -c requirements-dev.txt -c requirements-build.txt --group release -o requirements-release.txt

clean:  ## remove everything that `make` made
	rm -rf $(VENV) .uv $(PACKAGES) $(TEMPLATE) $(RELEASE) $(DIST) .mypy_cache .ruff_cache .pytest_cache .hypothesis
