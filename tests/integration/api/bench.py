"""The HTTP application over a bench of the runtime, without a server around it."""

from __future__ import annotations

import math
from pathlib import Path

from fastapi import FastAPI
from tests.support.bench import Bench

from exlab_wizard.domain.quit import Phase, QuitEvent
from exlab_wizard.process.changes import Changes
from exlab_wizard.process.presence import Presence
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.process.supervisor import Supervisor
from exlab_wizard.server.asgi import build
from exlab_wizard.server.auth.login import Logins
from exlab_wizard.server.auth.reconnect import PageKeys
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.events.feed import Feed
from exlab_wizard.server.page.views import Views
from exlab_wizard.server.thread_pools import ThreadPools
from exlab_wizard.tray.quit_ports import NoWindow
from exlab_wizard.workers.watchdog import Watchdog


class NoQuit:
    """A quit that was never asked for."""

    phase = Phase.RUNNING
    deadline = math.inf

    def post(self, event: QuitEvent) -> None:
        raise AssertionError(event)


def backend_of(bench: Bench, home: Path) -> Backend:
    """Return the backend, wired as the application wires it; nothing runs."""
    safe_mode = SafeMode(bench.store, bench.launch_id, bench.clock)
    changes = Changes()
    watchdog = Watchdog(
        bench.store,
        bench.settings,
        bench.pool,
        bench.launch_id,
        SteadyClock(bench.clock),
        safe_mode=safe_mode,
        quit_asked=lambda _quits: None,
        changed=changes.notify,
    )
    return Backend(
        store=bench.store,
        settings=bench.settings,
        state_dir=home,
        launch_id=bench.launch_id,
        clock=bench.clock,
        quit=NoQuit(),
        workers=bench.pool,
        watchdog=watchdog,
        presence=Presence(bench.clock),
        changes=changes,
        supervisor=Supervisor(changes.notify),
        progress=bench.store.metrics.begin(),
        window=NoWindow(),
        safe_mode=safe_mode,
    )


def application(bench: Bench, home: Path) -> FastAPI:
    """Return the application that stands behind the door."""
    backend = backend_of(bench, home)
    pools = ThreadPools(bench.database)
    keys = PageKeys("00" * 32, bench.clock)
    return build(
        backend,
        pools,
        Feed(backend, pools.reads),
        Logins(bench.clock),
        "token",
        Views(backend, pools, keys),
    )
