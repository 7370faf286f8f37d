"""How the application is, part by part. Without the token only one word for each; nothing about runs or paths."""

from __future__ import annotations

from fastapi import APIRouter, Request

from exlab_wizard import __version__
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import refusals
from exlab_wizard.server.lanes import Lanes
from exlab_wizard.server.models import ComponentHealth, HealthView


class HealthRoutes:
    """`/api/v1/health`."""

    def __init__(self, backend: Backend, lanes: Lanes) -> None:
        """Build the router."""
        self._backend = backend
        self._lanes = lanes
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/health", self.look, methods=["GET"], responses=refusals())

    async def look(self, request: Request) -> HealthView:
        """Show how the application is; always 200, the worst component wins."""
        components = {"server": ComponentHealth(status="ok")}
        if not request.state.authenticated:
            return HealthView(status="ok", components=components)
        return HealthView(status="ok", components=components, version=__version__, launch_id=self._backend.launch_id)
