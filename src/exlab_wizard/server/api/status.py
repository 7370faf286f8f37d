"""The status of the application, as `exlab-wizard status` shows it."""

from __future__ import annotations

from fastapi import APIRouter, Response

from exlab_wizard.domain.views import Status
from exlab_wizard.server.api.answers import answer
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import refusals
from exlab_wizard.server.thread_pools import ThreadPools


class StatusRoutes:
    """`/api/v1/status`."""

    def __init__(self, backend: Backend, pools: ThreadPools) -> None:
        """Build the router."""
        self._backend = backend
        self._pools = pools
        self.router = APIRouter(tags=["status"])
        self.router.add_api_route("/status", self.read, methods=["GET"], response_model=Status, responses=refusals(503))

    async def read(self) -> Response:
        """Show runs in progress, waiting and failed, and active sessions."""
        status = self._backend.store.status
        # JSON escapes bytes of a name that are not UTF-8; they are lone surrogates here.
        return await self._pools.reads.run(lambda: answer(status.read(), text=str))
