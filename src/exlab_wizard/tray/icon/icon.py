"""The tray icon: pystray, and what it must be kept from doing.

This is the only import of pystray; importing this module fails where the desktop has no way to show an icon. All calls
but `run` are for any thread and return at once. Items return at once, too: the icon's loop never waits for anything,
and nothing waits for it.

Left alone, pystray takes SIGINT away from us, talks to a notification service that may not be there, and replaces the
whole menu where only a text has changed, so that it closes under the pointer.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from PIL import Image

from exlab_wizard.domain.headline import Condition, HeadlineState, condition, headline
from exlab_wizard.errors import ExlabError
from exlab_wizard.tray.icon.menu import Act, Item, items
from exlab_wizard.tray.icon.pictures import write_pictures

# What an icon has for screen readers its panel has, too; where there are none GTK would complain on stderr.
_NO_BRIDGE: Final = "NO_AT_BRIDGE"
_has_bridge = _NO_BRIDGE not in os.environ
os.environ[_NO_BRIDGE] = "1"
try:
    import pystray
finally:
    if _has_bridge:
        # The window's process inherits the environment, and there it matters.
        del os.environ[_NO_BRIDGE]

if sys.platform == "darwin":
    from PyObjCTools import AppHelper
elif sys.platform != "win32":
    from gi.repository import Gio, GLib, Gtk

NAME: Final = "exlab-wizard"
TITLE: Final = "ExLab-Wizard"


class MenulessError(ExlabError):
    """An icon without a menu offers no way to quit, so it counts as none."""


class _Native(pystray.Icon):  # type: ignore[misc]  # pystray ships no types, and picks its base class at run time
    """pystray's icon with our own beginning, end and pictures; only for its loop's thread, unless said otherwise."""

    files: dict[Condition, Path]
    """The picture of each condition, where a panel can read it as long as it likes."""
    shown: Condition

    if sys.platform == "darwin":

        def _run(self) -> None:
            # As pystray's, but for its handler of SIGINT, which ends the process without a drain.
            self._mark_ready()
            try:
                self._app.run()
            finally:
                self._status_bar.removeStatusItem_(self._status_item)

    elif sys.platform != "win32":
        _menu_handle: Gtk.Menu | None = None
        _bus: Gio.DBusConnection

        def _initialize(self) -> None:
            # As GTK's, but for SIGINT and for the notification service, which would be started by a question to it.
            # And a session bus that goes away is no reason to raise SIGTERM, which GLib does unless told otherwise.
            self._bus = Gio.bus_get_sync(Gio.BusType.SESSION, None)
            self._bus.set_exit_on_close(False)
            self._mark_ready()

        def _finalize(self) -> None:
            self._visible = False  # or its destructor would hide what is gone
            # A panel keeps an icon that its owner does not remove, and clicks on it would have no effect.
            with contextlib.suppress(GLib.Error):  # the bus may be what has gone
                self._bus.close_sync(None)

        def _update_fs_icon(self) -> None:
            self._icon_path = str(self.files[self.shown])
            self._icon_valid = True

        def _remove_fs_icon(self) -> None:
            self._icon_valid = False

    def soon(self, act: Callable[[], None]) -> None:
        """Do `act` in the thread of the loop, where it has one of its own. For any thread."""
        if sys.platform == "darwin":
            AppHelper.callAfter(act)
        elif sys.platform == "win32":
            act()
        else:
            GLib.idle_add(act)  # once: GLib repeats what returns anything but None

    def relabel(self, texts: list[str]) -> None:
        """Let the items read `texts`, from top to bottom; an open menu stays open."""
        if sys.platform in ("darwin", "win32") or self._menu_handle is None:  # it may not have been made yet
            self.update_menu()
            return
        children = self._menu_handle.get_children()
        for child, text in zip(children, texts, strict=False):
            if text and child.get_label() != text:
                child.set_label(text)


class TrayIcon:
    """One icon: `run` shows it until `stop`. Its pictures are kept in the folder `pictures`.

    `act` gets the chosen item, in the icon's thread, and must return at once.

    Raises:
        MenulessError: what this desktop offers has no menu.
        OSError: the pictures cannot be written.
    """

    def __init__(self, overview: HeadlineState, pictures: Path, act: Callable[[Act], None]) -> None:
        if not pystray.Icon.HAS_MENU:
            raise MenulessError("the only tray here shows no menu")
        self._act = act
        self._files = write_pictures(pictures)
        self._overview = overview
        self._items = items(overview)
        _Native.files, _Native.shown = self._files, condition(overview)
        self._native = _Native(NAME, self._image(), title=self._title(), menu=pystray.Menu(self._menu))
        self._stopped = False

    def run(self) -> None:
        """Show the icon; returns when it was stopped, or when its loop failed."""
        self._native.run(self._appear)

    def show(self, overview: HeadlineState) -> None:
        """Show `overview` instead; what looks the same is left alone."""
        before, self._overview = condition(self._overview), overview
        now = condition(overview)

        def change() -> None:
            native, shown = self._native, self._items
            self._items = items(overview)
            if now is not before:
                native.shown = now
                native.icon = self._image()
            native.title = self._title()
            if [(item.act, item.enabled) for item in shown] != [(item.act, item.enabled) for item in self._items]:
                native.update_menu()
            elif shown != self._items:
                native.relabel([item.text for item in self._items])

        self._native.soon(change)

    def stop(self) -> None:
        """End `run`; harmless when it has ended, or has not begun."""
        self._stopped = True
        self._native.stop()

    def _appear(self, native: pystray.Icon) -> None:
        # A stop that came before the loop ran was not heard by it.
        if self._stopped:
            native.stop()
        else:
            native.visible = True

    def _image(self) -> Image.Image:
        with Image.open(self._files[condition(self._overview)]) as image:
            return image.copy()

    def _title(self) -> str:
        return f"{TITLE}: {headline(self._overview)}"

    def _menu(self) -> Iterator[pystray.MenuItem]:
        for item in self._items:
            yield pystray.Menu.SEPARATOR if item.act is None else self._native_item(item, item.act)

    def _native_item(self, item: Item, act: Act) -> pystray.MenuItem:
        text = item.text.replace("&", "&&") if sys.platform == "win32" else item.text
        return pystray.MenuItem(text, lambda: self._act(act), default=item.default, enabled=item.enabled)
