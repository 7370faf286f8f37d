"""The application in this process, for each account: what is refused, and what no handler foresaw, in the one form."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from tests.integration.api.api import PREFIX, code_of, error_of
from tests.integration.api.bench import backend_of
from tests.support.bench import Bench

from exlab_wizard.process.peers import UNKNOWN
from exlab_wizard.server.api import drain
from exlab_wizard.server.asgi import HttpApplication


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def answer_of(
    bench: Bench, folder: Path, path: str, *, stranger: int | None = None, token: bool = True
) -> httpx.Response:
    """Send one request over a connection of that account."""
    application = HttpApplication(backend_of(bench, folder), port=80, token="token", page_secret="00")  # noqa: S106 - of nobody

    async def connected(scope: Scope, receive: Receive, send: Send) -> None:
        await application({**scope, "state": {"stranger": stranger}}, receive, send)

    async def ask() -> httpx.Response:
        headers = {"Host": "127.0.0.1:80", **({"Authorization": "Bearer token"} if token else {})}
        transport = httpx.ASGITransport(connected)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:80") as client:
            answer = await client.get(f"{PREFIX}{path}", headers=headers)
        application.close()
        return answer

    return asyncio.run(ask())


def test_another_account_gets_health_without_a_token_and_nothing_else(bench: Bench, tmp_path: Path) -> None:
    for stranger in (4711, UNKNOWN):
        assert code_of(answer_of(bench, tmp_path, "/drain", stranger=stranger)) == (403, "other_account")
        assert code_of(answer_of(bench, tmp_path, "/health", stranger=stranger)) == (403, "other_account")
        assert code_of(answer_of(bench, tmp_path, "/drain", stranger=stranger, token=False)) == (403, "other_account")
        assert answer_of(bench, tmp_path, "/health", stranger=stranger, token=False).status_code == 200
    assert answer_of(bench, tmp_path, "/drain").status_code == 200


def test_an_unexpected_error_gets_the_envelope_and_the_log_its_trace(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ArithmeticError("not for clients")

    monkeypatch.setattr(drain, "drain_view", broken)
    with caplog.at_level(logging.ERROR):
        answer = answer_of(bench, tmp_path, "/drain")
    assert code_of(answer) == (500, "internal")
    assert "not for clients" not in answer.text
    assert f"500, trace {error_of(answer)['trace_id']}" in caplog.text
    assert "ArithmeticError: not for clients" in caplog.text
