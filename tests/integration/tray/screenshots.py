"""Makes the pictures of the icon: each condition at each size on light and dark panels, and its menu in a real panel.

python -m tests.integration.tray.screenshots, as `make screenshots` does.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont
from tests.integration.tray.xfce import xfce_panel
from tests.support.desktop import OnDesktop
from tests.support.program import ROOT, until
from tests.support.screen import screen
from tests.support.slow_copy import copying_slowly

from exlab_wizard.domain.headline import Condition
from exlab_wizard.tray.icon.pictures import SIZES, picture

PICTURES: Final = ROOT / "docs" / "pictures"
_PANELS: Final = ((245, 245, 245), (36, 38, 42))
_ROW, _GAP, _MARGIN, _NAME = 80, 24, 24, 110
_COLOURS: Final = 64
_AROUND: Final = 12


def sheet() -> Image.Image:
    """Return every condition, one in each row, at every size: on a light panel, and beside it on a dark one."""
    half = _MARGIN + _NAME + sum(size + _GAP for size in SIZES)
    whole = Image.new("RGB", (2 * half, _ROW * len(Condition) + _MARGIN))
    draw, letters = ImageDraw.Draw(whole), ImageFont.load_default(16)
    for column, panel in enumerate(_PANELS):
        draw.rectangle((column * half, 0, (column + 1) * half, whole.height), fill=panel)
        for row, condition in enumerate(Condition):
            middle = _MARGIN // 2 + row * _ROW + _ROW // 2
            ink = _PANELS[1 - column]
            draw.text((column * half + _MARGIN, middle), condition.value, font=letters, fill=ink, anchor="lm")
            at = column * half + _MARGIN + _NAME
            for size in SIZES:
                drawn = picture(condition, size)
                whole.paste(drawn, (at, middle - size // 2), drawn)
                at += size + _GAP
    return whole


def menu(home: Path, *, dark: bool) -> Image.Image:
    """Return the menu of an application that copies a run, as its panel shows it."""
    with screen(home) as monitor, xfce_panel(home, monitor, dark=dark, size=32) as xfce, OnDesktop(home) as program:
        program.environment |= xfce.environ | {"PYTHONPATH": program.environment["PYTHONPATH"]}
        copying_slowly(program)
        until(lambda: program.number("SELECT bytes_done FROM sync_jobs") > 20 << 20, what="the copy to have come far")
        _, _, right, bottom = xfce.open_menu(Condition.BUSY)
        return xfce.seen().crop((0, 0, right + _AROUND, bottom + _AROUND))


def keep(name: str, image: Image.Image) -> None:
    """Write it small."""
    file = PICTURES / f"{name}.png"
    image.quantize(_COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes")  # noqa: T201 - what the command tells


def main() -> None:
    """Make them all."""
    PICTURES.mkdir(exist_ok=True)
    keep("icon", sheet())
    with tempfile.TemporaryDirectory() as home:
        for theme in ("light", "dark"):
            folder = Path(home, theme)
            folder.mkdir()
            keep(f"menu-{theme}", menu(folder, dark=theme == "dark"))


if __name__ == "__main__":
    main()
