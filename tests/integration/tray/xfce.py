"""A real panel, Xfce's, on a display with a window manager; icons in it are found by their colour, and clicked."""

from __future__ import annotations

import contextlib
import io
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageChops
from tests.support.desktop import session_bus
from tests.support.program import PATIENCE_SECONDS, until
from tests.support.screen import Screen

from exlab_wizard.domain.headline import Condition
from exlab_wizard.tray.icon.pictures import COLOURS

_CONFIGURATION: Final = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="dark-mode" type="bool" value="{dark}"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=6;x=0;y=0"/>
      <property name="length" type="uint" value="100"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="size" type="uint" value="{size}"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray">
      <property name="square-icons" type="bool" value="true"/>
    </property>
  </property>
</channel>
"""
_UNLIKE: Final = 24
"""From which difference of a colour on, of 255, two pixels are not the same."""


@dataclass(frozen=True)
class Xfce:
    """The panel as its user has it."""

    environ: dict[str, str]
    """For programs that run on this desktop."""

    def seen(self) -> Image.Image:
        """Return the whole screen."""
        shot = subprocess.run(["import", "-window", "root", "png:-"], env=self.environ, capture_output=True, check=True)
        return Image.open(io.BytesIO(shot.stdout)).convert("RGB")

    def icon(self, condition: Condition) -> tuple[int, int] | None:
        """Return the middle of the icon that shows `condition`; None while there is none."""
        red, green, blue = (
            channel.point([255 * (abs(level - wanted) < _UNLIKE) for level in range(256)])
            for channel, wanted in zip(self.seen().split(), COLOURS[condition], strict=True)
        )
        box = ImageChops.multiply(ImageChops.multiply(red, green), blue).getbbox()
        return None if box is None else ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)

    def open_menu(self, condition: Condition) -> tuple[int, int, int, int]:
        """Click on the icon, and return the box of the menu that opens below it."""
        at = until(lambda: self.icon(condition), what=f"the icon to be {condition}")
        self.point(5, 5)
        before = self.seen()
        self.click(*at)

        def opened() -> tuple[int, int, int, int] | None:
            box = ImageChops.difference(before, self.seen()).getbbox()
            return box if box is not None and box[3] - box[1] > 3 * at[1] else None

        return until(opened, what="the menu to open")

    def click(self, x: int, y: int) -> None:
        self.point(x, y)
        subprocess.run(["xdotool", "click", "1"], env=self.environ, check=True)

    def point(self, x: int, y: int) -> None:
        subprocess.run(["xdotool", "mousemove", "--sync", str(x), str(y)], env=self.environ, check=True)


@contextlib.contextmanager
def xfce_panel(home: Path, screen: Screen, *, dark: bool = True, size: int = 28) -> Iterator[Xfce]:
    """Yield a panel at the top of `screen` that holds nothing but icons."""
    settings = home / "config" / "xfce4" / "xfconf" / "xfce-perchannel-xml"
    settings.mkdir(parents=True)
    words = _CONFIGURATION.format(dark=str(dark).lower(), size=size)
    (settings / "xfce4-panel.xml").write_text(words, "utf-8")
    with session_bus(home, "<standard_session_servicedirs/>") as bus:
        # What the bus starts has its own environment: it needs to know where the settings are.
        environ = {
            **screen.environ,
            "DBUS_SESSION_BUS_ADDRESS": bus.address,
            "XDG_CONFIG_HOME": str(home / "config"),
            "NO_AT_BRIDGE": "1",
            "GDK_BACKEND": "x11",
        }
        subprocess.run(
            ["dbus-update-activation-environment", "XDG_CONFIG_HOME", "DISPLAY", "NO_AT_BRIDGE"],
            env=environ,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        panel = subprocess.Popen(
            ["xfce4-panel", "--disable-wm-check"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            yield Xfce(environ)
        finally:
            panel.terminate()
            panel.wait(PATIENCE_SECONDS)
