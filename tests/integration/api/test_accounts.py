"""A token, a cookie and a login link are worth nothing to another account of the machine, whatever it tries."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from tests.integration.api.api import PREFIX, Api
from tests.support.accounts import NOBODY, Stranger, needs_root, stranger_at
from tests.support.program import Program

pytestmark = [needs_root, pytest.mark.slow]

TRIES = 14


@pytest.fixture
def stranger(api: Api) -> Iterator[Stranger]:
    with stranger_at(api.address.port) as stranger:
        yield stranger


def port_that_we_used(api: Api) -> int:
    """Open and end a connection; the kernel keeps its row for a minute, and says that it belongs to uid 0."""
    with socket.create_connection(("127.0.0.1", api.address.port)) as ours:
        port: int = ours.getsockname()[1]
    return port


def test_a_login_link_is_not_redeemed_by_another_account_in_any_of_its_tries(
    program: Program, api: Api, stranger: Stranger
) -> None:
    link = api.post("/login").json()["path"]
    for number in range(TRIES):
        assert api.get("/drain").status_code == 200
        source = ("127.0.0.2", port_that_we_used(api)) if number % 2 else ("127.0.0.1", 0)
        status, answer = stranger.ask(link, source=source)
        assert (status, "set-cookie" in answer.lower()) == (403, False), answer
    assert f"to uid {NOBODY}" in program.log()
    with httpx.Client(base_url=api.http.base_url) as browser:
        assert browser.get(link).status_code == 303
        assert browser.get("/").status_code == 200


def test_a_stolen_cookie_and_a_stolen_token_open_nothing(program: Program, api: Api, stranger: Stranger) -> None:
    with httpx.Client(base_url=api.http.base_url) as browser:
        browser.get(api.post("/login").json()["path"])
        cookie = f"Cookie: exlab_wizard={browser.cookies['exlab_wizard']}"
        token = f"Authorization: Bearer {api.address.token}"
        for stolen in (cookie, token):
            for path in ("/", "/static/page.css", "/admin/", f"{PREFIX}/jobs", f"{PREFIX}/health"):
                status, answer = stranger.ask(path, stolen)
                assert (status, '"code": "other_account"' in answer) == (403, True), (path, answer)
            assert stranger.ask(f"{PREFIX}/quit", stolen, method="POST")[0] == 403
        for path in ("/", "/static/page.css", f"{PREFIX}/jobs", "/reconnect"):
            assert stranger.ask(path)[0] == 403
        # The owner's own.
        assert browser.get(f"{PREFIX}/jobs").status_code == api.get("/jobs").status_code == 200
    assert stranger.ask(f"{PREFIX}/health")[0] == 200
    assert api.address.token not in program.log()
    assert program.number("SELECT count(*) FROM quit_requests") == 0


def test_a_request_of_another_account_that_does_not_wait_for_the_answer_does_nothing(
    program: Program, api: Api, stranger: Stranger
) -> None:
    stolen = f"Authorization: Bearer {api.address.token}"
    for _ in range(TRIES):
        stranger.ask(f"{PREFIX}/quit", stolen, method="POST", leaves=True)
    assert api.get("/drain").json()["phase"] == "running"
    assert program.number("SELECT count(*) FROM quit_requests") == 0


def test_accounts_that_the_settings_name_may_use_the_token(program: Program) -> None:
    program.configure(more=f"[server]\nuids = [{NOBODY}]\n")
    program.start()
    with Api.of(program) as api, stranger_at(api.address.port) as stranger:
        assert stranger.ask(f"{PREFIX}/metrics", f"Authorization: Bearer {api.address.token}")[0] == 200
        assert stranger.ask(f"{PREFIX}/metrics")[0] == 401
