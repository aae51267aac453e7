# AgeZoo: `make demo` and `make test` do all set-up themselves and need nothing but Python 3.11+, make and git.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := demo
DEMO_SPINE := demo-spine
DEMO_BRAIN := demo-brain
DEMO_BODY := demo-body
STAMP  := $(VENV)/.installed
# Some libraries ask for one thread per core in every process; more only makes them wait for each other.
JOBS   ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo demo-spine demo-brain demo-body test test-slow lint format bench clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

$(STAMP): pyproject.toml constraints.txt
	@echo "Setting up $(VENV) (a few minutes the first time)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name it with: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[tracking,explain,analysis,brain,test]'
	@touch $@

demo: $(STAMP) ## phantom CT cohort -> datalist -> five-fold cross-validation -> ages of unseen scans -> one HTML page
	@JOBS=$(JOBS) scripts/demo.sh $(BIN)/agezoo $(DEMO)

demo-spine: $(STAMP) ## phantom radiographs and DXA images -> cross-validation -> fine-tuning -> survival analysis (longer)
	@JOBS=$(JOBS) scripts/demo_spine.sh $(BIN)/agezoo $(DEMO_SPINE)

demo-brain: $(STAMP) ## phantom brains -> two-stage cross-validation -> diagnosis; phantom heads -> registration -> ages (longer)
	@JOBS=$(JOBS) scripts/demo_brain.sh $(BIN)/agezoo $(DEMO_BRAIN)

demo-body: $(STAMP) ## phantom whole-body MR -> cross-validation -> population atlas of where the age is seen (longer)
	@JOBS=$(JOBS) scripts/demo_body.sh $(BIN)/agezoo $(DEMO_BODY)

test: lint ## lint, type check and tests (set AGEZOO_SAMPLE_DATA to try real sample files as well)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not slow" -q

test-slow: $(STAMP) ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

lint: $(STAMP) ## ruff and mypy
	$(BIN)/ruff check common tests benchmarks scripts
	$(BIN)/ruff format --check common tests benchmarks scripts
	$(BIN)/mypy

format: $(STAMP) ## let ruff format the code
	$(BIN)/ruff check --fix common tests benchmarks scripts
	$(BIN)/ruff format common tests benchmarks scripts

bench: $(STAMP) ## time and memory against straightforward implementations, side by side
	$(BIN)/python -m benchmarks

clean: ## remove what demo and the bundles wrote (not .venv)
	rm -rf $(DEMO) $(DEMO_SPINE) $(DEMO_BRAIN) $(DEMO_BODY) bundles/*/eval bundles/*/phantom .pytest_cache .mypy_cache .ruff_cache
