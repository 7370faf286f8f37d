"""How an open page logs in again after a restart, without sending anything that an impostor could use.

Cookies end with their launch. A page keeps a key, which it got inside the page and never sends. Another program may
answer at the port of the last launch by now, so page and server prove to each other that they know the key, over two
fresh numbers and the address of the server. A proof that is passed on to another port is worthless.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from exlab_wizard.domain.clock import Clock
from exlab_wizard.server.auth.login import COOKIE, FORGET, Logins
from exlab_wizard.server.errors import ApiError, Code

PATH: Final = "/reconnect"
HOURS: Final = 7 * 24
"""How long a key is valid; an open page gets a new one each hour."""
ANSWER_SECONDS: Final = 30.0
MOST_OPEN: Final = 16
_HOUR: Final = 3_600

_Number = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_Proof = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Challenge(BaseModel):
    """The page's first message: the name of its key, and its number."""

    model_config = ConfigDict(extra="forbid")
    key: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
    number: _Number


class ServerProof(BaseModel):
    """The server's number, and its proof that it knows the key."""

    number: str
    proof: str
    launch_id: int


class PageProof(BaseModel):
    """The page's proof that it knows the key."""

    model_config = ConfigDict(extra="forbid")
    number: _Number
    proof: _Proof


class PageKeys:
    """The keys of pages, made from the hexadecimal `secret`, and the open challenges. Thread-safe."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret = bytes.fromhex(secret)
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, tuple[float, str]] = {}

    def page_key(self) -> str:
        """Return the key of this hour, in the form that a page keeps: `NAME.KEY`."""
        name = str(self._this_hour())
        return f"{name}.{self._key(name).hex()}"

    def prove(self, name: str, page_number: str, address: str) -> tuple[str, str] | None:
        """Return our number and proof for a page with the key `name`; None when that is too old."""
        if abs(self._this_hour() - int(name)) > HOURS:
            return None
        number, key = secrets.token_hex(16), self._key(name)
        text = f"{address}\n{name}\n{page_number}\n{number}"
        with self._lock:
            self._open[number] = (self._clock.monotonic() + ANSWER_SECONDS, _proof(key, "page", text))
            while len(self._open) > MOST_OPEN:
                del self._open[next(iter(self._open))]
        return number, _proof(key, "server", text)

    def accepts(self, number: str, proof: str) -> bool:
        """Return whether `proof` answers the challenge with our `number`; each can be answered once."""
        with self._lock:
            until, expected = self._open.pop(number, (0.0, ""))
        return bool(expected) and self._clock.monotonic() <= until and secrets.compare_digest(expected, proof)

    def _this_hour(self) -> int:
        return int(self._clock.now().timestamp()) // _HOUR

    def _key(self, name: str) -> bytes:
        return hmac.digest(self._secret, f"exlab-wizard page {name}".encode(), hashlib.sha256)


def reconnect_router(keys: PageKeys, logins: Logins, launch_id: int) -> APIRouter:
    """Return `/reconnect`, which needs no login."""
    router = APIRouter(include_in_schema=False)

    @router.post(PATH)
    async def challenge(body: Challenge, request: Request) -> ServerProof:
        """Prove to a page that this server made it."""
        proved = keys.prove(body.key, body.number, request.headers["host"].lower())
        if proved is None:
            raise ApiError(Code.UNAUTHORIZED, "This page is too old. Open the window again.")
        return ServerProof(number=proved[0], proof=proved[1], launch_id=launch_id)

    @router.post(f"{PATH}/answer", status_code=204)
    async def answer(body: PageProof, response: Response) -> None:
        """Log a page in that has proved itself."""
        if not keys.accepts(body.number, body.proof):
            raise ApiError(Code.UNAUTHORIZED, "This server did not make this page. Open the window again.")
        response.headers.update(FORGET)
        response.set_cookie(COOKIE, logins.new_cookie(), path="/", httponly=True, samesite="strict")

    return router


def _proof(key: bytes, who: str, text: str) -> str:
    return hmac.digest(key, f"{who}\n{text}".encode(), hashlib.sha256).hex()
