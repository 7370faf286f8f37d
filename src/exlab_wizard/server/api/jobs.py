"""Sync jobs over HTTP: queue, read, retry, cancel."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from exlab_wizard.domain.job import JobState, OperatorMove, legal_moves
from exlab_wizard.domain.views import Job, JobEventPage, JobPage
from exlab_wizard.errors import MoveRefusedError, NoSuchJobError
from exlab_wizard.server.api.models import CREATED, Before, EnqueueJob, JobId, Limit, answer
from exlab_wizard.server.api.runs import check_runs
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code, refusals
from exlab_wizard.server.thread_pools import ThreadPools
from exlab_wizard.store.queue.jobs import NewJob


class JobRoutes:
    """`/api/v1/jobs`."""

    def __init__(self, backend: Backend, pools: ThreadPools) -> None:
        self._backend = backend
        self._pools = pools
        self.router = APIRouter(tags=["jobs"])
        add, one = self.router.add_api_route, "/jobs/{job_id}"
        responses = refusals(403, 422, 503)
        responses[200] = {"model": Job, "description": "The run is already pending for that destination"}
        add("/jobs", self.enqueue, methods=["POST"], response_model=Job, status_code=CREATED, responses=responses)
        add("/jobs", self.page, methods=["GET"], response_model=JobPage, responses=refusals(422, 503))
        add(one, self.read, methods=["GET"], response_model=Job, responses=refusals(404, 422, 503))
        events = refusals(404, 422, 503)
        add(f"{one}/events", self.events, methods=["GET"], response_model=JobEventPage, responses=events)
        moved = refusals(404, 409, 422, 503)
        add(f"{one}/retry", self.retry, methods=["POST"], response_model=Job, responses=moved)
        add(f"{one}/cancel", self.cancel, methods=["POST"], response_model=Job, responses=moved)

    async def enqueue(self, body: EnqueueJob) -> Response:
        """Queue a run for a destination, durably; if it is already pending there, return that job."""
        job, created = await self.queue(body)
        return answer(job, CREATED if created else 200)

    async def queue(self, body: EnqueueJob) -> tuple[Job, bool]:
        """Queue a run; return its job, and whether it is new.

        Raises:
            ApiError: the run or its destination is refused.
        """
        wanted = NewJob(body.run_path, body.destination, body.equipment_id, priority=body.priority)
        (job,) = await check_runs(self._backend, self._pools.paths, [wanted], ["run_path"])

        def enqueue() -> tuple[Job, bool]:
            queued = self._backend.store.jobs.enqueue(job, self._backend.now())
            return self._found(queued.job_id), queued.created

        found = await self._pools.writes.run(enqueue)
        self._backend.workers.wake()
        return found

    async def page(
        self,
        limit: Limit = 100,
        before: Before = None,
        state: Annotated[JobState | None, Query(description="only jobs in this state")] = None,
    ) -> Response:
        """List jobs, the newest first."""

        def read() -> Response:
            jobs = self._backend.store.rows.jobs(limit=limit, before=before, in_state=state)
            return answer(JobPage(jobs, jobs[-1].id if len(jobs) == limit else None))

        return await self._pools.reads.run(read)

    async def read(self, job_id: JobId) -> Response:
        """Show one job."""
        return await self._pools.reads.run(lambda: answer(self._found(job_id)))

    async def events(self, job_id: JobId, limit: Limit = 100, before: Before = None) -> Response:
        """List the moves of a job, the newest first; the oldest is being queued."""

        def read() -> Response:
            self._found(job_id)
            events = self._backend.store.rows.events_page(job_id, limit=limit, before=before)
            return answer(JobEventPage(events, (events[-1].id or None) if len(events) == limit else None))

        return await self._pools.reads.run(read)

    async def retry(self, job_id: JobId) -> Response:
        """Queue a failed job again, with fresh budgets."""
        job = await self._decided(job_id, OperatorMove.RETRY)
        self._backend.workers.wake()
        return answer(job)

    async def cancel(self, job_id: JobId) -> Response:
        """Cancel an unfinished or failed job; a running copy stops within a second. Harmless if already cancelled."""
        return answer(await self._decided(job_id, OperatorMove.CANCEL))

    async def _decided(self, job_id: int, move: OperatorMove) -> Job:
        def decide() -> Job:
            try:
                self._backend.store.jobs.decide([job_id], move)
            except NoSuchJobError:
                pass  # `_found` answers 404
            except MoveRefusedError as error:
                details = {"state": error.state.value, "legal_moves": [it.value for it in legal_moves(error.state)]}
                message = str(error)
                raise ApiError(Code.ILLEGAL_MOVE, f"{message[0].upper()}{message[1:]}.", details=details) from error
            return self._found(job_id)

        return await self._pools.writes.run(decide)

    def _found(self, job_id: int) -> Job:
        job = self._backend.store.rows.job(job_id)
        if job is None:
            raise ApiError(Code.NOT_FOUND, f"There is no job {job_id}.")
        return job
