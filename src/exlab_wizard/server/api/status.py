"""Everything at a glance, as `exlab-wizard status` shows it."""

from __future__ import annotations

import json
from dataclasses import asdict

from fastapi import APIRouter, Response

from exlab_wizard.domain.status import Standing
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import MEDIA_TYPE, refusals
from exlab_wizard.server.thread_pools import Lanes


class StatusRoutes:
    """`/api/v1/status`."""

    def __init__(self, backend: Backend, lanes: Lanes) -> None:
        """Build the router."""
        self._backend = backend
        self._lanes = lanes
        self.router = APIRouter(tags=["status"])
        self.router.add_api_route(
            "/status", self.look, methods=["GET"], response_model=Standing, responses=refusals(503)
        )

    async def look(self) -> Response:
        """Show what runs, waits and failed, and who is at work; rows as in the database."""
        standing = await self._lanes.reads.run(self._backend.store.status.read)
        # Escaped here: bytes of a name that are no text stand as lone surrogates, which UTF-8 cannot carry.
        return Response(json.dumps(asdict(standing)), media_type=MEDIA_TYPE)
