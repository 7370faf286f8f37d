"""What all pages share: who sees them, under which rules, and how they say that something is wrong."""

from __future__ import annotations

import re
from typing import Literal

import httpx
import pytest
from tests.integration.api.api import Api, code_of
from tests.integration.page.conftest import Visit
from tests.integration.page.visitor import expect
from tests.support.program import Program

pytestmark = pytest.mark.slow
FORM = "application/x-www-form-urlencoded"
NAVIGATES = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}


def test_the_first_page_loads_and_keeps_to_its_policy(program: Program, visit: Visit) -> None:
    program.start()
    visitor = visit(program)
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text("All done")
    expect(visitor.page.locator("html[data-script=on]")).to_be_attached()
    answer = visitor.page.request.get(visitor.base)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")
    assert answer.headers["cache-control"] == "no-store"
    with Api.of(program) as api:
        page = api.http.get("/")
        assert "style=" not in page.text
        assert "<script>" not in page.text
        style = api.http.get(page.text.partition('rel="stylesheet" href="')[2].partition('"')[0])
        assert style.headers["content-type"] == "text/css; charset=utf-8"
        assert "immutable" in style.headers["cache-control"]
        assert api.http.get("/static/page.css?v=other").headers["cache-control"] == "no-store"
        assert api.http.get("/static/../routes.py").status_code == 404


@pytest.mark.parametrize(
    ("theme", "button", "ground"),
    [("light", "Dark", "rgb(16, 22, 29)"), ("dark", "Light", "rgb(243, 245, 248)")],
)
def test_colours_need_no_new_browser_and_follow_system_and_choice(
    program: Program, visit: Visit, theme: Literal["light", "dark"], button: str, ground: str
) -> None:
    program.start()
    page = visit(program, theme=theme).page
    body = page.locator("body")
    other = {"light": "rgb(243, 245, 248)", "dark": "rgb(16, 22, 29)"}[theme]
    expect(body).to_have_css("background-color", other)
    page.get_by_role("button", name=button).click()
    expect(body).to_have_css("background-color", ground)
    with Api.of(program) as api:
        # Browsers from before 2024 drop a colour in light-dark(), and instruments keep such browsers.
        assert not re.search(r"light-dark\([^)]", api.http.get("/static/page.css").text)


def test_who_is_not_logged_in_learns_how_to_open_the_window(program: Program) -> None:
    program.start()
    with httpx.Client(base_url=f"http://127.0.0.1:{program.port()}") as stranger:
        page = stranger.get("/", headers=NAVIGATES)
        assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert "exlab-wizard open" in page.text
        assert stranger.get("/static/page.css").status_code == 200
        assert code_of(stranger.get("/", headers={"Accept": "application/json"})) == (401, "unauthorized")
        assert code_of(stranger.get("/api/v1/status", headers=NAVIGATES)) == (401, "unauthorized")


def test_the_cookie_of_a_launch_that_is_over_keeps_nobody_from_logging_in(program: Program) -> None:
    program.start()
    with Api.of(program) as api, httpx.Client(base_url=f"http://127.0.0.1:{program.port()}") as browser:
        browser.cookies.set("exlab_wizard", "of-another-launch", domain="127.0.0.1")
        assert browser.get("/", headers=NAVIGATES).status_code == 401
        assert browser.get(api.post("/login").json()["path"], headers=NAVIGATES).status_code == 303


def test_what_goes_wrong_is_a_page_for_people_and_the_envelope_for_programs(program: Program) -> None:
    program.start()
    with Api.of(program) as api:
        missing = api.http.get("/nothing-here", headers=NAVIGATES)
        assert (missing.status_code, missing.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "There is no such page" in missing.text
        assert code_of(api.http.get("/nothing-here")) == (404, "not_found")
        form = api.http.post("/quit/answer", data={"answer": "wait"}, headers=NAVIGATES)
        assert form.status_code == 409
        assert code_of(api.http.post("/quit/answer", data={"answer": "perhaps"})) == (422, "invalid")
        assert code_of(api.http.post("/pause", content=b"a=%ff", headers={"Content-Type": FORM})) == (
            400,
            "bad_request",
        )
        assert "No quit is waiting for an answer." in form.text
        assert code_of(api.http.post("/quit/answer", content=b"{", headers={"Content-Type": "text/plain"})) == (
            400,
            "bad_request",
        )
