"""A request to see the window: whether this process can show one, which pages it may show, and what was done."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from exlab_wizard.domain.codec import about
from exlab_wizard.errors import RefusedError

PAGE: Final = re.compile(r"/(?:[A-Za-z0-9_-]+/?)*(?:\?[A-Za-z0-9_.=&-]*)?")
"""A page of ours: a path below this server that leads nowhere else."""
LONGEST_PAGE: Final = 200
NO_DISPLAY: Final = "no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"


def has_display(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process can show windows."""
    return sys.platform in ("win32", "darwin") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


class NoWindowError(RefusedError):
    """The window cannot be opened where the application runs; the message says why."""


@dataclass(frozen=True, slots=True)
class WindowShown:
    """What became of the window."""

    how: Literal["opened", "focused"]
    by: str = field(metadata=about("`webview`, `chromium` or `browser`"))
