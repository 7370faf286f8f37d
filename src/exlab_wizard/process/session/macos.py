"""macOS: the workspace announces power-off, log-off and waking up; an activity inhibits idle sleep.

Written to the system's documentation. The notifications are delivered in the main thread's run loop, which is the
icon's; a program without an icon gets SIGTERM instead. An activity also keeps the system from ending the program
without asking ("sudden termination"). pyobjc comes with pystray there.
"""

from __future__ import annotations

import sys

if sys.platform == "darwin":
    import logging
    import threading
    from collections.abc import Callable
    from typing import Final

    import AppKit
    import Foundation

    from exlab_wizard.process.session.port import WHY, Inhibited, SessionCallbacks

    log = logging.getLogger(__name__)

    _NO_SUDDEN_END: Final = 1 << 14
    _NO_IDLE_SLEEP: Final = 1 << 20

    class Workspace:
        """Notifications of the shared workspace, and one activity of this process."""

        needed_when_idle = True  # "sudden termination" is a kill

        def __init__(self) -> None:
            self._over = threading.Event()
            self._lock = threading.Lock()
            self._activity: object | None = None
            self._observers: list[object] = []

        def inhibit(self, wanted: Inhibited) -> None:
            """Inhibit exactly this from now on."""
            process = Foundation.NSProcessInfo.processInfo()
            options = (_NO_SUDDEN_END if wanted.shutdown else 0) | (_NO_IDLE_SLEEP if wanted.sleep else 0)
            with self._lock:
                before, self._activity = self._activity, None
                if options:
                    self._activity = process.beginActivityWithOptions_reason_(options, WHY)
                if before is not None:
                    process.endActivity_(before)

        def stop(self) -> None:
            """Inhibit nothing and let `run` return."""
            self.inhibit(Inhibited())
            self._over.set()

        def run(self, callbacks: SessionCallbacks) -> None:
            """Listen until `stop`."""
            center = AppKit.NSWorkspace.sharedWorkspace().notificationCenter()

            def subscribe(name: str, notify: Callable[[], None]) -> None:
                observer = center.addObserverForName_object_queue_usingBlock_(name, None, None, lambda _note: notify())
                self._observers.append(observer)

            subscribe(AppKit.NSWorkspaceWillPowerOffNotification, callbacks.session_ends)
            subscribe(AppKit.NSWorkspaceDidWakeNotification, callbacks.woke)
            self._over.wait()
            for observer in self._observers:
                center.removeObserver_(observer)
