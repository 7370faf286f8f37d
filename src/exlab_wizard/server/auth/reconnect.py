"""How an open page gets in again after a restart, without anything that could be used by whoever listens in between.

Cookies end with their launch. What a page keeps is a key, handed out with the page itself and never sent. At the port
of the last launch somebody else may answer by now, with this machine's name: so both sides prove that they know the key
over two fresh numbers and the address at which they meet. Passed on to another port, a proof is worth nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from exlab_wizard.domain.clock import Clock
from exlab_wizard.server.auth.login import COOKIE, Logins
from exlab_wizard.server.errors import ApiError, Code

PATH: Final = "/comeback"
HOURS: Final = 7 * 24
"""How long a key is good for; a page that is looked at gets a new one each hour."""
ANSWER_SECONDS: Final = 30.0
MOST_OPEN: Final = 16
_HOUR: Final = 3_600

_Number = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
_Proof = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Greeting(BaseModel):
    """What a page begins with: which key it has, and its number."""

    model_config = ConfigDict(extra="forbid")
    key: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}$")]
    number: _Number


class Reply(BaseModel):
    """The server's number, and the proof that it knows the key."""

    number: str
    proof: str
    launch_id: int


class Answer(BaseModel):
    """The page's proof that it knows the key."""

    model_config = ConfigDict(extra="forbid")
    number: _Number
    proof: _Proof


@dataclass(frozen=True, slots=True)
class _Open:
    until: float
    expected: str


class Comebacks:
    """Keys, and the greetings that were not answered yet. Thread-safe."""

    def __init__(self, secret: str, clock: Clock) -> None:
        """Make all keys from `secret`, in hexadecimal."""
        self._secret = bytes.fromhex(secret)
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}

    def page_key(self) -> str:
        """Return the key of this hour, as a page keeps it: `NAME.KEY`."""
        name = str(self._this_hour())
        return f"{name}.{self._key(name).hex()}"

    def greet(self, name: str, page_number: str, address: str) -> tuple[str, str] | None:
        """Return our number and proof for whoever has the key `name`; None when it is too old."""
        if abs(self._this_hour() - int(name)) > HOURS:
            return None
        number, key = secrets.token_hex(16), self._key(name)
        text = f"{address}\n{name}\n{page_number}\n{number}"
        with self._lock:
            self._open[number] = _Open(self._clock.monotonic() + ANSWER_SECONDS, _proof(key, "page", text))
            while len(self._open) > MOST_OPEN:
                del self._open[next(iter(self._open))]
        return number, _proof(key, "server", text)

    def accepts(self, number: str, proof: str) -> bool:
        """Return whether `proof` answers the greeting with our `number`; each is answered once."""
        with self._lock:
            found = self._open.pop(number, None)
        return (
            found is not None
            and self._clock.monotonic() <= found.until
            and secrets.compare_digest(found.expected, proof)
        )

    def _this_hour(self) -> int:
        return int(self._clock.now().timestamp()) // _HOUR

    def _key(self, name: str) -> bytes:
        return hmac.digest(self._secret, f"exlab-wizard page {name}".encode(), hashlib.sha256)


class ComebackRoutes:
    """`/comeback`, which needs no login."""

    def __init__(self, comebacks: Comebacks, logins: Logins, launch_id: int) -> None:
        """Build the router."""
        self._comebacks = comebacks
        self._logins = logins
        self._launch_id = launch_id
        self.router = APIRouter(include_in_schema=False)
        self.router.add_api_route(PATH, self.greet, methods=["POST"])
        self.router.add_api_route(f"{PATH}/answer", self.answer, methods=["POST"], status_code=204)

    async def greet(self, greeting: Greeting, request: Request) -> Reply:
        """Prove to a page that this is the server whose page it is."""
        reply = self._comebacks.greet(greeting.key, greeting.number, request.headers["host"].lower())
        if reply is None:
            raise ApiError(Code.UNAUTHORIZED, "This page is too old. Open the window again.")
        return Reply(number=reply[0], proof=reply[1], launch_id=self._launch_id)

    async def answer(self, answer: Answer, response: Response) -> None:
        """Let a page in that has proved itself."""
        if not self._comebacks.accepts(answer.number, answer.proof):
            raise ApiError(Code.UNAUTHORIZED, "This page is not known here. Open the window again.")
        response.set_cookie(COOKIE, self._logins.new_cookie(), path="/", httponly=True, samesite="strict")


def _proof(key: bytes, who: str, text: str) -> str:
    return hmac.digest(key, f"{who}\n{text}".encode(), hashlib.sha256).hex()
