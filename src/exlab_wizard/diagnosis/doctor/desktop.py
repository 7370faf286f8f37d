"""The desktop: is there a display, and somebody who shows tray icons and notifications.

On Linux the session bus is asked who is there; elsewhere the system itself shows both.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Final

from exlab_wizard.diagnosis.doctor.checkup import Finding, doubtful, good

BUS_SECONDS: Final = 3.0
TRAY_HOST: Final = "org.kde.StatusNotifierWatcher"
NOTIFICATIONS: Final = "org.freedesktop.Notifications"
_HEADLESS: Final = "Nothing, for a service: exlab-wizard run --headless. Else start it inside a desktop session."


def desktop() -> Iterator[Finding]:
    """Look for display, tray and notifications; nothing here keeps a run from arriving."""
    if sys.platform != "linux":
        yield good("desktop", "the system shows icon and notifications")
        return
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield doubtful("display", "neither DISPLAY nor WAYLAND_DISPLAY is set", _HEADLESS)
    else:
        yield good("display", os.environ.get("WAYLAND_DISPLAY") or os.environ["DISPLAY"])
    try:
        running, startable = asyncio.run(asyncio.wait_for(_names(), BUS_SECONDS))
    except Exception as error:  # boundary: a bus fails in many ways, and each means that there is nobody to show things
        said = str(error) or type(error).__name__
        yield doubtful("session bus", f"cannot be asked: {said}", _HEADLESS)
        return
    yield good("session bus", f"{len(running)} names")
    yield _tray(running)
    yield _notifications(running, startable)


def _tray(running: set[str]) -> Finding:
    if TRAY_HOST in running:
        return good("tray", "icons are shown")
    remedy = "Add the tray of your desktop's panel (GNOME: the extension AppIndicator); until then use the window."
    return doubtful("tray", "nobody shows icons", remedy)


def _notifications(running: set[str], startable: set[str]) -> Finding:
    if NOTIFICATIONS in running:
        return good("notifications", "are shown")
    if NOTIFICATIONS in startable:
        return good("notifications", "are shown by a program that starts when it is needed")
    return doubtful("notifications", "nobody shows them", "Start a notification daemon, such as dunst.")


async def _names() -> tuple[set[str], set[str]]:
    """Return the names that are owned on the session bus, and those that would be started when called."""
    from dbus_fast import Message  # noqa: PLC0415 - Linux only
    from dbus_fast.aio import MessageBus  # noqa: PLC0415 - likewise

    bus = await MessageBus().connect()
    try:
        found: list[set[str]] = []
        for member in ("ListNames", "ListActivatableNames"):
            reply = await bus.call(
                Message(
                    destination="org.freedesktop.DBus",
                    path="/org/freedesktop/DBus",
                    interface="org.freedesktop.DBus",
                    member=member,
                )
            )
            found.append(set(reply.body[0]) if reply.body else set())
        return found[0], found[1]
    finally:
        bus.disconnect()
