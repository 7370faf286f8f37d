"""The machine: settings, state dir, log folder, clock, and the programs that transfers may call."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exlab_wizard.diagnosis.doctor.checkup import CheckResult, bad, doubtful, good
from exlab_wizard.domain.text.amounts import duration, size
from exlab_wizard.errors import SettingsError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import boot_id, is_network_path
from exlab_wizard.settings import SettingsFile

ERROR_ROOM_BYTES: Final = 64 << 20
WARN_ROOM_BYTES: Final = 1 << 30
SCRATCH: Final = ".exlab-test-"
MOST_SKEW_SECONDS: Final = 5.0
_VERSION_SECONDS: Final = 5.0
_EARLIEST_YEAR: Final = 2026
_TOOLS: Final = {
    "rsync": ("--version", "copies over SSH"),
    "rclone": ("version", "copies to cloud storage"),
    "ssh": ("-V", "reaches servers"),
}


def settings(config: Path) -> Iterator[CheckResult]:
    """Check the configuration file: readable, keys known, values allowed, at least one destination."""
    try:
        found = SettingsFile(config).read()
    except SettingsError as error:
        for line in str(error).splitlines():
            yield bad("settings", line, "Correct the configuration; docs/settings.md lists the allowed values.")
        return
    yield good("settings", str(config) if config.exists() else f"{config} does not exist; the defaults apply")
    if not found.destinations:
        yield doubtful("destinations", "none configured", "exlab-wizard destination add NAME FOLDER")


def state_dir(state_dir: StateDir) -> Iterator[CheckResult]:
    """Check the folder of the database: writable, private, on a local disk, with free space."""
    root = state_dir.root
    if not root.exists():
        yield good("state dir", f"{root} does not exist yet; the first start creates it")
        return
    if fault := _write_test(root):
        yield bad("state dir", f"{root} is not writable: {fault}", "Make it writable for your account.")
    else:
        yield good("state dir", f"{root} is writable")
    yield _privacy(root)
    if is_network_path(root):
        remedy = "Choose a folder on a local disk with --state-dir or EXLAB_STATE_DIR."
        detail = "a network file system: the database is slower there, and hangs whenever the file system does"
        yield doubtful("state disk", detail, remedy)
    else:
        yield good("state disk", "a local disk")
    yield room("state space", root)


def logs(state_dir: StateDir) -> Iterator[CheckResult]:
    """Check the folder of the log."""
    folder = state_dir.logs
    if not folder.exists():
        yield good("log", f"{folder} does not exist yet; the first start creates it")
    elif fault := _write_test(folder):
        yield doubtful("log", f"{folder} is not writable: {fault}", "Make it writable, or remove it.")
    else:
        total = sum(one.stat().st_size for one in folder.iterdir() if one.is_file())
        yield good("log", f"{folder}, {size(total)}")


def clock(state_dir: StateDir) -> Iterator[CheckResult]:
    """Check this machine's clock: plausible, and equal to that of the state dir's file system."""
    now = datetime.now(UTC)
    if now.year < _EARLIEST_YEAR:
        yield bad("clock", f"the date is {now:%Y-%m-%d}", "Set the clock; retries and sessions depend on it.")
    elif (skew := file_skew_s(state_dir.root)) is not None and abs(skew) > MOST_SKEW_SECONDS:
        remedy = "Synchronise this machine's clock and that of the file server with NTP."
        yield doubtful("clock", f"the times of new files in the state dir are {against_ours(skew)}", remedy)
    else:
        yield good("clock", f"{now.astimezone():%Y-%m-%d %H:%M:%S %z}, boot {boot_id()}")


def programs() -> Iterator[CheckResult]:
    """Check for third-party transfer programs; mounted shares need none of them."""
    for name, (option, purpose) in _TOOLS.items():
        found = shutil.which(name)
        if found is None:
            yield good(name, f"not installed; it {purpose}, and mounted shares do not need it")
        else:
            yield good(name, _first_line([found, option]))


def room(name: str, folder: Path) -> CheckResult:
    """Return the free space on the disk of `folder`."""
    usage = shutil.disk_usage(folder)
    detail = f"{size(usage.free)} free of {size(usage.total)}"
    remedy = f"Free some space on the disk of {folder}."
    if usage.free < ERROR_ROOM_BYTES:
        return bad(name, detail, remedy)
    return doubtful(name, detail, remedy) if usage.free < WARN_ROOM_BYTES else good(name, detail)


def against_ours(skew_s: float) -> str:
    """Return how far a clock is from this machine's, in words."""
    return f"{duration(abs(skew_s))} {'ahead of' if skew_s > 0 else 'behind'} this machine's clock"


def file_skew_s(folder: Path) -> float | None:
    """Return by how many seconds a new file's time is ahead of this machine's clock; None if none can be created."""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH) as scratch:
            written = Path(scratch) / "time"
            before = datetime.now(UTC).timestamp()
            written.write_bytes(b"exlab-wizard")
            return written.stat().st_mtime - before
    except OSError:
        return None


def _write_test(folder: Path) -> str:
    """Return why the folder is not writable; empty if it is."""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=SCRATCH) as scratch:
            (Path(scratch) / "written").write_bytes(b"exlab-wizard")
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _privacy(root: Path) -> CheckResult:
    if sys.platform == "win32":
        return good("permissions", "those of your user profile")
    status = root.stat()
    if status.st_uid != os.geteuid():
        detail = f"{root} belongs to another account (uid {status.st_uid})"
        return doubtful("permissions", detail, f"Use your own state dir, or: chown -R $USER {str(root)!r}")
    others = stat.S_IMODE(status.st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    if others:
        detail = f"{root} has mode {stat.S_IMODE(status.st_mode):04o}: other accounts can read it"
        return doubtful("permissions", detail, f"chmod 700 {str(root)!r}")
    return good("permissions", "only your account can read it")


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_VERSION_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"{command[0]} is installed, but did not print its version"
    # ssh prints it on stderr.
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if lines else command[0]
