"""The icon's pictures, drawn: one shape and one colour for each condition, on a grid of 16 so that edges stay sharp.

Colours are dark enough for the white sign in them and light enough for a dark panel; who cannot tell colours apart has
the shapes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

from exlab_wizard.domain.headline import Condition

SIZES: Final = (16, 22, 24, 32, 48, 64)
"""Of the icons in panels, in pixels; drawn for each."""
LARGEST: Final = 64
GRID: Final = 16
OVERSAMPLED: Final = 8
"""Finer than a pixel, for the edges that are not straight."""

COLOURS: Final = {
    Condition.IDLE: (24, 128, 88),
    Condition.BUSY: (30, 110, 214),
    Condition.PAUSED: (98, 110, 124),
    Condition.ATTENTION: (200, 84, 10),
    Condition.QUITTING: (134, 82, 196),
}
_SIGN: Final = (255, 255, 255, 255)


class _Pen:
    """Draws in units of the grid."""

    def __init__(self, size: int) -> None:
        self._unit = size * OVERSAMPLED / GRID
        side = size * OVERSAMPLED
        self.image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)

    def plate(self, radius: float, colour: tuple[int, int, int]) -> None:
        box = (0, 0, self.image.width - 1, self.image.height - 1)
        self._draw.rounded_rectangle(box, radius * self._unit, fill=colour)

    def triangle(self, colour: tuple[int, int, int]) -> None:
        # Rounded corners: three discs, and the lines between them.
        corners = [(8.0, 1.8), (14.2, 14.2), (1.8, 14.2)]
        self.shape(corners, colour)
        for begin, end in zip(corners, [*corners[1:], corners[0]], strict=True):
            self.line([begin, end], 3.4, colour)

    def shape(self, points: list[tuple[float, float]], colour: tuple[int, ...] = _SIGN) -> None:
        self._draw.polygon([self._at(point) for point in points], fill=colour)

    def box(self, left: float, top: float, right: float, bottom: float) -> None:
        self._draw.rectangle((*self._at((left, top)), *(edge - 1 for edge in self._at((right, bottom)))), fill=_SIGN)

    def line(self, points: list[tuple[float, float]], width: float, colour: tuple[int, ...] = _SIGN) -> None:
        self._draw.line([self._at(point) for point in points], fill=colour, width=round(width * self._unit))
        for point in points:
            self.dot(point, width / 2, colour)

    def dot(self, point: tuple[float, float], radius: float, colour: tuple[int, ...] = _SIGN) -> None:
        x, y = self._at(point)
        reach = radius * self._unit
        self._draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)

    def arc(self, begin: float, end: float, width: float) -> None:
        box = (*self._at((3.4, 3.4)), *self._at((12.6, 12.6)))
        self._draw.arc(box, begin, end, fill=_SIGN, width=round(width * self._unit))

    def _at(self, point: tuple[float, float]) -> tuple[float, float]:
        return point[0] * self._unit, point[1] * self._unit


def picture(condition: Condition, size: int) -> Image.Image:
    """Return the picture of `condition`, `size` pixels wide and high, with transparent corners."""
    pen = _Pen(size)
    if condition is Condition.ATTENTION:
        pen.triangle(COLOURS[condition])
    else:
        pen.plate(8 if condition in (Condition.QUITTING, Condition.PAUSED) else 4, COLOURS[condition])
    _draw_sign(pen, condition)
    return pen.image.resize((size, size), Image.Resampling.BOX)


def _draw_sign(pen: _Pen, condition: Condition) -> None:
    match condition:
        case Condition.IDLE:  # a tick
            pen.line([(4.0, 8.4), (7.0, 11.4), (12.0, 5.0)], 2.0)
        case Condition.BUSY:  # an arrow upwards
            pen.box(7, 6, 9, 13)
            pen.shape([(8, 2.2), (12.6, 7.6), (3.4, 7.6)])
        case Condition.PAUSED:  # two bars
            pen.box(5, 4, 7, 12)
            pen.box(9, 4, 11, 12)
        case Condition.ATTENTION:  # an exclamation mark
            pen.box(7, 5, 9, 10)
            pen.box(7, 11, 9, 13)
        case Condition.QUITTING:  # a power switch
            pen.arc(-52, 232, 1.8)
            pen.box(7, 3, 9, 8)


def write_pictures(folder: Path) -> dict[Condition, Path]:
    """Write the picture of each condition below `folder`, under names that never change, and return where.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    files = {condition: folder / f"exlab-wizard-{condition}.png" for condition in Condition}
    for condition, file in files.items():
        picture(condition, LARGEST).save(file, "PNG")
    return files
