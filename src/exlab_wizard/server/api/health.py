"""How the application is, part by part. Without the token only one word for each; nothing about runs or paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Header, Request, Response

from exlab_wizard import __version__
from exlab_wizard.domain.quit import Phase
from exlab_wizard.domain.views import Component, Health, HealthStatus
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.server_json import CHALLENGE_HEADER, proof_of
from exlab_wizard.server.api.answers import answer
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import refusals
from exlab_wizard.server.thread_pools import MOST_WAITING, ThreadPools

SILENT_SECONDS: Final = 5.0
"""The watchdog looks four times a second; what keeps it for so long keeps leases from expiring too."""
TIMEOUT_SECONDS: Final = 2.0
_WORST: Final[tuple[HealthStatus, ...]] = ("error", "warn", "ok")


class HealthRoutes:
    """`/api/v1/health`."""

    def __init__(self, backend: Backend, pools: ThreadPools, token: str) -> None:
        """Build the router; who knows `token` can have it proved that this server does too."""
        self._token = token
        self._backend = backend
        self._pools = pools
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/health", self.look, methods=["GET"], response_model=Health, responses=refusals(422))

    async def look(
        self,
        request: Request,
        challenge: Annotated[str | None, Header(alias=CHALLENGE_HEADER, max_length=128)] = None,
    ) -> Response:
        """Show how the application is; always 200, the worst component wins."""
        proof = None if challenge is None else proof_of(self._token, challenge)
        components = {"server": self._server()}
        try:
            components |= await self._pools.reads.run(self._behind, TIMEOUT_SECONDS)
        except (TimeoutError, ExlabError) as error:
            reason = str(error) or f"no answer within {TIMEOUT_SECONDS:g} s"
            components["database"] = Component("error", reason)
        for name, lasting in self._lasting().items():
            # A part that has ended is that first, whatever else there is to say of it.
            if lasting.status != "ok" or name not in components:
                components[name] = lasting
        status = next(word for word in _WORST if any(one.status == word for one in components.values()))
        if not request.state.authenticated:
            bare = {name: Component(one.status) for name, one in components.items()}
            return answer(Health(status, bare, proof))
        last_minute, phase = self._backend.workers.throughput.last_minute(), self._backend.quit.phase
        return answer(Health(status, components, proof, last_minute, __version__, self._backend.launch_id, phase))

    def _behind(self) -> dict[str, Component]:
        looks: dict[str, Callable[[], Component]] = {
            "database": self._database,
            "workers": self._workers,
            "leases": self._leases,
            "destinations": self._destinations,
        }
        return {name: _looked(look) for name, look in looks.items()}

    def _database(self) -> Component:
        self._backend.store.drain.count(self._backend.now())
        return Component("ok", "can be read")

    def _workers(self) -> Component:
        standing = self._backend.workers.status()
        if self._backend.health.safe_mode:
            reason = "safe mode: the last launches ended within seconds; nothing is synced until resumed; see the log"
            return Component("warn", reason)
        if self._backend.quit.phase is not Phase.RUNNING:
            return Component("ok", f"a quit is under way; {standing.busy} at work")
        if self._backend.store.launches.is_paused(self._backend.launch_id):
            return Component("warn", "paused: nothing is synced until it is resumed")
        if standing.alive < standing.wanted:
            dead = standing.wanted - standing.alive
            reason = f"{dead} of {standing.wanted} workers have ended; start the application again"
            return Component("error", reason)
        if standing.stopping:
            reason = f"{standing.stopping} transfers were told to stop and hang; look after their destination"
            return Component("warn", reason)
        words = f"{standing.busy} of {standing.wanted} at work" if standing.busy else f"all {standing.wanted} idle"
        return Component("ok", words)

    def _leases(self) -> Component:
        silent_s = self._backend.watchdog.silent_s
        if silent_s > SILENT_SECONDS:
            reason = f"for {silent_s:.0f} s nobody could look whether sessions expire; see the log"
            return Component("error", reason)
        count = self._backend.store.drain.count(self._backend.now()).active_sessions
        return Component("ok", f"{count} active")

    def _destinations(self) -> Component:
        known = self._backend.destinations()
        if not known:
            reason = "none is configured: exlab-wizard destination add NAME FOLDER"
            return Component("warn", reason)
        waiting = [f"{name}: {why}" for name, why, _ in self._backend.store.jobs.waiting_destinations()]
        if waiting:
            return Component("warn", f"jobs wait for {', '.join(waiting)}")
        return Component("ok", f"{len(known)} configured; no job waits for one")

    def _lasting(self) -> dict[str, Component]:
        dead = {component.name for component in self._backend.components.dead()}
        return {
            name: Component(
                status="error" if name in dead else "warn" if trouble else "ok", reason=trouble or "at work"
            )
            for name, trouble in self._backend.components.troubles().items()
        }

    def _server(self) -> Component:
        waiting = max(pool.waiting for pool in self._pools.all())
        status: HealthStatus = "ok" if waiting < MOST_WAITING // 2 else "warn"
        streams = self._backend.presence.streams
        return Component(status, f"{waiting} requests wait, {streams} event streams are open")


def _looked(look: Callable[[], Component]) -> Component:
    try:
        return look()
    except ExlabError as error:
        return Component("error", str(error))
