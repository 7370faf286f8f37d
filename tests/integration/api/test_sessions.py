"""Sessions over a clock that is moved by hand: what a client hears after its machine has slept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import Response
from tests.integration.api.bench import backend_of
from tests.support.bench import Bench

from exlab_wizard.domain.codec import decode
from exlab_wizard.domain.views import Lease, SessionKind
from exlab_wizard.server.api.models import OpenSession
from exlab_wizard.server.api.sessions import SessionRoutes
from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.thread_pools import ThreadPools


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench with nothing running: no watchdog judges the leases."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()


@pytest.fixture
def routes(bench: Bench, tmp_path: Path) -> Iterator[SessionRoutes]:
    """The routes over it."""
    backend, pools = backend_of(bench, tmp_path), ThreadPools(bench.database)
    yield SessionRoutes(backend, pools)
    pools.close()


def opened(routes: SessionRoutes) -> str:
    body = OpenSession(kind=SessionKind.RUN, label="acquisition", ttl_s=60)
    return lease_in(asyncio.run(routes.open(body))).id


def lease_in(answer: Response) -> Lease:
    return decode(Lease, json.loads(bytes(answer.body)))


def test_a_heartbeat_before_the_watchdog_has_judged_a_sleep_is_told_to_ask_again(
    bench: Bench, routes: SessionRoutes
) -> None:
    session = opened(routes)
    bench.clock.pass_time(600)
    with pytest.raises(ApiError) as refused:
        asyncio.run(routes.heartbeat(session))
    assert (refused.value.status_code, refused.value.code) == (503, Code.BUSY)
    # The watchdog saw that the machine slept, and moved the leases along.
    bench.clock.pass_time(-600)
    assert lease_in(asyncio.run(routes.heartbeat(session))).state == "active"


def test_a_heartbeat_after_the_watchdog_ended_the_session_says_what_to_do(bench: Bench, routes: SessionRoutes) -> None:
    session = opened(routes)
    bench.clock.pass_time(61)
    assert bench.store.sessions.expire(bench.clock.now()) == 1
    with pytest.raises(ApiError, match=r"no heartbeat arrived for 1 min\. Its work is not lost") as refused:
        asyncio.run(routes.heartbeat(session))
    assert refused.value.code is Code.SESSION_EXPIRED
