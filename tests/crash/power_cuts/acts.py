"""What the real program does while it is recorded, and after a power cut: runs in a fork of the nursery.

Sizes are a fraction of the real ones, so that a run of 2 MiB passes through every stage with several checkpoints; the
code is the program's own. What a command says goes to a recorded file: its place in the record is when it was said.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from exlab_wizard import app, crash_points, launch
from exlab_wizard.cli.main import main as command_line
from exlab_wizard.domain.quit import QuitTrigger
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.store import Store

ENTRY: Final = f"{__name__}:act"
POLL_INTERVAL_SECONDS: Final = 0.01
STUCK: Final = "destination_offline"
HEARTBEATS: Final = 60
_KIB: Final = 1 << 10

SMALLER: Final = (
    ("transfer.copy.small_files", "SMALL", 256 * _KIB),
    ("transfer.copy.incoming", "SMALL", 256 * _KIB),
    ("transfer.copy.small_files", "_BATCH_FILES", 4),
    ("transfer.copy.big_file", "BUFFER", 64 * _KIB),
    ("transfer.copy.big_file", "_SEGMENT_START", 256 * _KIB),
    ("transfer.copy.big_file", "_SEGMENT_MIN", 256 * _KIB),
    ("transfer.copy.big_file", "_SEGMENT_MAX", 256 * _KIB),
    ("store.sqlite.database", "WAL_TARGET_BYTES", 128 * _KIB),
    ("workers.maintenance", "FIRST_POLL_DELAY_SECONDS", 0.05),
    ("workers.maintenance", "POLL_INTERVAL_SECONDS", 0.05),
)


@dataclass(frozen=True, slots=True)
class Order:
    """One act. `record` and `told` are empty when nothing is to be recorded."""

    state_dir: str
    verb: str
    arguments: tuple[str, ...] = ()
    boot: str = "before the power cut"
    journal_mode: str = "wal"
    syncfs: bool = True
    record: str = ""
    roots: tuple[str, ...] = ()
    told: str = ""

    def encoded(self) -> list[str]:
        """Return it as arguments of the entry."""
        return [json.dumps(asdict(self))]


def act(arguments: list[str]) -> int:
    """Carry out one order and return the exit status."""
    order = Order(**json.loads(arguments[0]))
    for module, name, value in SMALLER:
        _replace(module, name, value)
    _replace("process.identity", "boot_id", lambda: order.boot)
    if order.journal_mode == "delete":
        _replace("process.open_store", "is_network_path", lambda _: True)
    if not order.syncfs:
        _replace("transfer.files.durability", "syncs_at_once", lambda _: False)
    if order.record:
        _recorder().power_recorder_start(os.fsencode(order.record), os.fsencode("\n".join(order.roots)))
        told = os.open(order.told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(told, sys.stdout.fileno())
    return _VERBS[order.verb](order)


def _replace(module: str, name: str, value: object) -> None:
    held = importlib.import_module(f"exlab_wizard.{module}")
    assert hasattr(held, name), f"{module} has no {name} any more"
    setattr(held, name, value)


def _recorder() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _command(order: Order) -> int:
    return command_line(["--state-dir", order.state_dir, *order.arguments])


def _application(companion: Callable[[Store], int]) -> Callable[[Order], int]:
    def run(order: Order) -> int:
        state_dir = Path(order.state_dir)
        options = launch.Options(state_dir=StateDir(state_dir), config=state_dir / "config.toml")
        app.leave(app.run(options, companion=companion))
        return 1

    return run


def _finish(store: Store) -> int:
    """Close what sessions are open, and wait until every job is decided; 1 when a destination is away."""
    for (lease,) in store.database.connection().execute("SELECT id FROM session_leases WHERE state = 'active'"):
        store.sessions.abort(lease, SystemClock().now())
    while True:
        states = store.database.connection().execute("SELECT state, waiting_on FROM sync_jobs").fetchall()
        if all(state in ("verified", "failed", "cancelled") for state, _ in states):
            return 0
        if any(waiting_on == STUCK for _, waiting_on in states):
            return 1
        _pause()


def _stay(store: Store) -> int:
    """Run until somebody else asks for a quit."""
    while store.database.connection().execute("SELECT count(*) FROM quit_requests").fetchone()[0] == 0:
        _pause()
    return 0


def _force(store: Store) -> int:
    """Force a quit in the middle of a copy."""
    while not store.database.connection().execute("SELECT 1 FROM sync_jobs WHERE bytes_done > 0").fetchall():
        _pause()
    launch = store.launches.open_launch()
    assert launch is not None
    store.quits.request(launch.id, QuitTrigger.CLI, SystemClock().now(), force=True)
    return _stay(store)


def _upkeep(store: Store) -> int:
    """Wait until the daily backup is there."""
    folder = store.database.path.parent / "backups"
    while not list(folder.glob("*-daily.db")):
        _pause()
    return 0


def _lease(order: Order) -> int:
    """Complete a session, tell about it, and sync what it queued; heartbeats make the WAL go round several times."""

    def companion(store: Store) -> int:
        launch = store.launches.open_launch()
        assert launch is not None
        now = SystemClock().now
        lease = store.sessions.open(NewSession(SessionKind.RUN, "acquisition", 600), launch.id, now())
        for _ in range(HEARTBEATS):
            store.sessions.renew(lease.id, now())
        queued = store.sessions.complete(lease.id, [NewJob(run, "nas") for run in order.arguments], now())
        assert queued is not None
        _tell({"jobs": [{"id": one.job_id, "run_path": run} for one, run in zip(queued, order.arguments, strict=True)]})
        return _finish(store)

    return _application(companion)(order)


def _die(order: Order) -> int:
    """Run until the named point is reached for the given time, and die there of SIGKILL."""
    point, times = order.arguments[0], [int(order.arguments[1])]

    def listen(reached: crash_points.Point) -> None:
        times[0] -= reached == point
        if not times[0]:
            _recorder().power_recorder_die()

    crash_points.watch(listen)
    return _application(_finish)(order)


def _die_in(order: Order) -> int:
    """Run until the named function is called, and die before it does anything."""
    module, name = order.arguments
    _replace(module, name, lambda *_: _recorder().power_recorder_die())
    return _application(_finish)(order)


def _tell(document: object) -> None:
    os.write(sys.stdout.fileno(), json.dumps(document).encode() + b"\n")


def _pause() -> None:
    threading.Event().wait(POLL_INTERVAL_SECONDS)  # time: between two looks


_VERBS: Final[dict[str, Callable[[Order], int]]] = {
    "command": _command,
    "finish": _application(_finish),
    "stay": _application(_stay),
    "force": _application(_force),
    "upkeep": _application(_upkeep),
    "lease": _lease,
    "die": _die,
    "die in": _die_in,
}
