"""The lab's application, with the tests' own modules on its path: for tests that start, kill and ask real processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from exlab_wizard.testing import MIB, PATIENCE_SECONDS, Application, picture, until, write_run

__all__ = ["MIB", "PATIENCE_SECONDS", "ROOT", "Program", "picture", "until", "write_run"]

ROOT: Final = Path(__file__).resolve().parents[1]


class Program(Application):
    """An application whose processes can import what lies beside the tests."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.environment["PYTHONPATH"] += f"{os.pathsep}{ROOT}"
