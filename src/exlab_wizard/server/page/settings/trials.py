"""Tests destinations for the page, as `destination test` does; loaded with the first test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from exlab_wizard.diagnosis.doctor import share
from exlab_wizard.diagnosis.doctor.checkup import Check, CheckResult, bad, check_up, worst
from exlab_wizard.settings import DestinationSettings

TIMEOUT_SECONDS: Final = 8.0


class Trials:
    """Tests of destinations, one at a time for each: a share that hangs blocks only its own thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def of(self, name: str, destination: DestinationSettings) -> tuple[tuple[CheckResult, ...], str]:
        """Return what is found about the destination within `TIMEOUT_SECONDS`, and the worst verdict among it."""
        with self._lock:
            busy = name in self._under_way
            self._under_way.add(name)

        def answers() -> Iterator[CheckResult]:
            try:
                yield from share.examine(destination.folder, destination.marker)
            finally:
                with self._lock:
                    self._under_way.discard(name)

        earlier = bad("answers", "an earlier test has not finished yet", share.REMEDY)
        checks = [Check("answers", answers, share.REMEDY, TIMEOUT_SECONDS)]
        findings = (earlier,) if busy else tuple(check_up(checks))
        return findings, worst(findings).value
