"""Quit and pause over HTTP: what blocks a quit, a request to quit, the answer to its question; pause and resume.

A request is a row in the database, like every other quit; the application finds it there. During a pause copies stop
within a second and keep what they sent; runs can be queued, but none is claimed.
"""

from __future__ import annotations

from fastapi import APIRouter, Response

from exlab_wizard.domain.quit import Blocker, DrainCount, Phase, QuitEvent, QuitTrigger
from exlab_wizard.domain.text.quit import question
from exlab_wizard.domain.views import Drain
from exlab_wizard.errors import PredicateUnreadableError
from exlab_wizard.server.api.models import AnswerQuit, AnswerTaken, AskQuit, PauseView, QuitAsked, answer
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code, refusals
from exlab_wizard.server.thread_pools import ThreadPools


class DrainRoutes:
    """`/api/v1/drain`, `/api/v1/quit`, `/api/v1/pause` and `/api/v1/resume`."""

    def __init__(self, backend: Backend, pools: ThreadPools) -> None:
        self._backend = backend
        self._pools = pools
        self.router = APIRouter()
        add, post = self.router.add_api_route, ["POST"]
        add("/drain", self.read, methods=["GET"], tags=["quit"], response_model=Drain, responses=refusals(503))
        add("/quit", self.quit, methods=post, tags=["quit"], status_code=202, responses=refusals(422, 503))
        add("/quit/answer", self.answer, methods=post, tags=["quit"], status_code=202, responses=refusals(409, 422))
        add("/pause", self.pause, methods=post, tags=["pause"], responses=refusals(503))
        add("/resume", self.resume, methods=post, tags=["pause"], responses=refusals(503))

    async def read(self) -> Response:
        """Show what a quit waits for, or would wait for. A client that polls this can answer the quit's question."""
        self._backend.presence.seen()
        return await self._pools.reads.run(lambda: answer(drain_view(self._backend)))

    async def quit(self, body: AskQuit | None = None) -> QuitAsked:
        """Request a quit; it begins within half a second. A second one while the question is open forces it."""
        return QuitAsked(quit_id=await self.request(QuitTrigger.API, force=body is not None and body.force))

    async def request(self, trigger: QuitTrigger, *, force: bool) -> int:
        """Record a quit request, and return its row; the application finds it there."""
        self._backend.presence.seen()
        quits, backend = self._backend.store.quits, self._backend
        return await self._pools.writes.run(
            lambda: quits.request(backend.launch_id, trigger, backend.now(), force=force)
        )

    async def answer(self, body: AnswerQuit) -> AnswerTaken:
        """Answer the quit question; the first answer counts. Before the question, a quit can be cancelled."""
        self._backend.presence.seen()
        cancels = body.answer == "keep_running" and self._backend.quit.phase is Phase.DRAINING
        if self._backend.quit.phase is not Phase.ASKING and not cancels:
            raise ApiError(
                Code.NO_QUESTION, "No quit is waiting for an answer.", details={"phase": self._backend.quit.phase}
            )
        self._backend.quit.post(QuitEvent(body.answer))
        return AnswerTaken(answer=body.answer)

    async def pause(self) -> PauseView:
        """Pause syncing until it is resumed, or until the next launch. Harmless while paused."""
        if self._backend.shutting_down:
            raise ApiError(Code.SHUTTING_DOWN, "The application is quitting. Cancel the quit to pause syncing.")
        launches, launch_id = self._backend.store.launches, self._backend.launch_id
        await self._pools.writes.run(lambda: launches.pause(launch_id, self._backend.now()))
        return await self._paused()

    async def resume(self) -> PauseView:
        """End the pause; interrupted copies resume where they stopped. Harmless while not paused."""
        launches, launch_id = self._backend.store.launches, self._backend.launch_id
        await self._pools.writes.run(lambda: launches.resume(launch_id))
        return await self._paused()

    async def _paused(self) -> PauseView:
        launch = await self._pools.reads.run(self._backend.store.launches.open_launch)
        return PauseView(paused_since=None if launch is None else launch.paused_since)


def drain_view(backend: Backend) -> Drain:
    """Return the present state of the drain. If it cannot be read it is unknown, never idle."""
    phase, drain = backend.quit.phase, backend.store.drain
    count: DrainCount | None = None
    reason: str | None = None
    blockers: list[Blocker] = []
    try:
        count, blockers = drain.count(backend.now()), drain.blockers()
    except PredicateUnreadableError as error:
        reason = str(error)
    return Drain(
        active_sessions=None if count is None else count.active_sessions,
        in_flight_jobs=None if count is None else count.in_flight_jobs,
        idle=None if count is None else count.idle,
        reason=reason,
        phase=phase,
        deadline=backend.quit_deadline(),
        question=question(None if count is None else count.operations) if phase is Phase.ASKING else None,
        blockers=tuple(blockers),
    )
