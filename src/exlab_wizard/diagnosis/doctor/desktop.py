"""The desktop: display, tray, notifications, window and autostart.

On Linux the names on the session bus tell whether icons and notifications are displayed; elsewhere the system does it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from exlab_wizard.desktop.window.surfaces import find_chromium
from exlab_wizard.diagnosis.doctor.checkup import CheckResult, doubtful, good
from exlab_wizard.paths import StateDir
from exlab_wizard.process.autostart.entry import autostart_of
from exlab_wizard.process.session.dbus import NOTIFICATIONS, TRAY_HOST, connect
from exlab_wizard.process.window_request import NO_DISPLAY, has_display

BUS_SECONDS: Final = 3.0
_HEADLESS: Final = "As a service, use: exlab-wizard run --headless. Otherwise start it inside a desktop session."


def desktop() -> Iterator[CheckResult]:
    """Check display, tray and notifications; none of them is needed for syncing."""
    if sys.platform != "linux":
        yield good("desktop", "the system displays the icon and notifications")
        return
    if has_display():
        yield good("display", os.environ.get("WAYLAND_DISPLAY") or os.environ["DISPLAY"])
    else:
        yield doubtful("display", NO_DISPLAY, _HEADLESS)
    try:
        running, startable = asyncio.run(asyncio.wait_for(_names(), BUS_SECONDS))
    except Exception as error:  # boundary: a bus fails in many ways, and each means that nothing can be displayed
        yield doubtful("session bus", f"does not answer: {str(error) or type(error).__name__}", _HEADLESS)
        return
    yield good("session bus", f"{len(running)} names")
    if TRAY_HOST in running:
        yield good("tray", "icons are displayed")
    else:
        remedy = "Add the tray of your desktop's panel (GNOME: the extension AppIndicator); until then use the window."
        yield doubtful("tray", "no tray on this desktop displays icons", remedy)
    if NOTIFICATIONS in running:
        yield good("notifications", "are displayed")
    elif NOTIFICATIONS in startable:
        yield good("notifications", "are displayed by a program that starts on demand")
    else:
        yield doubtful("notifications", "no program displays them", "Start a notification daemon, such as dunst.")


def window() -> Iterator[CheckResult]:
    """Check which program shows the page in a window."""
    found = find_chromium(os.environ)
    if found is not None:
        yield good("window", found)
    elif find_spec("webview") is not None:
        yield good("window", "a web view (the extra `window`)")
    else:
        yield good("window", "no Chromium, Edge or Chrome: the page opens in the default browser")


def autostart(state_dir: StateDir, config: Path) -> Iterator[CheckResult]:
    """Check whether the entry that starts the application at login is up to date."""
    status = autostart_of(state_dir, config).status()
    if not status.on:
        yield good("autostart", "off; to start at login: exlab-wizard autostart on")
    elif status.stale:
        yield doubtful("autostart", "it points to a program that no longer exists", "exlab-wizard autostart on")
    elif status.state_dir != str(state_dir.root):
        remedy = "exlab-wizard --state-dir DIR autostart on, with the state dir to start"
        yield doubtful("autostart", f"on for another state dir: {status.state_dir}", remedy)
    else:
        yield good("autostart", "on")


async def _names() -> tuple[set[object], set[object]]:
    """Return the names that are owned on the session bus, and those that would be started on demand."""
    bus = await connect(timeout_s=BUS_SECONDS)
    try:
        owned, startable = await bus.call_bus("ListNames"), await bus.call_bus("ListActivatableNames")
        return _words(owned), _words(startable)
    finally:
        bus.close()


def _words(body: list[object]) -> set[object]:
    return set(body[0]) if body and isinstance(body[0], list) else set()
