# One word for each task; CI runs the same words. Everything happens in .venv, which make builds itself.
# All paths are relative, so that the checkout may lie in a folder with spaces in its name.

PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
RUN := $(VENV)/bin/python -m
TEST = $(RUN) pytest -n $(WORKERS) --dist loadgroup --benchmark-disable
PEER_VENVS := .venv-peers
PEERS := flower tenseal declearn
ACCOUNTANTS := opacus dp-accounting

.DEFAULT_GOAL := test
.PHONY: demo quick test cover lowest check bench utility scaling bench-compare bench-accountants vectors fuzz clean

demo: $(VENV)/.installed-demo
	$(VENV)/bin/secagg demo

# For every save: tests/README.md says what is left out. make quick TESTS=tests/secagg runs a part.
quick: $(VENV)/.installed-dev
	HYPOTHESIS_PROFILE=quick $(TEST) -m 'not slow' --durations=5 $(TESTS)

test: $(VENV)/.installed-dev
	$(TEST) $(TESTS)

# Every test again, with each line and branch that it reaches counted: twice as slow.
cover: $(VENV)/.installed-dev
	$(TEST) --cov --cov-branch --cov-report=term

# The quick tests with the lowest version of each package that pyproject.toml allows; elsewhere they are the newest.
lowest: $(VENV)-lowest/.installed
	HYPOTHESIS_PROFILE=quick $(VENV)-lowest/bin/python -m pytest -n $(WORKERS) --dist loadgroup --benchmark-disable \
		-m 'not slow' $(TESTS)

check: $(VENV)/.installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports --no-cache

# The kernels first, then whole sessions of many sizes: make bench MATRIX=--quick
bench: $(VENV)/.installed-dev
	$(RUN) pytest benchmarks --benchmark-only -s
	$(RUN) benchmarks.matrix $(MATRIX)

# What privacy costs in accuracy: make utility UTILITY='--seeds 20 --json utility.json'
utility: $(VENV)/.installed-dev
	$(RUN) benchmarks.utility $(UTILITY)

scaling: $(VENV)/.installed-dev
	$(RUN) benchmarks.scaling $(SCALING)

# make bench-compare COMPARE=--quick
bench-compare: $(VENV)/.installed-dev $(PEERS:%=$(PEER_VENVS)/%/.installed)
	$(RUN) benchmarks.compare.run --json benchmarks/results/compare.json $(COMPARE)

# make bench-accountants ACCOUNTING=--quick
bench-accountants: $(VENV)/.installed-dev $(ACCOUNTANTS:%=$(PEER_VENVS)/%/.installed)
	$(RUN) benchmarks.compare.accountants.run --json benchmarks/results/accountants.json $(ACCOUNTING)

vectors: $(VENV)/.installed-dev
	$(RUN) tests.vectors.make

fuzz: $(VENV)/.installed-dev
	$(RUN) pytest tests/fuzz

clean:
	rm -rf $(VENV) $(VENV)-lowest $(PEER_VENVS) build dist .coverage .coverage.* htmlcov .benchmarks .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache

# The stamps are older than pyproject.toml only after its requirements may have changed.
$(VENV)/.installed-demo: pyproject.toml | $(VENV)/bin/pip
	$(RUN) pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/bin/pip
	$(RUN) pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)-lowest/.installed: pyproject.toml tests/kit/lowest_versions.py
	@rm -rf $(@D)
	@"$(PYTHON)" -m venv $(@D)
	@$(@D)/bin/python tests/kit/lowest_versions.py > $(@D)/constraints.txt
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --constraint $(@D)/constraints.txt --editable '.[tests]'
	@touch $@

# A peer that cannot be installed is reported in the comparison, and the others run.
$(PEER_VENVS)/%/.installed: benchmarks/compare/requirements-%.txt
	@rm -rf $(@D)
	@"$(PYTHON)" -m venv $(@D)
	@if $(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $< 2> $(@D)/install-errors.txt; \
		then touch $@; else echo '$*: cannot be installed here; its rows say why' >&2; fi

# bin/pip comes last in a venv's making, so a half-made one (no ensurepip) is made again.
$(VENV)/bin/pip:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'Python 3.11 or later is needed: say which one, as in make PYTHON=python3.12' >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || \
		{ echo 'python -m venv failed. On Debian and Ubuntu: apt install python3-venv' >&2; exit 1; }
