"""Other programs than ours, run in children of the nursery and told the state dir first: one that embeds us, the next
version of our own, and ours where the state dir lies on a network file system.
"""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Final
from unittest import mock

from exlab_wizard.cli.main import main
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep import migration
from exlab_wizard.store.upkeep.backup import Backups
from exlab_wizard.workers.maintenance import Maintenance

COMPLETE: Final = "tests.crash.system_calls.clients:complete"
NEXT_VERSION: Final = "tests.crash.system_calls.clients:next_version"
ON_NETWORK: Final = "tests.crash.system_calls.clients:on_network"
KEEP_HOUSE: Final = "tests.crash.system_calls.clients:keep_house"


def complete(arguments: list[str]) -> int:
    """Complete a lease with its runs, and say so when that is durable: STATE LEASE RUN..."""
    state, lease, *runs = arguments
    store = Store(Database(StateDir(Path(state)).database))
    done = store.sessions.complete(lease, [NewJob(run, "nas") for run in runs], SystemClock().now())
    if done is not None:
        print("completed", flush=True)  # noqa: T201 - the acknowledgement
    store.close()
    return int(done is None)


def keep_house(arguments: list[str]) -> int:
    """Do once what the application does in quiet moments: STATE."""
    state_dir = StateDir(Path(arguments[0]))
    settings = SettingsFile(state_dir.root / "config.toml")
    settings.read()
    store = Store(Database(state_dir.database))
    Maintenance(store, Backups(state_dir), settings, SystemClock(), check=True).check_and_back_up()
    store.close()
    return 0


def next_version(arguments: list[str]) -> int:
    """Run a command of a program that has one migration more: STATE MIGRATIONS COMMAND..."""
    state, migrations, *command = arguments
    with mock.patch.multiple(
        migration,
        KNOWN_REVISIONS=(*migration.KNOWN_REVISIONS, "0003"),
        HEAD_REVISION="0003",
        migrations_dir=lambda: Path(migrations),
    ):
        return main(["--state-dir", state, *command])


def on_network(arguments: list[str]) -> int:
    """Run a command that finds all on a network file system: STATE COMMAND...

    It keeps a rollback journal instead of a log, flushes file by file, and has no hard links to publish with.
    """
    state, *command = arguments
    everywhere = SimpleNamespace(mountpoint="/", fstype="nfs4", opts="rw")
    with (
        mock.patch("psutil.disk_partitions", return_value=[everywhere]),
        mock.patch("exlab_wizard.transfer.files.durability.syncs_at_once", return_value=False),
        mock.patch("exlab_wizard.transfer.files.tree.os.link", side_effect=OSError(errno.EPERM, "no hard links here")),
    ):
        return main(["--state-dir", state, *command])
