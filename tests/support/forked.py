"""Programs whose processes come from the fork server: ready at once, and in nothing else different."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.nursery import COMMAND_LINE, Nursery
from tests.support.program import PATIENCE_SECONDS, Program

from exlab_wizard.testing import Process
from exlab_wizard.testing.lab import PROGRAM


def fork(nursery: Nursery, command: Sequence[str], **surroundings: object) -> Process:
    """Start `python -m MODULE ARGUMENT...` in a fork."""
    _python, _m, module, *arguments = command
    entry = COMMAND_LINE if module == PROGRAM else f"{module}:main"
    return nursery.start(arguments, entry=entry, **surroundings)  # type: ignore[arg-type]  # each has its type there


class Forked(Program):
    """A program of which both the application and the commands are forks."""

    def __init__(self, home: Path, nursery: Nursery) -> None:
        super().__init__(home)
        self._nursery = nursery
        self._calls = 0

    def _started(self, command: Sequence[str], stdout: Path, stderr: Path) -> Process:
        return fork(
            self._nursery, command, environment=self.environment, folder=self.home, stdout=stdout, stderr=stderr
        )

    def call(self, *arguments: str, timeout: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
        self._calls += 1
        out, err = (self.home / f"call-{self._calls}.{stream}" for stream in ("out", "err"))
        command = self.command(*arguments)
        child = fork(self._nursery, command, environment=self.environment, folder=self.home, stdout=out, stderr=err)
        status = child.wait(timeout)
        return subprocess.CompletedProcess(command, status, out.read_text("utf-8"), err.read_text("utf-8"))
