"""What runs, waits and failed, as `exlab-wizard status` shows it."""

from __future__ import annotations

import json

from fastapi import APIRouter, Response

from exlab_wizard.domain.codec import encode
from exlab_wizard.domain.views import Status
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import MEDIA_TYPE, refusals
from exlab_wizard.server.thread_pools import ThreadPools


class StatusRoutes:
    """`/api/v1/status`."""

    def __init__(self, backend: Backend, pools: ThreadPools) -> None:
        """Build the router."""
        self._backend = backend
        self._pools = pools
        self.router = APIRouter(tags=["status"])
        self.router.add_api_route("/status", self.look, methods=["GET"], response_model=Status, responses=refusals(503))

    async def look(self) -> Response:
        """Show what runs, waits and failed, and who is at work."""
        status = await self._pools.reads.run(self._backend.store.status.read)
        # Escaped here: bytes of a name that are no text stand as lone surrogates, which UTF-8 cannot carry.
        return Response(json.dumps(encode(status)), media_type=MEDIA_TYPE)
