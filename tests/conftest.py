"""What every test stands on: no test reads or writes the state and settings of the person who runs it."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest
from hypothesis import settings
from tests.crash.system_calls import summary

SEED: Final = os.environ.get("EXLAB_TEST_SEED", "1")
CASES: Final = os.environ.get("EXLAB_CASES", "sample")
"""Of the tests marked `sampled`: a `sample` of their cases, the `rest` that a sample leaves out, or `all`."""
MINUTES: Final = float(os.environ.get("EXLAB_MINUTES", "0"))
LEFT_OUT: Final = "left out: the EXLAB_MINUTES are over"
BEGAN: Final = time.monotonic()

pytest_plugins = ["exlab_wizard.testing", "tests.support.fixtures"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a job in the background of a shell: every program that the tests start would inherit it, and hear no Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(autouse=True)
def own_user_dirs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the user's directories, for this process and its children, into a fresh folder."""
    home = tmp_path_factory.mktemp("user")
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(home / name.lower()))
    for name in ("EXLAB_STATE_DIR", "EXLAB_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases that this run does not try, and shuffle what may not all be reached in its time."""
    if CASES != "all" and not any("::" in argument for argument in config.args):
        _choose_cases(config, items)
    if MINUTES:
        random.Random(SEED).shuffle(items)  # noqa: S311 - an order, no secret


def _choose_cases(config: pytest.Config, items: list[pytest.Item]) -> None:
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled"):
            cases[item.nodeid.partition("[")[0]].append(item)
    left_out: set[pytest.Item] = set()
    for test, of_test in cases.items():
        marker = of_test[0].get_closest_marker("sampled")
        most = marker.kwargs.get("cases", 1) if marker else 1
        chosen = set(random.Random(SEED + test).sample(of_test, min(most, len(of_test))))  # noqa: S311 - no secret
        left_out |= set(of_test) - chosen if CASES == "sample" else chosen
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def pytest_runtest_setup() -> None:
    """Leave out what begins after the time that was given."""
    if MINUTES and time.monotonic() - BEGAN > 60 * MINUTES:
        pytest.skip(LEFT_OUT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many crash points were killed at, and how many tests were left out, if any."""
    left_out = [one for one in terminalreporter.getreports("skipped") if LEFT_OUT in str(getattr(one, "longrepr", ""))]
    if left_out:
        terminalreporter.write_line(f"left out when {MINUTES:g} minutes were over: {len(left_out)} tests")
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    shares = summary.noted(report for report in reports if isinstance(report, pytest.TestReport))
    if shares:
        terminalreporter.write_line(summary.line_about(shares))


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A state dir that does not exist yet, as at the first launch."""
    return tmp_path / "state"
