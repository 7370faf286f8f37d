"""A pytest plugin that writes down which copy of the program was tested, and what each test that failed died of."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

import pytest

REPORT: Final = "EXLAB_MUTANT_REPORT"
"""The environment variable that names the file to write."""


@dataclass(frozen=True, slots=True)
class Death:
    """One failed phase of one test."""

    test: str
    phase: str
    cause: str


@dataclass(slots=True)
class Testimony:
    """Where each module of the program came from, how many tests passed, and how the others died."""

    modules: dict[str, str] = field(default_factory=dict)
    passed: int = 0
    deaths: list[Death] = field(default_factory=list)

    @classmethod
    def read(cls, report: Path) -> Self:
        """Return what `Witness` wrote."""
        told = json.loads(report.read_text("utf-8"))
        return cls(told["modules"], told["passed"], [Death(**death) for death in told["deaths"]])


class Witness:
    """Watches one session."""

    def __init__(self, report: Path) -> None:
        self._report = report
        self._told = Testimony()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed:
            cause = "" if call.excinfo is None else call.excinfo.type.__name__
            self._told.deaths.append(Death(item.nodeid, call.when, cause))
        elif call.when == "call" and report.passed:
            self._told.passed += 1
        return report

    def pytest_sessionfinish(self) -> None:
        loaded = {name: module for name, module in sys.modules.items() if name.startswith("exlab_wizard")}
        self._told.modules = {name: str(getattr(module, "__file__", "")) for name, module in loaded.items()}
        self._report.write_text(json.dumps(asdict(self._told)), "utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Begin to watch."""
    config.pluginmanager.register(Witness(Path(os.environ[REPORT])))
