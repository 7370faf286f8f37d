"""X11: a display that goes away ends the session, and not this process on the spot.

A log-off ends the X server, often before a signal arrives. Xlib then calls a function that must not return, and
GTK's own is `exit`: no drain, no exit receipt, and the next launch takes it for a crash. So ours takes its place. The
thread that met the loss, the icon's, stays in it until the process ends.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

_HANDLER: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
# Xlib keeps only the address.
_kept: list[object] = []


def on_display_end(ended: Callable[[], None]) -> None:
    """Call `ended` once when the X server goes away; only after GTK has opened the display. Only on Linux."""
    if sys.platform != "linux":
        return
    said = threading.Lock()

    def gone(_display: int | None) -> int:
        if said.acquire(blocking=False):
            log.warning("the connection to the display was lost")
            ended()
        threading.Event().wait()
        return 0

    try:
        xlib = ctypes.CDLL("libX11.so.6")
    except OSError:
        return  # then nothing here uses an X server
    handler = _HANDLER(gone)
    _kept.append(handler)
    xlib.XSetIOErrorHandler(handler)
