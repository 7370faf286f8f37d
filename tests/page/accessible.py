"""What axe-core has to say about a page, one line for each thing, and whether the page fits its window."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}


def violations(page: Page) -> list[str]:
    """Return what violates WCAG 2.2 AA or good practice, with where."""
    found = Axe().run(page, options=_RULES).response["violations"]
    return [f"{one['id']}: {node['target']}: {node['failureSummary']}" for one in found for node in one["nodes"]]


def overflow(page: Page, width: int) -> list[str]:
    """Return what sticks out of a window of that width to the right."""
    page.set_viewport_size({"width": width, "height": 800})
    sticking: list[str] = page.evaluate(
        "() => document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll('main *')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML.slice(0, 120))"
    )
    return sticking
