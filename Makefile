# Every target works in a fresh clone: what it needs, it sets up first.
#   make PYTHON=python3.13    another Python     make VENV=/elsewhere    another environment
#   make test PYTEST_ARGS='-k drain -x'          arguments for pytest
#   make soak SOAK_MINUTES=60                     an hour of accidents

# Empty: the first of python3, python3.14 … python3.11 that is 3.11 or newer.
PYTHON =
VENV = .venv
# Four for two cores: most tests wait, for a process, a disk or a browser
WORKERS = 4
PYTEST_ARGS =
MODEL_SECONDS = 600
# Of each recorded scenario: a number, or all
POWER_LAUNCHES = all
STORM_ROUNDS = 20
SOAK_MINUTES = 10
SOAK_ARGS =
PAGE_MINUTES = 10
RECOVERY_ARGS =
SCREENSHOTS =

# The tests start the program a thousand times: it is compiled once, not each time
export PYTHONDONTWRITEBYTECODE =

BIN = $(VENV)/bin
READY = $(VENV)/.ready
DESKTOP = $(VENV)/.desktop
PIP = PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt
# A bound on targets that would take hours: what it leaves out is counted and said
MINUTES =
PYTEST = $(if $(MINUTES),EXLAB_MINUTES=$(MINUTES) )$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=20

.DEFAULT_GOAL = help
.PHONY: help setup system-packages run demo test test-fast cases model-full faults-full power-full points-full recovery-full screenshots load coverage mutants storm soak page-soak lint types format wheel clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS='	' read -r name does; do printf '  make %-16s %s\n' "$$name" "$$does"; done

setup: $(READY)  ## make .venv with the program and its development tools, at the pinned versions

$(READY): pyproject.toml constraints.txt
	@set -e; python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
	    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	        if $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	    done; \
	fi; \
	if [ -z "$$python" ]; then \
	    echo "setup: no Python 3.11 or newer on PATH. Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "setup: $$python cannot make environments (no ensurepip). On Debian: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    echo "setup: $(VENV) with $$("$$python" --version)"; "$$python" -m venv --clear $(VENV); \
	fi
	@echo "setup: installing the pinned packages"
	@$(PIP) hatchling editables
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

system-packages:  ## install the commands and libraries that the tests use, where missing (Debian)
	@sh tools/system-packages

# What the tests of the desktop need is built against the libraries of system-packages, so it comes after them.
$(DESKTOP): $(READY) | system-packages
	@echo "setup: building what the tests of the desktop need"
	@$(PIP) 'exlab-wizard[desktop]'
	@touch $@

run: setup  ## start the application, with its icon where the desktop has a tray
	$(BIN)/exlab-wizard run

demo: setup  ## a demonstration in under a minute: sync, kill, relaunch, resume, verify
	$(BIN)/exlab-wizard demo

test: setup system-packages $(DESKTOP)  ## all tests, with samples of what the …-full targets cover completely
	$(PYTEST) $(PYTEST_ARGS)

test-fast: setup system-packages $(DESKTOP)  ## every test but the slow ones
	$(PYTEST) -m 'not slow' $(PYTEST_ARGS)

cases: setup system-packages $(DESKTOP)  ## the remaining cases of the sampled tests
	EXLAB_CASES=rest $(PYTEST) -m sampled $(PYTEST_ARGS)

faults-full: setup system-packages $(DESKTOP)  ## every error at every call site, once and permanently
	EXLAB_FAULTS=full EXLAB_CASES=all $(PYTEST) tests/crash/faults $(PYTEST_ARGS)

power-full: setup system-packages $(DESKTOP)  ## power cuts: every state of every scenario, POWER_LAUNCHES launches on each
	EXLAB_POWER_LAUNCHES=$(POWER_LAUNCHES) EXLAB_CASES=all $(PYTEST) tests/crash/power_cuts -rP $(PYTEST_ARGS)

model-full: setup system-packages $(DESKTOP)  ## the store against its model with fresh seeds, for MODEL_SECONDS
	EXLAB_MODEL_SECONDS=$(MODEL_SECONDS) $(PYTEST) -rA tests/crash/model/test_store_model.py $(PYTEST_ARGS)

points-full: setup system-packages $(DESKTOP)  ## kill at every pair of named points, at more calls with strace, and twenty times during one copy
	EXLAB_POINTS=full EXLAB_CASES=all EXLAB_KILLS=20 $(PYTEST) tests/crash/named_points tests/integration/recovery/test_crash_points.py tests/integration/recovery/test_kills.py $(PYTEST_ARGS)

recovery-full: setup system-packages $(DESKTOP)  ## kill at every system call of every scenario; RECOVERY_ARGS='--only publish --every'
	$(BIN)/python -m tests.crash.system_calls --workers $(WORKERS) $(if $(MINUTES),--minutes $(MINUTES) )$(RECOVERY_ARGS)

screenshots: setup system-packages $(DESKTOP)  ## pictures of every view of the page, and of notifications, into docs/pictures; SCREENSHOTS='now charts' makes these
	$(BIN)/python -m tests.integration.page.screenshots $(SCREENSHOTS)
	$(if $(SCREENSHOTS),,$(BIN)/python -m tests.integration.tray.screenshots)
	@[ -n "$(SCREENSHOTS)" ] || $(BIN)/python -m tests.integration.notifications.pictures

load: setup  ## 200 clients for 60 s while a transfer runs, a kill in the middle, and the figures
	EXLAB_LOAD_SECONDS=60 EXLAB_LOAD_CLIENTS=200 $(BIN)/python -m pytest -s tests/integration/api/test_load.py $(PYTEST_ARGS)

coverage: setup system-packages $(DESKTOP)  ## every test, with branch coverage
	EXLAB_CASES=all $(PYTEST) --cov --cov-report=term $(PYTEST_ARGS)

mutants: setup system-packages $(DESKTOP)  ## remove each safeguard in a copy of the program, and see that the tests notice
	EXLAB_MUTANTS=all EXLAB_CASES=all $(PYTEST) tests/crash/mutants $(PYTEST_ARGS)

storm: setup system-packages $(DESKTOP)  ## a hundred signals at once, STORM_ROUNDS times, at fresh moments
	EXLAB_STORM_ROUNDS=$(STORM_ROUNDS) EXLAB_STORM_SEED=$${EXLAB_STORM_SEED:-$$$$} $(PYTEST) tests/integration/session_end/test_storm.py $(PYTEST_ARGS)

soak: setup system-packages $(DESKTOP)  ## kills, quits and faults for SOAK_MINUTES; SOAK_ARGS='--seed 7 --json'
	$(BIN)/python -m tests.crash.soak --minutes $(SOAK_MINUTES) $(SOAK_ARGS)

page-soak: setup system-packages  ## the page under 5,000 events a minute for PAGE_MINUTES: it neither grows nor hangs
	$(BIN)/python -m tests.integration.page.soak --minutes $(PAGE_MINUTES)

lint: setup  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo --cache-dir .ruff_cache/import_linter

types: setup  ## mypy --strict
	$(BIN)/mypy

format: setup  ## fix what ruff can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel: setup  ## build sdist and wheel into dist/
	$(BIN)/python -m build --no-isolation --outdir dist

clean:  ## remove everything that the other targets made
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
