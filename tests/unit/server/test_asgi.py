"""The application in this process: what no handler foresaw still gets the one form of an error."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from tests.integration.api.api import PREFIX, code_of, error_of
from tests.integration.api.bench import backend_of
from tests.support.bench import Bench

from exlab_wizard.server.api import drain
from exlab_wizard.server.asgi import HttpApplication


def test_an_unexpected_error_gets_the_envelope_and_the_log_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ArithmeticError("not for clients")

    monkeypatch.setattr(drain, "drain_view", broken)
    bench = Bench(tmp_path)
    application = HttpApplication(backend_of(bench, tmp_path), port=80, token="token", page_secret="00")  # noqa: S106 - of nobody

    async def ours(scope: Scope, receive: Receive, send: Send) -> None:
        await application({**scope, "state": {"stranger": None}}, receive, send)

    async def ask() -> httpx.Response:
        headers = {"Authorization": "Bearer token", "Host": "127.0.0.1:80"}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(ours), base_url="http://127.0.0.1:80") as client:
            answer = await client.get(f"{PREFIX}/drain", headers=headers)
        application.close()
        return answer

    with caplog.at_level(logging.ERROR):
        answer = asyncio.run(ask())
    bench.close()
    assert code_of(answer) == (500, "internal")
    assert "not for clients" not in answer.text
    assert f"500, trace {error_of(answer)['trace_id']}" in caplog.text
    assert "ArithmeticError: not for clients" in caplog.text
