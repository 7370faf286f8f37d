"""How this program is started again: detached by a command, or by the system at login."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from exlab_wizard.paths import StateDir

START_LOG = "start.log"


def command(state_dir: StateDir, config: Path, *arguments: str) -> list[str]:
    """Return the command line of `exlab-wizard ARGUMENTS` for these places, whatever the environment then says."""
    # -P: the working directory is no place to import from.
    program = [sys.executable] if getattr(sys, "frozen", False) else [sys.executable, "-P", "-m", "exlab_wizard"]
    return [*program, "--state-dir", str(state_dir.root), "--config", str(config), *arguments]


def start_detached(state_dir: StateDir, config: Path) -> subprocess.Popen[bytes]:
    """Start the application so that it outlives us and our terminal; its output until it is ready goes to a file.

    Raises:
        OSError: it cannot start.
    """
    state_dir.create()
    state_dir.logs.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(state_dir.logs / START_LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    line = command(state_dir, config, "run", "--background")
    with os.fdopen(descriptor, "wb") as said:
        if sys.platform == "win32":
            apart = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
            return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=said, stderr=said, creationflags=apart)
        home = str(state_dir.root)  # never a folder that the operator wants to unmount
        return subprocess.Popen(
            line, cwd=home, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )


def last_said(state_dir: StateDir) -> str:
    """Return the last line that a detached application printed; empty for none."""
    try:
        text = (state_dir.logs / START_LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def cut_loose() -> None:
    """Send standard output and error nowhere: the process that waited for the ready message reads no further."""
    sys.stdout.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
