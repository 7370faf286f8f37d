"""Pausing over HTTP: copies stop within a second and keep what they sent; runs can be queued, but none is claimed."""

from __future__ import annotations

from fastapi import APIRouter

from exlab_wizard.server.api.models import PauseView
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code, refusals
from exlab_wizard.server.thread_pools import ThreadPools


class PauseRoutes:
    """`/api/v1/pause` and `/api/v1/resume`."""

    def __init__(self, backend: Backend, pools: ThreadPools) -> None:
        """Build the router."""
        self._backend = backend
        self._pools = pools
        self.router = APIRouter(tags=["pause"])
        self.router.add_api_route("/pause", self.pause, methods=["POST"], responses=refusals(503))
        self.router.add_api_route("/resume", self.resume, methods=["POST"], responses=refusals(503))

    async def pause(self) -> PauseView:
        """Pause syncing until it is resumed, or until the next launch. Harmless while paused."""
        if self._backend.shutting_down:
            raise ApiError(
                Code.SHUTTING_DOWN,
                "The application is quitting. Cancel the quit to pause syncing.",
            )
        launches, launch_id = self._backend.store.launches, self._backend.launch_id
        await self._pools.writes.run(lambda: launches.pause(launch_id, self._backend.now()))
        return await self._read()

    async def resume(self) -> PauseView:
        """End the pause; interrupted copies resume where they stopped. Harmless while not paused."""
        launches, launch_id = self._backend.store.launches, self._backend.launch_id
        await self._pools.writes.run(lambda: launches.resume(launch_id))
        return await self._read()

    async def _read(self) -> PauseView:
        launch = await self._pools.reads.run(self._backend.store.launches.open_launch)
        return PauseView(paused_since=None if launch is None else launch.paused_since)
