"""Pictures of the program's notifications, on the daemons of Xfce and dunst; run as a module."""

from __future__ import annotations

import io
import signal
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from PIL import Image
from tests.integration.notifications.desktops import dunst, xfce
from tests.support.desktop import OnDesktop, display, session_bus
from tests.support.program import MIB, until, write_run

_PICTURES: Final = Path(__file__).resolve().parents[3] / "docs" / "pictures"


class _Stage:
    """A display with one daemon, and the program on it."""

    def __init__(self, home: Path, screen: str, bus: str) -> None:
        home.mkdir(parents=True)
        self.program = OnDesktop(home)
        self.program.environment |= {"DISPLAY": screen, "DBUS_SESSION_BUS_ADDRESS": bus}
        self._screen = screen

    def run_is_copied(self, name: str) -> None:
        job = self.program.enqueue(write_run(self.program.home / name, {"detector.raw": 200 * MIB}))
        until(lambda: self.program.number("SELECT bytes_done FROM sync_jobs WHERE id = ?", job) > 0)

    def snap(self, path: Path) -> None:
        """Take the picture when something is there and has stopped changing, without the empty part of the desktop."""

        def still() -> Image.Image | None:
            one, two = self._shot(), self._shot()
            return two.crop(two.getbbox()) if two.getbbox() and one.tobytes() == two.tobytes() else None

        until(still).quantize(128).save(path, optimize=True)

    def _shot(self) -> Image.Image:
        command = ["import", "-display", self._screen, "-window", "root", "png:-"]
        done = subprocess.run(command, capture_output=True, check=True)
        return Image.open(io.BytesIO(done.stdout)).convert("RGB")


def make(home: Path, folder: Path) -> None:
    """Write `notification-question-*.png` and `notifications.png` into `folder`."""
    for name, daemon in (("xfce", xfce), ("dunst", dunst)):
        with ExitStack() as stack:
            screen = stack.enter_context(display(760, 320))
            bus = stack.enter_context(session_bus(home))
            stack.enter_context(daemon(home / f"{name}-daemon", screen, bus.address))
            stage = _Stage(home / name, screen, bus.address)
            stack.enter_context(stage.program)
            _question(stage, folder / f"notification-question-{name}.png")
            if name == "xfce":
                _told(stage, folder / "notifications.png")


def _question(stage: _Stage, path: Path) -> None:
    program = stage.program
    program.configure(bandwidth_mib_s=8.0, window_s=4.0)
    program.start()
    stage.run_is_copied("2026-11-24 beam 17")
    program.process.send_signal(signal.SIGINT)
    program.says("notification: 1 operation")
    stage.snap(path)
    program.api("POST", "/quit/answer", {"answer": "keep_running"})
    program.says("called off")


def _told(stage: _Stage, path: Path) -> None:
    program = stage.program
    program.kill()
    program.start()
    program.enqueue(program.home / "2026-11-24 beam 18")
    program.says("notification: 1 run was not synced")
    stage.snap(path)


if __name__ == "__main__":
    _PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="exlab-") as folder:
        make(Path(folder), _PICTURES)
