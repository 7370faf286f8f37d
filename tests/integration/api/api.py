"""The API of a running program, as its owner uses it; and runs to hand in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx
from tests.support.program import until, write_run

from exlab_wizard.domain.codec import Json
from exlab_wizard.process.server_json import ServerAddress, read_server_file
from exlab_wizard.testing import Application

Body = Mapping[str, Json]
PREFIX: Final = "/api/v1"
SMALL: Final = {"a.raw": 200_000, "b.raw": 10}


def address_of(program: Application) -> ServerAddress:
    """Return what `server.json` says, once the process that was started last has written it."""

    def found() -> ServerAddress | None:
        address = read_server_file(program.state / "server.json")
        return address if address is not None and address.pid == program.process.pid else None

    address = until(found, what="server.json")
    assert address is not None
    return address


class Api:
    """A client with the token; what it is not told otherwise, it sends and reads as JSON."""

    def __init__(self, address: ServerAddress, timeout_s: float = 20.0) -> None:
        """Talk to the server at `address`."""
        self.address = address
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{address.port}",
            headers={"Authorization": f"Bearer {address.token}"},
            timeout=timeout_s,
        )

    @classmethod
    def of(cls, program: Application) -> Api:
        """Return a client of the program that was started last."""
        return cls(address_of(program))

    def get(self, path: str, **query: str | int) -> httpx.Response:
        return self.http.get(f"{PREFIX}{path}", params=query)

    def post(self, path: str, body: Body | None = None) -> httpx.Response:
        return self.http.post(f"{PREFIX}{path}", json=body)

    def open(self, label: str = "acquisition", **more: Json) -> str:
        """Open a session and return its id."""
        answer = self.post("/sessions", {"kind": "run", "label": label, **more})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def enqueue(self, run: Path) -> httpx.Response:
        return self.post("/jobs", {"run_path": str(run), "destination": "nas"})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()


def error_of(answer: httpx.Response) -> dict[str, Json]:
    """Return the content of the envelope, which has exactly the fields that it may have."""
    body = answer.json()
    assert set(body) == {"error"}, body
    error: dict[str, Json] = body["error"]
    assert {"code", "message", "trace_id"} <= set(error) <= {"code", "message", "field", "details", "trace_id"}
    return error


def code_of(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a refusal."""
    return answer.status_code, str(error_of(answer)["code"])


def run_of(program: Application, name: str = "run-1") -> Path:
    """Write a small run."""
    return write_run(program.home / "runs" / name, SMALL)
