"""Sessions over HTTP: open, look, renew, complete, abort. Every one of these may be sent again after a lost answer."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from exlab_wizard.domain.clock import from_text, to_text
from exlab_wizard.domain.lease import LeaseState
from exlab_wizard.errors import RefusedError
from exlab_wizard.server.api.models import (
    LARGEST_ID,
    ClosedSession,
    CompleteSession,
    OpenSession,
    SessionLease,
    SessionPage,
    SessionView,
)
from exlab_wizard.server.api.runs import RunCheck, check_equipment
from exlab_wizard.server.backend import Backend, shown
from exlab_wizard.server.errors import ApiError, Code, refusals
from exlab_wizard.server.thread_pools import Lanes
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.reports.rows import Record
from exlab_wizard.transfer.source.run_path import plain_path

log = logging.getLogger(__name__)

HEARTBEATS_PER_TTL: Final = 3
CREATED: Final = 201


class SessionRoutes:
    """`/api/v1/sessions`."""

    def __init__(self, backend: Backend, lanes: Lanes, runs: RunCheck) -> None:
        """Build the router."""
        self._backend = backend
        self._lanes = lanes
        self._runs = runs
        self.router = APIRouter(tags=["sessions"])
        add, one = self.router.add_api_route, "/sessions/{session_id}"
        responses = refusals(409, 422, 503)
        responses[200] = {"model": SessionLease, "description": "The same session was opened before"}
        add("/sessions", self.open, methods=["POST"], status_code=CREATED, responses=responses)
        add("/sessions", self.page, methods=["GET"], responses=refusals(422, 503))
        add(one, self.look, methods=["GET"], responses=refusals(404, 422, 503))
        add(f"{one}/heartbeat", self.heartbeat, methods=["POST"], responses=refusals(404, 409, 422, 503))
        add(f"{one}/complete", self.complete, methods=["POST"], responses=refusals(403, 404, 409, 422, 503))
        add(f"{one}/abort", self.abort, methods=["POST"], responses=refusals(404, 409, 422, 503))

    async def open(self, body: OpenSession, response: Response) -> SessionLease:
        """Open a session: quitting waits for it as long as its heartbeats come."""
        check_equipment(body.equipment_id)
        record, created = await self._lanes.writes.run(lambda: self._open(body))
        response.status_code = CREATED if created else 200
        return self._lease(record)

    def _open(self, body: OpenSession) -> tuple[Record, bool]:
        rows, now = self._backend.store.rows, self._backend.now()
        if body.id is not None and (found := rows.session(body.id)) is not None:
            return _same(found, body), False
        ttl_s = body.ttl_s or self._backend.settings.current.sessions.ttl_s
        wanted = NewSession(body.kind, body.label, ttl_s, body.operator, body.equipment_id, body.run_path, body.id)
        try:
            lease = self._backend.store.sessions.open(wanted, self._backend.launch_id, now)
        except RefusedError as error:
            raise ApiError(Code.SHUTTING_DOWN, f"{str(error)[:1].upper()}{str(error)[1:]}") from error
        record = self._found(lease.id)
        log.info("session %s opened: %r", lease.id, body.label, extra={"session": lease.id})
        # Another request with the same id may have been faster.
        return _same(record, body), record["opened_at"] == to_text(now)

    async def page(
        self,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        before: Annotated[int | None, Query(ge=0, le=LARGEST_ID)] = None,
    ) -> SessionPage:
        """List sessions, the newest first."""
        rows = self._backend.store.rows
        found = await self._lanes.reads.run(lambda: rows.sessions_page(limit=limit, before=before))
        following = found[-1]["number"] if len(found) == limit else None
        return SessionPage.model_validate({"sessions": [shown(one) for one in found], "next": following})

    async def look(self, session_id: str) -> SessionView:
        """Show one session."""
        return SessionView.model_validate(shown(await self._lanes.reads.run(lambda: self._found(session_id))))

    async def heartbeat(self, session_id: str) -> SessionLease:
        """Say that the work goes on; the answer says whether a quit waits for it."""
        return self._lease(await self._lanes.writes.run(lambda: self._renewed(session_id)))

    def _renewed(self, session_id: str) -> Record:
        if self._backend.store.sessions.renew(session_id, self._backend.now()) is None:
            found = self._found(session_id)
            if found["state"] == LeaseState.ACTIVE:
                # After a sleep of the machine the keeper moves the leases within a second, or ends them.
                raise ApiError(Code.BUSY, "Whether this session has expired is being decided. Ask again in a second.")
            raise _over(found)
        return self._found(session_id)

    async def complete(self, session_id: str, body: CompleteSession) -> ClosedSession:
        """Close a session and queue its runs, both or neither; the same again answers the same."""
        found = await self._lanes.reads.run(lambda: self._found(session_id))
        equipment = None if found["equipment_id"] is None else str(found["equipment_id"])
        jobs = [NewJob(run.path, run.destination, equipment, session_id, run.priority) for run in body.runs]
        if found["state"] == LeaseState.ACTIVE:
            jobs = await self._runs.check(jobs, [f"runs.{number}.path" for number in range(len(jobs))])
        else:
            jobs = [replace(job, run_path=plain_path(job.run_path)) for job in jobs]
        return await self._lanes.writes.run(lambda: self._completed(session_id, jobs))

    def _completed(self, session_id: str, jobs: list[NewJob]) -> ClosedSession:
        sessions = self._backend.store.sessions
        queued = sessions.complete(session_id, jobs, self._backend.now())
        if queued is not None:
            self._backend.workers.wake()
            ids = [one.job_id for one in queued]
            log.info("session %s completed, jobs %s queued", session_id, ids, extra={"session": session_id})
            return ClosedSession(id=session_id, state=LeaseState.COMPLETED, jobs=ids)
        found = self._found(session_id)
        before = sessions.jobs_of_completed(session_id, jobs) if found["state"] == LeaseState.COMPLETED else None
        if before is None:
            raise _over(found)
        return ClosedSession(id=session_id, state=LeaseState.COMPLETED, jobs=before)

    async def abort(self, session_id: str) -> ClosedSession:
        """Close a session without result; the same again answers the same."""
        return await self._lanes.writes.run(lambda: self._aborted(session_id))

    def _aborted(self, session_id: str) -> ClosedSession:
        if not self._backend.store.sessions.abort(session_id, self._backend.now()):
            found = self._found(session_id)
            if found["state"] != LeaseState.ABORTED:
                raise _over(found)
        else:
            log.info("session %s aborted", session_id, extra={"session": session_id})
        return ClosedSession(id=session_id, state=LeaseState.ABORTED, jobs=[])

    def _found(self, session_id: str) -> Record:
        record = self._backend.store.rows.session(session_id)
        if record is None:
            raise ApiError(Code.NOT_FOUND, f"There is no session {session_id!r}.")
        return record

    def _lease(self, record: Record) -> SessionLease:
        return SessionLease(
            id=str(record["id"]),
            state=LeaseState(str(record["state"])),
            expires_at=str(record["expires_at"]),
            heartbeat_s=float(record["ttl_s"] or 0) / HEARTBEATS_PER_TTL,
            shutting_down=self._backend.shutting_down,
            deadline=self._backend.quit_deadline(),
        )


def _same(record: Record, body: OpenSession) -> Record:
    """Return the session that was found under the id of `body`, if it is what `body` asks for."""
    wanted = (body.kind.value, body.label, body.operator, body.equipment_id, body.run_path)
    held = tuple(record[name] for name in ("kind", "label", "operator", "equipment_id", "run_path"))
    if held != wanted:
        raise ApiError(Code.ID_TAKEN, "Another session has this id. Choose a random one.", field="id")
    if record["state"] != LeaseState.ACTIVE:
        raise _over(record)
    return record


def _over(record: Record) -> ApiError:
    """Return the refusal for a session that is not active, with what its client can do."""
    state = str(record["state"])
    details = {"state": state, "closed_at": record["closed_at"]}
    if state == LeaseState.EXPIRED:
        after = from_text(str(record["expires_at"])) - from_text(str(record["renewed_at"]))
        message = (
            f"The session expired: no heartbeat came for {after.total_seconds():g} s. Its work is not lost:"
            " open a new session to go on, or queue the run itself with POST /api/v1/jobs."
        )
        remedy = ["POST /api/v1/sessions", "POST /api/v1/jobs"]
        return ApiError(Code.SESSION_EXPIRED, message, details={**details, "remedies": remedy})
    message = f"The session was {state} before, and stays so. Queue further runs with POST /api/v1/jobs."
    return ApiError(Code.SESSION_CLOSED, message, details={**details, "remedies": ["POST /api/v1/jobs"]})
