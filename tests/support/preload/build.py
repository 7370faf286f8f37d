"""Compiles the libraries that tests preload into the program: `kill`, `faults` and `record`, over one `paths.h`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final, Literal

_SOURCES: Final = Path(__file__).parent
_OPTIONS: Final = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wno-format-truncation", "-fno-builtin")


def build(name: Literal["kill", "faults", "record"], folder: Path) -> Path:
    """Compile a library into `folder`, and return what to preload."""
    library = folder / f"{name}.so"
    command = ["cc", *_OPTIONS, "-shared", "-fPIC", "-o", str(library), str(_SOURCES / f"{name}.c"), "-ldl", "-pthread"]
    subprocess.run(command, check=True)
    return library
