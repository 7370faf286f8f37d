"""The lab's application, with the tests' own modules on its path: for tests that start, kill and ask real processes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exlab_wizard.process.server_json import read_server_file
from exlab_wizard.testing import MIB, PATIENCE_SECONDS, Application, picture, until, write_run

__all__ = [
    "MIB",
    "PATIENCE_SECONDS",
    "ROOT",
    "OnlyWoken",
    "Program",
    "folder_in_memory",
    "picture",
    "until",
    "write_run",
]

ROOT: Final = Path(__file__).resolve().parents[2]
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - only its speed is wanted, and the folder in it is our own
_ROOM_BYTES: Final = 2 << 30


@contextmanager
def folder_in_memory(otherwise: Path) -> Iterator[Path]:
    """Yield a fresh folder in memory, if there is room: what is timed there is no disk that other tests keep busy."""
    fast = _IN_MEMORY.is_dir() and os.access(_IN_MEMORY, os.W_OK) and shutil.disk_usage(_IN_MEMORY).free > _ROOM_BYTES
    with tempfile.TemporaryDirectory(
        dir=_IN_MEMORY if fast else otherwise,
        prefix="exlab-",
        ignore_cleanup_errors=True,  # a browser that has just been told to exit may still write into its profile
    ) as folder:
        yield Path(folder)


class Program(Application):
    """An application whose processes can import what lies beside the tests."""

    through: tuple[str, ...] = ()
    """A module that runs the program, if it is not to be as it is, with its own arguments."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.environment["PYTHONPATH"] += f"{os.pathsep}{ROOT}"

    def command(self, *arguments: str) -> list[str]:
        python, m, *rest = super().command(*arguments)
        return [python, m, *self.through, *rest]

    def port(self) -> int:
        """Return where the running application answers."""
        self.api("GET", "/health")  # waits until it does
        address = read_server_file(self.state / "server.json")
        assert address is not None
        return address.port


class OnlyWoken(Program):
    """An application whose workers look for work only when they are woken."""

    through = ("tests.support.only_woken",)
