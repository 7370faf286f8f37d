"""Health and status of the application.

Without the token, health is one word for each part, and nothing about runs or paths.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Header, Request, Response

from exlab_wizard import __version__
from exlab_wizard.domain.quit import Phase
from exlab_wizard.domain.text.amounts import duration, elapsed, plural
from exlab_wizard.domain.views import Component, Health, HealthStatus, Status
from exlab_wizard.errors import ExlabError
from exlab_wizard.process.server_json import CHALLENGE_HEADER, proof_of
from exlab_wizard.server.api.models import answer
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import refusals
from exlab_wizard.server.thread_pools import MOST_WAITING, ThreadPools

SILENT_SECONDS: Final = 5.0
"""The watchdog checks four times a second; while it hangs, no lease expires."""
TIMEOUT_SECONDS: Final = 2.0
_WORST: Final[tuple[HealthStatus, ...]] = ("error", "warn", "ok")


class HealthRoutes:
    """`/api/v1/health` and `/api/v1/status`; a client with `token` can have the server prove that it knows it too."""

    def __init__(self, backend: Backend, pools: ThreadPools, token: str) -> None:
        self._token = token
        self._backend = backend
        self._pools = pools
        self.router = APIRouter()
        add, get = self.router.add_api_route, ["GET"]
        add("/health", self.read, methods=get, tags=["health"], response_model=Health, responses=refusals(422))
        add("/status", self.status, methods=get, tags=["status"], response_model=Status, responses=refusals(503))

    async def read(
        self, request: Request, challenge: Annotated[str | None, Header(alias=CHALLENGE_HEADER, max_length=128)] = None
    ) -> Response:
        """Show the health of the application; always 200, the worst component counts."""
        proof = None if challenge is None else proof_of(self._token, challenge)
        components = {"server": self._server()}
        try:
            components |= await self._pools.reads.run(self._checked, TIMEOUT_SECONDS)
        except (TimeoutError, ExlabError) as error:
            reason = str(error) or f"no answer within {elapsed(TIMEOUT_SECONDS)}"
            components["database"] = Component("error", reason)
        for name, lasting in self._lasting().items():
            # That a part has ended matters more than any other news about it.
            if lasting.status != "ok" or name not in components:
                components[name] = lasting
        status = next(word for word in _WORST if any(one.status == word for one in components.values()))
        if not request.state.authenticated:
            bare = {name: Component(one.status) for name, one in components.items()}
            return answer(Health(status, bare, proof))
        last_minute, phase = self._backend.workers.throughput.last_minute(), self._backend.quit.phase
        return answer(Health(status, components, proof, last_minute, __version__, self._backend.launch_id, phase))

    async def status(self) -> Response:
        """Show runs in progress, waiting and failed, and active sessions, as `exlab-wizard status` does."""
        read = self._backend.store.status.read
        # JSON escapes bytes of a name that are not UTF-8; they are lone surrogates here.
        return await self._pools.reads.run(lambda: answer(read(), text=str))

    def _checked(self) -> dict[str, Component]:
        checked: dict[str, Component] = {}
        for check in (self._database, self._workers, self._leases, self._destinations):
            name = check.__name__.removeprefix("_")
            try:
                checked[name] = check()
            except ExlabError as error:
                checked[name] = Component("error", str(error))
        return checked

    def _database(self) -> Component:
        self._backend.store.drain.count(self._backend.now())
        return Component("ok", "readable")

    def _workers(self) -> Component:
        status = self._backend.workers.status()
        if self._backend.safe_mode.active:
            reason = "safe mode: the last launches ended within seconds; syncing is paused until resumed; see the log"
            return Component("warn", reason)
        if self._backend.quit.phase is not Phase.RUNNING:
            return Component("ok", f"quitting; {status.busy} still busy")
        if self._backend.store.launches.is_paused(self._backend.launch_id):
            return Component("warn", "syncing is paused until it is resumed")
        if status.alive < status.wanted:
            dead = status.wanted - status.alive
            reason = f"{dead} of {plural(status.wanted, 'worker')} ended unexpectedly; restart the application"
            return Component("error", reason)
        if status.stopping:
            reason = f"{plural(status.stopping, 'transfer')} did not stop when requested; check the destination"
            return Component("warn", reason)
        words = f"{status.busy} of {status.wanted} busy" if status.busy else f"all {status.wanted} idle"
        return Component("ok", words)

    def _leases(self) -> Component:
        silent_s = self._backend.watchdog.silent_s
        if silent_s > SILENT_SECONDS:
            reason = f"session expiry has not been checked for {duration(silent_s)}; see the log"
            return Component("error", reason)
        count = self._backend.store.drain.count(self._backend.now()).active_sessions
        return Component("ok", f"{count} active")

    def _destinations(self) -> Component:
        known = self._backend.destinations()
        if not known:
            reason = "no destination is configured; add one: exlab-wizard destination add NAME FOLDER"
            return Component("warn", reason)
        waiting = [f"{name}: {why}" for name, why, _ in self._backend.store.jobs.waiting_destinations()]
        if waiting:
            return Component("warn", f"jobs are waiting for {', '.join(waiting)}")
        return Component("ok", f"{len(known)} configured; no job is waiting for one")

    def _lasting(self) -> dict[str, Component]:
        dead = {component.name for component in self._backend.supervisor.dead()}
        return {
            name: Component("error" if name in dead else "warn" if trouble else "ok", trouble or "running")
            for name, trouble in self._backend.supervisor.troubles().items()
        }

    def _server(self) -> Component:
        waiting = max(pool.waiting for pool in self._pools.all())
        status: HealthStatus = "ok" if waiting < MOST_WAITING // 2 else "warn"
        streams = self._backend.presence.streams
        return Component(status, f"{plural(waiting, 'request')} waiting, {plural(streams, 'event stream')} open")
