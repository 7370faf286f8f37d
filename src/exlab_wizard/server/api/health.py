"""How the application is, part by part. Without the token only one word for each; nothing about runs or paths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Header, Request

from exlab_wizard import __version__
from exlab_wizard.domain.quit import Phase
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.server_json import CHALLENGE_HEADER, proof_of
from exlab_wizard.server.api.models import ComponentHealth, HealthView, Status
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import refusals
from exlab_wizard.server.thread_pools import MOST_WAITING, Lanes

SILENT_SECONDS: Final = 5.0
"""The keeper looks four times a second; what keeps it for so long keeps leases from expiring too."""
TIMEOUT_SECONDS: Final = 2.0
_WORST: Final[tuple[Status, ...]] = ("error", "warn", "ok")


class HealthRoutes:
    """`/api/v1/health`."""

    def __init__(self, backend: Backend, lanes: Lanes, token: str) -> None:
        """Build the router; who knows `token` can have it proved that this server does too."""
        self._token = token
        self._backend = backend
        self._lanes = lanes
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/health", self.look, methods=["GET"], responses=refusals(422))

    async def look(
        self,
        request: Request,
        challenge: Annotated[str | None, Header(alias=CHALLENGE_HEADER, max_length=128)] = None,
    ) -> HealthView:
        """Show how the application is; always 200, the worst component wins."""
        proof = None if challenge is None else proof_of(self._token, challenge)
        components = {"server": self._server()}
        try:
            components |= await self._lanes.reads.run(self._behind, TIMEOUT_SECONDS)
        except (TimeoutError, ExlabError) as error:
            reason = str(error) or f"no answer within {TIMEOUT_SECONDS:g} s"
            components["database"] = ComponentHealth(status="error", reason=reason)
        for name, lasting in self._lasting().items():
            # A part that has ended is that first, whatever else there is to say of it.
            if lasting.status != "ok" or name not in components:
                components[name] = lasting
        status = next(word for word in _WORST if any(one.status == word for one in components.values()))
        if not request.state.authenticated:
            bare = {name: ComponentHealth(status=one.status) for name, one in components.items()}
            return HealthView(status=status, components=bare, proof=proof)
        return HealthView(
            status=status,
            components=components,
            bytes_last_minute=self._backend.workers.meter.last_minute(),
            version=__version__,
            launch_id=self._backend.launch_id,
            phase=self._backend.quit.phase,
            proof=proof,
        )

    def _behind(self) -> dict[str, ComponentHealth]:
        looks: dict[str, Callable[[], ComponentHealth]] = {
            "database": self._database,
            "workers": self._workers,
            "leases": self._leases,
            "destinations": self._destinations,
        }
        return {name: _looked(look) for name, look in looks.items()}

    def _database(self) -> ComponentHealth:
        self._backend.store.drain.count(self._backend.now())
        return ComponentHealth(status="ok", reason="can be read")

    def _workers(self) -> ComponentHealth:
        standing = self._backend.workers.standing()
        if self._backend.health.safe_mode:
            reason = "safe mode: the last launches ended within seconds; nothing is synced until resumed; see the log"
            return ComponentHealth(status="warn", reason=reason)
        if self._backend.quit.phase is not Phase.RUNNING:
            return ComponentHealth(status="ok", reason=f"a quit is under way; {standing.busy} at work")
        if self._backend.store.launches.is_paused(self._backend.launch_id):
            return ComponentHealth(status="warn", reason="paused: nothing is synced until it is resumed")
        if standing.alive < standing.wanted:
            dead = standing.wanted - standing.alive
            reason = f"{dead} of {standing.wanted} workers have ended; start the application again"
            return ComponentHealth(status="error", reason=reason)
        if standing.stopping:
            reason = f"{standing.stopping} transfers were told to stop and hang; look after their destination"
            return ComponentHealth(status="warn", reason=reason)
        words = f"{standing.busy} of {standing.wanted} at work" if standing.busy else f"all {standing.wanted} idle"
        return ComponentHealth(status="ok", reason=words)

    def _leases(self) -> ComponentHealth:
        silent_s = self._backend.keeper.silent_s
        if silent_s > SILENT_SECONDS:
            reason = f"for {silent_s:.0f} s nobody could look whether sessions expire; see the log"
            return ComponentHealth(status="error", reason=reason)
        count = self._backend.store.drain.count(self._backend.now()).active_sessions
        return ComponentHealth(status="ok", reason=f"{count} active")

    def _destinations(self) -> ComponentHealth:
        known = self._backend.destinations()
        if not known:
            reason = "none is configured: exlab-wizard destination add NAME FOLDER"
            return ComponentHealth(status="warn", reason=reason)
        waiting = [f"{name}: {why}" for name, why, _ in self._backend.store.jobs.waiting_destinations()]
        if waiting:
            return ComponentHealth(status="warn", reason=f"jobs wait for {', '.join(waiting)}")
        return ComponentHealth(status="ok", reason=f"{len(known)} configured; no job waits for one")

    def _lasting(self) -> dict[str, ComponentHealth]:
        dead = {component.name for component in self._backend.components.dead()}
        return {
            name: ComponentHealth(
                status="error" if name in dead else "warn" if trouble else "ok", reason=trouble or "at work"
            )
            for name, trouble in self._backend.components.troubles().items()
        }

    def _server(self) -> ComponentHealth:
        waiting = max(lane.waiting for lane in self._lanes.all())
        status: Status = "ok" if waiting < MOST_WAITING // 2 else "warn"
        streams = self._backend.presence.streams
        return ComponentHealth(status=status, reason=f"{waiting} requests wait, {streams} event streams are open")


def _looked(look: Callable[[], ComponentHealth]) -> ComponentHealth:
    try:
        return look()
    except ExlabError as error:
        return ComponentHealth(status="error", reason=str(error))
