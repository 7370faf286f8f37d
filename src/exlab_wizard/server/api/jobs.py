"""Sync jobs over HTTP: queue, look, retry, cancel."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response

from exlab_wizard.domain.job import JobState, OperatorMove, legal_moves, refusal
from exlab_wizard.errors import RuleError
from exlab_wizard.server.api.models import LARGEST_ID, EnqueueJob, JobEventPage, JobPage, JobView
from exlab_wizard.server.api.runs import RunCheck
from exlab_wizard.server.backend import Backend, shown
from exlab_wizard.server.errors import ApiError, Code, refusals
from exlab_wizard.server.thread_pools import Lanes
from exlab_wizard.store.queue.jobs import NewJob

CREATED: Final = 201
JobId = Annotated[int, Path(ge=1, le=LARGEST_ID, description="the job's id")]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
Before = Annotated[int | None, Query(ge=0, le=LARGEST_ID, description="the `next` of the page before")]


class JobRoutes:
    """`/api/v1/jobs`."""

    def __init__(self, backend: Backend, lanes: Lanes, runs: RunCheck) -> None:
        """Build the router."""
        self._backend = backend
        self._lanes = lanes
        self._runs = runs
        self.router = APIRouter(tags=["jobs"])
        add, one = self.router.add_api_route, "/jobs/{job_id}"
        responses = refusals(403, 422, 503)
        responses[200] = {"model": JobView, "description": "The run is pending for that destination already"}
        add("/jobs", self.enqueue, methods=["POST"], status_code=CREATED, responses=responses)
        add("/jobs", self.page, methods=["GET"], responses=refusals(422, 503))
        add(one, self.look, methods=["GET"], responses=refusals(404, 422, 503))
        add(f"{one}/events", self.events, methods=["GET"], responses=refusals(404, 422, 503))
        add(f"{one}/retry", self.retry, methods=["POST"], responses=refusals(404, 409, 422, 503))
        add(f"{one}/cancel", self.cancel, methods=["POST"], responses=refusals(404, 409, 422, 503))

    async def enqueue(self, body: EnqueueJob, response: Response) -> JobView:
        """Queue a run for a destination, durably; one that is pending there already is found, not doubled."""
        wanted = NewJob(body.run_path, body.destination, body.equipment_id, priority=body.priority)
        (job,) = await self._runs.check([wanted], ["run_path"])

        def enqueue() -> tuple[JobView, bool]:
            queued = self._backend.store.jobs.enqueue(job, self._backend.now())
            return self._found(queued.job_id), queued.created

        found, created = await self._lanes.writes.run(enqueue)
        self._backend.workers.wake()
        response.status_code = CREATED if created else 200
        return found

    async def page(
        self,
        limit: Limit = 100,
        before: Before = None,
        state: Annotated[JobState | None, Query(description="only jobs in this state")] = None,
    ) -> JobPage:
        """List jobs, the newest first."""
        rows = self._backend.store.rows
        found = await self._lanes.reads.run(lambda: rows.jobs(limit=limit, before=before, in_state=state))
        following = found[-1]["id"] if len(found) == limit else None
        return JobPage.model_validate({"jobs": [shown(job) for job in found], "next": following})

    async def look(self, job_id: JobId) -> JobView:
        """Show one job."""
        return await self._lanes.reads.run(lambda: self._found(job_id))

    async def events(self, job_id: JobId, limit: Limit = 100, before: Before = None) -> JobEventPage:
        """List the moves of a job, the newest first; the last of all is being queued."""

        def read() -> JobEventPage:
            self._found(job_id)
            found = self._backend.store.rows.events_page(job_id, limit=limit, before=before)
            following = found[-1]["id"] if len(found) == limit else None
            return JobEventPage.model_validate({"events": [shown(event) for event in found], "next": following or None})

        return await self._lanes.reads.run(read)

    async def retry(self, job_id: JobId) -> JobView:
        """Queue a failed job again, with fresh budgets."""

        def retry() -> JobView:
            if not self._backend.store.jobs.retry(job_id):
                raise _illegal(self._found(job_id), OperatorMove.RETRY)
            return self._found(job_id)

        job = await self._lanes.writes.run(retry)
        self._backend.workers.wake()
        return job

    async def cancel(self, job_id: JobId) -> JobView:
        """Cancel an unfinished or failed job; a running copy of it stops within a second. Again, it stays cancelled."""

        def cancel() -> JobView:
            if (job := self._found(job_id)).state is JobState.CANCELLED:
                return job
            try:
                self._backend.store.jobs.cancel(job_id)
            except RuleError as error:
                raise _illegal(self._found(job_id), OperatorMove.CANCEL) from error
            return self._found(job_id)

        return await self._lanes.writes.run(cancel)

    def _found(self, job_id: int) -> JobView:
        record = self._backend.store.rows.job(job_id)
        if record is None:
            raise ApiError(Code.NOT_FOUND, f"There is no job {job_id}.")
        return JobView.model_validate(shown(record))


def _illegal(job: JobView, move: OperatorMove) -> ApiError:
    details = {"state": job.state.value, "legal_moves": [target.value for target in legal_moves(job.state)]}
    return ApiError(Code.ILLEGAL_MOVE, f"{refusal(job.id, job.state, move).capitalize()}.", details=details)
