"""Sessions over HTTP: open, read, renew, complete, abort. Each request may be sent again after a lost answer."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from fastapi import APIRouter, Response

from exlab_wizard.domain.clock import to_text
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.domain.views import ClosedSession, Lease, LeaseState, SessionPage, SessionRow
from exlab_wizard.errors import RefusedError
from exlab_wizard.server.api.models import CREATED, Before, CompleteSession, Limit, OpenSession, answer
from exlab_wizard.server.api.runs import check_equipment, check_runs
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code, refusals
from exlab_wizard.server.thread_pools import ThreadPools
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.transfer.source.run_path import plain_path

log = logging.getLogger(__name__)

HEARTBEATS_PER_TTL: Final = 3


class SessionRoutes:
    """`/api/v1/sessions`."""

    def __init__(self, backend: Backend, pools: ThreadPools) -> None:
        self._backend = backend
        self._pools = pools
        self.router = APIRouter(tags=["sessions"])
        add, one = self.router.add_api_route, "/sessions/{session_id}"
        responses = refusals(409, 422, 503)
        responses[200] = {"model": Lease, "description": "The same session was opened before"}
        add("/sessions", self.open, methods=["POST"], response_model=Lease, status_code=CREATED, responses=responses)
        add("/sessions", self.page, methods=["GET"], response_model=SessionPage, responses=refusals(422, 503))
        add(one, self.read, methods=["GET"], response_model=SessionRow, responses=refusals(404, 422, 503))
        over = refusals(404, 409, 422, 503)
        add(f"{one}/heartbeat", self.heartbeat, methods=["POST"], response_model=Lease, responses=over)
        completed = refusals(403, 404, 409, 422, 503)
        add(f"{one}/complete", self.complete, methods=["POST"], response_model=ClosedSession, responses=completed)
        add(f"{one}/abort", self.abort, methods=["POST"], response_model=ClosedSession, responses=over)

    async def open(self, body: OpenSession) -> Response:
        """Open a session: a quit waits for it as long as heartbeats arrive."""
        check_equipment(body.equipment_id)
        session, created = await self._pools.writes.run(lambda: self._open(body))
        return self._lease(session, CREATED if created else 200)

    def _open(self, body: OpenSession) -> tuple[SessionRow, bool]:
        now = self._backend.now()
        if body.id is not None and (found := self._backend.store.sessions.find(body.id)) is not None:
            return _same(found, body), False
        ttl_s = body.ttl_s or self._backend.settings.current.sessions.ttl_s
        wanted = NewSession(body.kind, body.label, ttl_s, body.operator, body.equipment_id, body.run_path, body.id)
        try:
            session = self._backend.store.sessions.open(wanted, self._backend.launch_id, now)
        except RefusedError as error:
            raise ApiError(Code.SHUTTING_DOWN, f"{str(error)[:1].upper()}{str(error)[1:]}") from error
        log.info("session %s opened: %r", session.id, body.label, extra={"session": session.id})
        # Another request with the same id may have been faster.
        return _same(session, body), to_text(session.opened_at) == to_text(now)

    async def page(self, limit: Limit = 100, before: Before = None) -> Response:
        """List sessions, the newest first."""
        rows = self._backend.store.rows
        return await self._pools.reads.run(lambda: answer(rows.sessions_page(limit=limit, before=before)))

    async def read(self, session_id: str) -> Response:
        """Show one session."""
        return await self._pools.reads.run(lambda: answer(self._found(session_id)))

    async def heartbeat(self, session_id: str) -> Response:
        """Renew the session; the answer says whether a quit waits for it."""
        return self._lease(await self._pools.writes.run(lambda: self._renewed(session_id)))

    def _renewed(self, session_id: str) -> SessionRow:
        if self._backend.store.sessions.renew(session_id, self._backend.now()) is None:
            found = self._found(session_id)
            if found.state is LeaseState.ACTIVE:
                # After a sleep of the machine the watchdog moves the leases within a second, or ends them.
                raise ApiError(Code.BUSY, "It is not known yet whether the session expired. Try again in a second.")
            raise _over(found)
        return self._found(session_id)

    async def complete(self, session_id: str, body: CompleteSession) -> Response:
        """Close a session and queue its runs, both or neither; repeating it returns the same answer."""
        found = await self._pools.reads.run(lambda: self._found(session_id))
        jobs = [NewJob(run.path, run.destination, found.equipment_id, session_id, run.priority) for run in body.runs]
        if found.state is LeaseState.ACTIVE:
            fields = [f"runs.{number}.path" for number in range(len(jobs))]
            jobs = await check_runs(self._backend, self._pools.paths, jobs, fields)
        else:
            jobs = [replace(job, run_path=plain_path(job.run_path)) for job in jobs]
        return answer(await self._pools.writes.run(lambda: self._completed(session_id, jobs)))

    def _completed(self, session_id: str, jobs: list[NewJob]) -> ClosedSession:
        sessions = self._backend.store.sessions
        queued = sessions.complete(session_id, jobs, self._backend.now())
        if queued is not None:
            self._backend.workers.wake()
            ids = [one.job_id for one in queued]
            log.info("session %s completed, jobs %s queued", session_id, ids, extra={"session": session_id})
            return ClosedSession(id=session_id, state=LeaseState.COMPLETED, jobs=ids)
        found = self._found(session_id)
        before = sessions.jobs_of_completed(session_id, jobs) if found.state is LeaseState.COMPLETED else None
        if before is None:
            raise _over(found)
        return ClosedSession(id=session_id, state=LeaseState.COMPLETED, jobs=before)

    async def abort(self, session_id: str) -> Response:
        """Close a session without queueing anything; repeating it returns the same answer."""
        return answer(await self._pools.writes.run(lambda: self._aborted(session_id)))

    def _aborted(self, session_id: str) -> ClosedSession:
        if not self._backend.store.sessions.abort(session_id, self._backend.now()):
            found = self._found(session_id)
            if found.state is not LeaseState.ABORTED:
                raise _over(found)
        else:
            log.info("session %s aborted", session_id, extra={"session": session_id})
        return ClosedSession(id=session_id, state=LeaseState.ABORTED, jobs=[])

    def _found(self, session_id: str) -> SessionRow:
        session = self._backend.store.sessions.find(session_id)
        if session is None:
            raise ApiError(Code.NOT_FOUND, f"There is no session {session_id!r}.")
        return session

    def _lease(self, session: SessionRow, status: int = 200) -> Response:
        lease = Lease(
            id=session.id,
            state=session.state,
            expires_at=session.expires_at,
            heartbeat_s=session.ttl_s / HEARTBEATS_PER_TTL,
            shutting_down=self._backend.shutting_down,
            deadline=self._backend.quit_deadline(),
        )
        return answer(lease, status)


def _same(session: SessionRow, body: OpenSession) -> SessionRow:
    """Return the session with the id of `body`, if its content is that of `body`."""
    wanted = (body.kind, body.label, body.operator, body.equipment_id, body.run_path)
    if (session.kind, session.label, session.operator, session.equipment_id, session.run_path) != wanted:
        raise ApiError(Code.ID_TAKEN, "Another session has this id. Choose a random one.", field="id")
    if session.state is not LeaseState.ACTIVE:
        raise _over(session)
    return session


def _over(session: SessionRow) -> ApiError:
    """Return the error for a session that is not active, with the remedies."""
    state = session.state
    details = {"state": state.value, "closed_at": None if session.closed_at is None else to_text(session.closed_at)}
    if state is LeaseState.EXPIRED:
        after = session.expires_at - session.renewed_at
        message = (
            f"The session expired: no heartbeat arrived for {elapsed(after.total_seconds())}. Its work is not lost:"
            " open a new session to continue, or queue the run with POST /api/v1/jobs."
        )
        remedy = ["POST /api/v1/sessions", "POST /api/v1/jobs"]
        return ApiError(Code.SESSION_EXPIRED, message, details={**details, "remedies": remedy})
    message = f"The session is already {state}. Queue more runs with POST /api/v1/jobs."
    return ApiError(Code.SESSION_CLOSED, message, details={**details, "remedies": ["POST /api/v1/jobs"]})
