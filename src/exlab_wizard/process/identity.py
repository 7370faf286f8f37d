"""The identity of a launch: pids are reused, so its machine, boot and start time belong to it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exlab_wizard import __version__
from exlab_wizard.domain.clock import to_text
from exlab_wizard.store.queue.launches import ThisProcess

_LOWEST_PRIORITY: Final = 19


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Return wall time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back; on Linux they stop while the machine sleeps."""
        return time.monotonic()


def this_process() -> ThisProcess:
    """Return what identifies this start of the program."""
    import psutil  # noqa: PLC0415 - a command that starts nothing need not load it

    started = psutil.Process().create_time()
    return ThisProcess(
        host=socket.gethostname() or "unknown",
        boot_id=boot_id(),
        pid=os.getpid(),
        process_started_at=to_text(datetime.fromtimestamp(started, UTC)),
        version=__version__,
    )


def step_back() -> None:
    """Give this thread the lowest priority for good: a reader must not slow down the work."""
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415 - a command that starts nothing need not load it

        psutil.Process().nice(psutil.IDLE_PRIORITY_CLASS)
    elif sys.platform == "linux":
        # A nice process still finishes its time slice, and ten of them delayed every wake-up of a worker.
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(_LOWEST_PRIORITY)


def boot_id() -> str:
    """Return an id that changes with every boot of the machine, and only then."""
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    if sys.platform == "darwin":
        command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        return subprocess.run(command, capture_output=True, check=True, text=True, timeout=5).stdout.strip()
    import psutil  # noqa: PLC0415 - a command that starts nothing need not load it

    # Windows derives the boot time from the wall clock; whole minutes keep small corrections of it out.
    return f"boot-{round(psutil.boot_time() / 60)}"


def is_network_path(path: Path) -> bool:
    """Return whether `path` lies on a network file system, where SQLite's WAL cannot work."""
    import psutil  # noqa: PLC0415 - a command that starts nothing need not load it

    kinds = {"nfs", "nfs4", "cifs", "smb", "smb3", "smbfs", "afpfs", "9p", "fuse.sshfs", "fuse.rclone", "webdav", "afs"}
    where = path.resolve()
    mounts = [mount for mount in psutil.disk_partitions(all=True) if where.is_relative_to(mount.mountpoint)]
    nearest = max(mounts, key=lambda mount: len(mount.mountpoint), default=None)
    if nearest is None:
        return str(where).startswith("\\\\")
    return nearest.fstype.lower() in kinds or "remote" in nearest.opts.split(",")
