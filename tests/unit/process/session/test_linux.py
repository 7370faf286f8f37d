"""The part that listens to logind, where it fails in a way that is not foreseen: the next attempt is as good."""

from __future__ import annotations

import asyncio
import threading
from queue import SimpleQueue
from typing import cast

import pytest
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.process.session import linux
from exlab_wizard.process.session.dbus import Bus
from exlab_wizard.process.session.linux import Logind
from exlab_wizard.process.session.port import Inhibited, SessionCallbacks


class Connection:
    """A bus on which a lock comes without its file."""

    def __init__(self, asked: SimpleQueue[str]) -> None:
        self._asked = asked

    async def call(self, *words: str) -> object:
        self._asked.put(words[3])
        raise LookupError(words[3])

    async def wait_closed(self) -> None:
        await asyncio.Event().wait()

    def close(self) -> None:
        """Nothing to close."""


def test_it_listens_again_after_an_answer_that_makes_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: SimpleQueue[str] = SimpleQueue()
    waiting: SimpleQueue[None] = SimpleQueue()

    async def connected(_logind: Logind, _callbacks: SessionCallbacks) -> Bus:
        asyncio.get_running_loop().call_later(0.05, waiting.put, None)
        return cast("Bus", Connection(asked))

    monkeypatch.setattr(linux.Logind, "_connected", connected)
    logind, errors = Logind(), SimpleQueue[BaseException]()

    def run() -> None:
        try:
            logind.run(SessionCallbacks(lambda: None, lambda: None))
        except LookupError as error:
            errors.put(error)

    for _ in range(2):
        logind.inhibit(Inhibited())
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        waiting.get(timeout=PATIENCE_SECONDS)
        logind.inhibit(Inhibited(shutdown=True))
        assert asked.get(timeout=PATIENCE_SECONDS) == "Inhibit"
        thread.join(PATIENCE_SECONDS)
        assert errors.get(timeout=PATIENCE_SECONDS).args == ("Inhibit",)
