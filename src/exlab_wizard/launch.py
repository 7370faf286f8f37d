"""The first half of a launch: open the database, bring it up to date, recover what the last launch left.

`open_state` changes nothing but an outdated schema (after a backup) and a configuration without destinations. When
`recover` returns, this launch is a row: a crash from then on is recovered by the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exlab_wizard.durable import make_folder
from exlab_wizard.paths import StateDir
from exlab_wizard.process.changes import Changes
from exlab_wizard.process.identity import SystemClock, this_process
from exlab_wizard.process.open_store import database_of
from exlab_wizard.process.presence import Presence
from exlab_wizard.process.safe_mode import SafeMode
from exlab_wizard.process.steady_clock import SteadyClock
from exlab_wizard.process.supervisor import Supervisor
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.launches import Recovery
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.transfer.destination.marker import create_marker
from exlab_wizard.tray.quit_gate import LaunchGate, StorePredicate

FIRST_DESTINATION: Final = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to run: where the state is, and which configuration applies."""

    state_dir: StateDir
    config: Path
    headless: bool = True
    """Without icon, window and notifications."""
    window: bool = False
    """Open a window at launch; has no effect when headless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Everything that is there before this launch changes anything."""

    options: Options
    settings: SettingsFile
    first_destination: Path | None
    """The folder that was made as a destination because there was none yet."""
    store: Store
    backups: Backups
    clock: SteadyClock
    ended_well: bool
    """Whether the launch before this one wrote its exit receipt; the database was checked if it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """This launch, as a row of the database."""

    id: int
    host: str
    recovery: Recovery
    safe_mode: SafeMode
    changes: Changes
    presence: Presence
    supervisor: Supervisor
    gate: LaunchGate
    predicate: StorePredicate


def open_state(options: Options) -> Opened:
    """Open everything that this launch builds on.

    Raises:
        ExlabError: it cannot be opened; the message says what to do.
    """
    settings = SettingsFile(options.config)
    settings.read()
    first = None if settings.current.destinations else _add_first_destination(options.state_dir, settings)
    state_dir, backups, clock = options.state_dir, Backups(options.state_dir), SteadyClock(SystemClock())
    database = database_of(state_dir)
    migration.upgrade(database, backups, clock.now())
    store = Store(database)
    ended_well = store.launches.open_launch() is None
    if not ended_well:
        migration.quick_check(database)
    database.grow_wal()
    return Opened(
        options=options,
        settings=settings,
        first_destination=first,
        store=store,
        backups=backups,
        clock=clock,
        ended_well=ended_well,
    )


def recover(opened: Opened) -> Launch:
    """Queue again what the last launch left, in one transaction that also begins this launch.

    Raises:
        StoreError: the database cannot be written.
    """
    store, clock, process = opened.store, opened.clock, this_process()
    recovery = store.launches.recover(process, clock.now())
    safe_mode = SafeMode(store, recovery.launch_id, clock)
    safe_mode.begin(recovery)
    changes = Changes()
    return Launch(
        id=recovery.launch_id,
        host=process.host,
        recovery=recovery,
        safe_mode=safe_mode,
        changes=changes,
        presence=Presence(clock),
        supervisor=Supervisor(changes.notify),
        gate=LaunchGate(store, recovery.launch_id, clock),
        predicate=StorePredicate(store, clock),
    )


def _add_first_destination(state_dir: StateDir, settings: SettingsFile) -> Path:
    """Make a folder of the state dir the destination `local`: the program can be tried before the NAS is set up."""
    folder = state_dir.first_destination
    make_folder(folder)
    settings.add_destination(FIRST_DESTINATION, str(folder), marker=create_marker(folder, FIRST_DESTINATION))
    return folder
