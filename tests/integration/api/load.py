"""Many clients at once, each on a connection of its own: reads, heartbeats and enqueues, as acquisition software does.

Written on bare streams: on two cores a comfortable client would be what is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.integration.api.api import PREFIX, Body

from exlab_wizard.process.server_json import ServerAddress

THINK_SECONDS: Final = 0.5
_BEGINNING_SECONDS: Final = 2.0


@dataclass
class Report:
    """What the clients saw; times in seconds."""

    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    queued: dict[int, str] = field(default_factory=dict)
    broken: int = 0

    def percentile(self, share: float) -> float:
        """Return the time that this share of the requests did not exceed."""
        return sorted(self.times)[min(len(self.times) - 1, int(share * len(self.times)))]

    def line(self) -> str:
        """Return the figures in one line."""
        shares = ", ".join(f"p{share * 100:g} {self.percentile(share) * 1000:.0f} ms" for share in (0.5, 0.95, 0.99))
        return f"{len(self.times)} requests, {dict(self.statuses)}, {len(self.queued)} enqueued, {shares}"


class Client:
    """One client and its session."""

    def __init__(self, number: int, address: ServerAddress, runs: Path, report: Report) -> None:
        self._number, self._address, self._runs, self._report = number, address, runs, report
        self._random = random.Random(number)  # noqa: S311 - a mix that is the same each time, no secret
        self._session = ""
        self._made = 0

    async def work(self, until: float) -> None:
        """Send requests until the given monotonic time, or until the server is gone."""
        await asyncio.sleep(self._random.uniform(0, _BEGINNING_SECONDS))
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._address.port)
        try:
            opened = await self._send("POST", "/sessions", {"kind": "run", "label": f"client {self._number}"})
            self._session = str(opened["id"])
            while time.monotonic() < until:
                await self._act()
                await asyncio.sleep(self._random.uniform(0, 2 * THINK_SECONDS))
        except (OSError, asyncio.IncompleteReadError):
            self._report.broken += 1
        finally:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _act(self) -> None:
        match self._random.randrange(10):
            case 0 | 1:
                self._made += 1
                run = self._runs / f"{self._number}-{self._made}"
                run.mkdir()
                queued = await self._send("POST", "/jobs", {"run_path": str(run), "destination": "away"})
                self._report.queued[int(str(queued["id"]))] = str(run)
            case 2 | 3 | 4:
                await self._send("POST", f"/sessions/{self._session}/heartbeat")
            case 5 | 6:
                await self._send("GET", "/jobs?limit=20")
            case 7:
                await self._send("GET", f"/sessions/{self._session}")
            case _:
                await self._send("GET", "/drain")

    async def _send(self, method: str, path: str, body: Body | None = None) -> dict[str, object]:
        sent = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {PREFIX}{path} HTTP/1.1\r\nHost: 127.0.0.1:{self._address.port}\r\n"
            f"Authorization: Bearer {self._address.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(sent)}\r\n\r\n"
        )
        began = time.monotonic()
        self._writer.write(head.encode() + sent)
        status, answer = await self._received()
        self._report.times.append(time.monotonic() - began)
        self._report.statuses[status] += 1
        return answer

    async def _received(self) -> tuple[int, dict[str, object]]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        answer: dict[str, object] = json.loads(await self._reader.readexactly(length))
        return int(head.split()[1]), answer


def load(address: ServerAddress, runs: Path, clients: int, seconds: float) -> Report:
    """Let `clients` clients work for `seconds`; their runs are made in the folder `runs`."""
    report = Report()
    runs.mkdir(parents=True)

    async def everybody() -> None:
        until = time.monotonic() + seconds
        await asyncio.gather(*(Client(number, address, runs, report).work(until) for number in range(clients)))

    asyncio.run(everybody())
    return report
