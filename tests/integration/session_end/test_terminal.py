"""A terminal that is closed ends the program as SIGTERM does, unless `nohup` said that this is not meant for it."""

from __future__ import annotations

import os
import pty
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.program import Program, folder_in_memory
from tests.support.slow_copy import QuitRow, last_end, quits

pytestmark = pytest.mark.slow


class AtTerminal(Program):
    """The real program, at a terminal that can be closed."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self._our_side, their_side = pty.openpty()
        self._name = os.ttyname(their_side)
        os.close(their_side)
        self.prefix = ["env", "--default-signal=HUP"]  # the tests may have been started with nohup themselves

    def command(self, *arguments: str) -> list[str]:
        module, *place = super().command(*arguments)[2:]
        return [
            *self.prefix,
            sys.executable,
            "-m",
            "tests.integration.session_end.at_terminal",
            self._name,
            module,
            *place,
        ]

    def close_terminal(self) -> None:
        os.close(self._our_side)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[AtTerminal]:
    """The program at a terminal, on files in memory if possible."""
    with folder_in_memory(tmp_path) as home, AtTerminal(home) as program:
        yield program


def test_a_terminal_that_is_closed_ends_the_program_in_time(there: AtTerminal) -> None:
    there.start()
    there.close_terminal()
    assert there.wait() == 0
    assert quits(there) == [QuitRow("signal", "drained", 0, 0, 0, 0, decided=True)]
    assert "SIGHUP received" in there.log()


def test_who_was_started_with_nohup_lives_on(there: AtTerminal) -> None:
    there.prefix = ["nohup"]
    there.start()
    there.close_terminal()
    assert there.api("GET", "/status")[0] == 200
    assert there.process.poll() is None
    assert "SIGHUP" not in there.log()
    there.process.send_signal(signal.SIGTERM)
    assert there.wait() == 0
    assert last_end(there) == "drained"
