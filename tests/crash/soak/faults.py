"""One fault after another, each undone after a while: the destination, its room, its speed, the database's lock."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Final

from tests.crash.soak.book import Book
from tests.crash.soak.scene import ORDINARY_LIMIT_MIB_S, Scene

from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.transfer.destination.marker import MARKER

LIMITS_MIB_S: Final = (0.5, 4, 20, None)


class Faults:
    """A thread that makes trouble until it is told to stop; then everything is as it was."""

    def __init__(self, scene: Scene, book: Book, chance: random.Random, stop: threading.Event) -> None:
        self._scene, self._book, self._chance, self._stop = scene, book, chance, stop
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._idle = threading.Event()
        self._kinds: dict[str, Callable[[], None]] = {
            "destination away": self.take_away,
            "destination an empty folder": self.leave_empty_folder,
            "marker missing": self.hide_marker,
            "bandwidth limit changed": self.change_limit,
            "write lock held": self.hold_lock,
            "backup while running": self.back_up,
        }
        if scene.has_small:
            self._kinds["destination full"] = self.fill_up
        self.thread = threading.Thread(target=self._work, name="faults")

    def _work(self) -> None:
        while not self._stop.wait(self._chance.uniform(0.2, 2.5)):
            if not self.may_go_on.is_set():
                self._idle.set()
                continue
            self._idle.clear()
            kind = self._chance.choice(list(self._kinds))
            self._book.count(f"fault: {kind}")
            self._book.note(f"fault: {kind}")
            try:
                self._kinds[kind]()
            except Exception as error:  # boundary: a fault that fails must not end all others
                self._book.violated(f"{kind} met {type(error).__name__}: {error}")
            self._book.note(f"fault over: {kind}")
        self._idle.set()

    def pause(self) -> None:
        """Return when everything is as it was."""
        self._idle.clear()
        self.may_go_on.clear()
        self._idle.wait(20)  # time: a fault that lasts longer is met, too

    def _last(self, least: float, most: float) -> None:
        self._stop.wait(self._chance.uniform(least, most))

    def take_away(self) -> None:
        away = self._scene.home / "away"
        with self._scene.place_of_nas:
            self._scene.nas.rename(away)
        self._last(0.3, 3)
        with self._scene.place_of_nas:
            away.rename(self._scene.nas)

    def leave_empty_folder(self) -> None:
        """Leave what an unmounted share leaves behind; nothing may be written there."""
        away, nas = self._scene.home / "away", self._scene.nas
        with self._scene.place_of_nas:
            nas.rename(away)
            nas.mkdir()
        self._last(0.3, 3)
        with self._scene.place_of_nas:
            found = sorted(str(path.relative_to(nas)) for path in nas.rglob("*"))
            if found:
                self._book.violated(f"written into the empty mount point: {found}")
            shutil.rmtree(nas)
            away.rename(nas)

    def hide_marker(self) -> None:
        marker = self._scene.nas / MARKER
        hidden = marker.with_name("marker-hidden")
        marker.rename(hidden)
        self._last(0.3, 3)
        hidden.rename(marker)

    def fill_up(self) -> None:
        ballast = self._scene.small / "ballast"
        with ballast.open("wb", buffering=0) as file:
            block = bytes(1 << 20)
            while block:
                try:
                    file.write(block)
                except OSError:
                    block = block[: len(block) // 2]
        self._last(0.5, 3)
        ballast.unlink()

    def change_limit(self) -> None:
        self._scene.set_limit(self._chance.choice(LIMITS_MIB_S))
        self._last(1, 4)
        self._scene.set_limit(ORDINARY_LIMIT_MIB_S)

    def hold_lock(self) -> None:
        with closing(driver.connect(self._scene.database, timeout=10.0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except driver.OperationalError:
                return
            self._last(0.5, 4)
            connection.execute("ROLLBACK")

    def back_up(self) -> None:
        done = self._scene.call("db", "backup", "--json")
        if done.returncode:
            self._book.violated(f"the backup failed: {done.stderr.strip()}")
