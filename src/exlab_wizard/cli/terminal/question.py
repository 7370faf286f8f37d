"""The question of a quit, asked at this terminal for the application, and withdrawn when it no longer stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from exlab_wizard.domain.quit import QuitAnswer, QuitStatus
from exlab_wizard.tray.quit_prompts import TerminalQuestion

_POLL_INTERVAL_SECONDS: Final = 0.2


def can_ask() -> bool:
    """Return whether a person is at the terminal."""
    return TerminalQuestion().available()


def ask(standing: Callable[[], QuitStatus], still_stands: Callable[[], bool]) -> QuitAnswer | None:
    """Ask, with what `standing` says is left, and return the answer; None when the question no longer stood."""
    return asyncio.run(_ask(standing, still_stands))


async def _ask(standing: Callable[[], QuitStatus], still_stands: Callable[[], bool]) -> QuitAnswer | None:
    asking = asyncio.ensure_future(TerminalQuestion().ask(standing))
    try:
        while not asking.done():
            if not still_stands():
                return None
            await asyncio.wait([asking], timeout=_POLL_INTERVAL_SECONDS)
        return asking.result()
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
