"""The icon's pictures: told apart by shape as well as by colour, on any panel, at any size."""

from __future__ import annotations

import itertools
import stat
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from exlab_wizard.domain.headline import Condition
from exlab_wizard.tray.icon.pictures import COLOURS, LARGEST, SIZES, picture, write_pictures

PANELS = {"light": (245, 245, 245), "dark": (36, 38, 42)}
WHITE = (255, 255, 255)


def luminance(colour: tuple[int, int, int]) -> float:
    """Relative luminance, as web accessibility defines it."""
    linear = [level / 3294.6 if level <= 10 else ((level / 255 + 0.055) / 1.055) ** 2.4 for level in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("condition", Condition)
def test_each_stands_out_on_light_and_dark_panels_and_its_sign_in_it(condition: Condition) -> None:
    colour = COLOURS[condition]
    assert contrast(colour, WHITE) >= 3.5
    assert contrast(colour, PANELS["light"]) >= 3
    assert contrast(colour, PANELS["dark"]) >= 2.5


@pytest.mark.parametrize("size", SIZES)
def test_each_has_a_shape_of_its_own_for_those_who_see_no_colours(size: int) -> None:
    def grey(condition: Condition) -> Image.Image:
        alone = picture(condition, size)
        white = Image.new("RGBA", alone.size, WHITE)
        # One grey for all plates: what differs then is form.
        sign = alone.convert("L").point([255 * (level > 190) for level in range(256)])
        return Image.composite(sign, white.convert("L"), alone.getchannel("A"))

    for one, other in itertools.combinations(Condition, 2):
        difference = ImageStat.Stat(ImageChops.difference(grey(one), grey(other))).mean[0] / 255
        assert difference > 0.1, (one, other)


@pytest.mark.parametrize("size", [16, 32, 48, 64])
@pytest.mark.parametrize("condition", [Condition.PAUSED, Condition.ATTENTION])
def test_straight_edges_lie_between_pixels(condition: Condition, size: int) -> None:
    """A bar drawn across half a pixel would be grey, which is what looks blurred."""
    row = picture(condition, size).crop((size // 4, size // 2, 3 * size // 4, size // 2 + 1)).convert("RGB")
    assert {row.getpixel((x, 0)) for x in range(row.width)} == {WHITE, COLOURS[condition]}


@pytest.mark.parametrize("size", SIZES)
def test_each_fills_its_place_and_leaves_the_corners_to_the_panel(size: int) -> None:
    for condition in Condition:
        drawn = picture(condition, size)
        assert drawn.size == (size, size)
        assert drawn.getpixel((0, 0)) != (*COLOURS[condition], 255)
        left, top, right, bottom = drawn.getchannel("A").getbbox() or (0, 0, 0, 0)
        assert min(right - left, bottom - top) >= size - 1


def test_the_files_are_for_their_owner_and_are_always_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    files = write_pictures(folder)
    assert write_pictures(folder) == files
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(folder.iterdir()) == sorted(files.values())
    for file in files.values():
        with Image.open(file) as image:
            assert image.size == (LARGEST, LARGEST)
