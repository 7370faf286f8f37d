"""How the application is, part by part. Without the token only one word for each; nothing about runs or paths."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request

from exlab_wizard import __version__
from exlab_wizard.runtime.proof import CHALLENGE_HEADER, proof_of
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import refusals
from exlab_wizard.server.lanes import Lanes
from exlab_wizard.server.models import ComponentHealth, HealthView


class HealthRoutes:
    """`/api/v1/health`."""

    def __init__(self, backend: Backend, lanes: Lanes, token: str) -> None:
        """Build the router; who knows `token` can have it proved that this server does too."""
        self._token = token
        self._backend = backend
        self._lanes = lanes
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/health", self.look, methods=["GET"], responses=refusals())

    async def look(
        self,
        request: Request,
        challenge: Annotated[str | None, Header(alias=CHALLENGE_HEADER, max_length=128)] = None,
    ) -> HealthView:
        """Show how the application is; always 200, the worst component wins."""
        proof = None if challenge is None else proof_of(self._token, challenge)
        components = {"server": ComponentHealth(status="ok")}
        if not request.state.authenticated:
            return HealthView(status="ok", components=components, proof=proof)
        return HealthView(status="ok", components=components, version=__version__, launch_id=self._backend.launch_id)
