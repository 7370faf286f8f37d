"""Whether a desktop can be reached from here."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

NO_DISPLAY: Final = "no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"


def has_display(environ: Mapping[str, str] = os.environ, system: str = sys.platform) -> bool:
    """Return whether this process can show windows."""
    return system in ("win32", "darwin") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
