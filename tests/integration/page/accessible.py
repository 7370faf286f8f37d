"""What axe-core has to say about a page, one line for each thing, and whether the page fits its window."""

from __future__ import annotations

from typing import Final

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_Rules = dict[str, dict[str, str | list[str]]]
NARROW: Final = 360
_TAGS: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_ALL: _Rules = {"runOnly": {"type": "tag", "values": _TAGS}}
# Nothing else looks at colours, and nothing but colours differs between the themes.
_COLOURS: _Rules = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}


def faults_of(page: Page) -> list[str]:
    """Return what violates WCAG 2.2 AA or good practice, light and dark, and what sticks out of a narrow window."""
    size = page.viewport_size
    assert size is not None
    found = [f"light: {one}" for one in _violations(page, _ALL)]
    page.emulate_media(color_scheme="dark")
    found += [f"dark: {one}" for one in _violations(page, _COLOURS)]
    page.emulate_media(color_scheme="light")
    found += [f"{NARROW} px: {one}" for one in overflow(page, NARROW)]
    page.set_viewport_size(size)
    return found


def _violations(page: Page, rules: _Rules) -> list[str]:
    found = Axe().run(page, options=rules).response["violations"]
    return [f"{one['id']}: {node['target']}: {node['failureSummary']}" for one in found for node in one["nodes"]]


def overflow(page: Page, width: int) -> list[str]:
    """Return what sticks out of a window of that width to the right."""
    page.set_viewport_size({"width": width, "height": 800})
    sticking: list[str] = page.evaluate(
        "() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('body *')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML.slice(0, 120))"
    )
    return sticking
