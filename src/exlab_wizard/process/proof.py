"""How the server shows that it is the application, before a client tells it the token.

A port that was ours may belong to any program by now, also to another account's. So the client sends a random challenge
first, and only who knows the token can answer it; the answer says nothing about the token.
"""

from __future__ import annotations

import hmac
from typing import Final

CHALLENGE_HEADER: Final = "X-Exlab-Challenge"


def proof_of(token: str, challenge: str) -> str:
    """Return what only who knows `token` can answer to `challenge`."""
    return hmac.digest(token.encode(), f"exlab-wizard server {challenge}".encode(), "sha256").hex()
