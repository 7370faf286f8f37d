"""The paths on this machine: the state dir with its files, and the configuration file.

`EXLAB_STATE_DIR` and `EXLAB_CONFIG` override the operating system's defaults.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import platformdirs

from exlab_wizard.durable import make_folder
from exlab_wizard.errors import UsageError

APP = "exlab-wizard"


class StateDir:
    """The state dir and the names in it; a contract, since people use them. Nothing exists before `create`."""

    def __init__(self, root: Path) -> None:
        self.root: Final = root
        self.database: Final = root / "exlab-wizard.db"
        self.lock: Final = root / "instance.lock"
        self.server: Final = root / "server.json"
        self.page: Final = root / "page.json"
        self.backups: Final = root / "backups"
        self.logs: Final = root / "logs"
        self.pictures: Final = root / "pictures"
        self.first_destination: Final = root / "nas"

    def create(self) -> None:
        """Create the state dir, durably, readable by its owner only, and prove that it can be written.

        Raises:
            UsageError: it cannot be created or written; the message names it and what to do.
        """
        try:
            make_folder(self.root, 0o700)
            # One fixed name: the next launch removes the file that a killed one leaves.
            probe = self.root / ".write-test"
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            msg = (
                f"the state dir {str(self.root)!r} cannot be written: {error.strerror}. "
                "Make it writable for your account, or choose another with --state-dir."
            )
            raise UsageError(msg) from error


def default_state_dir() -> Path:
    """Return `EXLAB_STATE_DIR`, or the user's state dir as the operating system names it."""
    named = os.environ.get("EXLAB_STATE_DIR")
    return Path(named).expanduser().absolute() if named else platformdirs.user_state_path(APP)


def default_config(state_dir: Path, *, state_dir_named: bool) -> Path:
    """Return `EXLAB_CONFIG`, or the default path of the configuration.

    With an explicit state dir the configuration is inside it, so that a trial in a scratch folder never changes the
    user's own settings.
    """
    named = os.environ.get("EXLAB_CONFIG")
    if named:
        return Path(named).expanduser().absolute()
    if state_dir_named:
        return state_dir / "config.toml"
    return platformdirs.user_config_path(APP) / "config.toml"


def printable(text: str) -> str:
    r"""Return the text as it can be sent as UTF-8: other bytes in a name appear as `\xNN`."""
    return text if text.isascii() else os.fsencode(text).decode("utf-8", "backslashreplace")
