"""A service, which runs headless, loads nothing of a desktop in all its life."""

from __future__ import annotations

import signal

import pytest
from tests.integration.session_end.conftest import Frank
from tests.support.program import until, write_run

pytestmark = pytest.mark.slow


def test_a_headless_service_loads_neither_the_desktop_nor_the_icon(frank: Frank) -> None:
    frank.start()
    job = frank.enqueue(write_run(frank.home / "run", {"a": 10}))
    until(lambda: frank.job_state(job) == "verified", what="the run")
    assert frank.api("GET", "/health")[0] == 200
    frank.process.send_signal(signal.SIGTERM)
    assert frank.wait() == 0
    loaded = frank.loaded()
    assert "exlab_wizard.server.asgi" in loaded
    rooms = ("exlab_wizard.desktop", "exlab_wizard.tray.icon", "exlab_wizard.tray.window_launcher")
    assert [name for name in loaded if name.startswith(rooms)] == []
