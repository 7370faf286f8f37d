"""One run on its way to one destination: how it stands, what happened to it, its files, and what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from exlab_wizard.domain.job import IN_FLIGHT, JobState, operator_moves
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.domain.text.jobs import REMEDIES, budget
from exlab_wizard.domain.views import Job
from exlab_wizard.errors import TransferWaitError
from exlab_wizard.server.api.jobs import JobRoutes
from exlab_wizard.server.api.models import LARGEST_ID
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.page.forms import done, path_of
from exlab_wizard.server.page.timeline import step
from exlab_wizard.server.page.views import Values, Views
from exlab_wizard.server.page.words import done_percent
from exlab_wizard.server.thread_pools import ThreadPools
from exlab_wizard.transfer.destination.marker import probe
from exlab_wizard.transfer.destination.receipt import read_receipt
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.workers.attempt import final_parts

STEPS: Final = 50
FILES: Final = 50
TIMEOUT_SECONDS: Final = 5.0
_SKIPPED_SHOWN: Final = 100
RunId = Annotated[int, Path(ge=1, le=LARGEST_ID)]


class RunRoutes:
    """`/runs/{id}`, its receipt, and its buttons, by the same code as the API."""

    def __init__(self, views: Views, backend: Backend, pools: ThreadPools, jobs: JobRoutes) -> None:
        self._views = views
        self._backend = backend
        self._pools = pools
        self._jobs = jobs
        self.router = APIRouter(include_in_schema=False)
        get, one = ["GET", "HEAD"], "/runs/{run_id}"
        self.router.add_api_route(one, self.show, methods=get)
        self.router.add_api_route(f"{one}/receipt", self.receipt, methods=get)
        self.router.add_api_route(f"{one}/retry", self.retry, methods=["POST"])
        self.router.add_api_route(f"{one}/cancel", self.cancel, methods=["POST"])

    async def show(self, request: Request, run_id: RunId) -> Response:
        """Show the run."""
        query = request.query_params
        before, after = query.get("before", ""), query.get("after", "")
        number = int(before) if before.isdecimal() and len(before) < len(str(LARGEST_ID)) else None
        try:
            behind = path_of(after)
        except ValueError:
            behind = ""
        return await self._views.show(request, "run.html", lambda: self._read(run_id, number, behind), follows=True)

    def _read(self, run_id: int, before: int | None, after: str) -> Values:
        store = self._backend.store
        job = self._found(run_id)
        events = store.rows.events_page(run_id, limit=STEPS, before=before)
        files, following = store.rows.files(run_id, limit=FILES, after=after)
        state, kind = job.state, job.error_kind
        return {
            "job": job,
            "percent": done_percent(job),
            "session": None if job.session_id is None else store.sessions.find(job.session_id),
            "steps": [step(event) for event in events],
            "older": events[-1].id if len(events) == STEPS else None,
            "newest": before is None,
            "files": files,
            "after": after,
            "following": following,
            "told": budget(job),
            "remedy": REMEDIES[kind] if kind is not None and state is JobState.FAILED else None,
            "in_flight": state in IN_FLIGHT,
            "moves": operator_moves(state),
            "verified": state in (JobState.VERIFIED, JobState.CLEANED),
        }

    def _found(self, run_id: int) -> Job:
        job = self._backend.store.rows.job(run_id)
        if job is None:
            raise ApiError(Code.NOT_FOUND, f"There is no run {run_id}.")
        return job

    async def retry(self, request: Request, run_id: RunId) -> Response:
        """Queue the failed run again."""
        await self._jobs.retry(run_id)
        return done(request, f"/runs/{run_id}")

    async def cancel(self, request: Request, run_id: RunId) -> Response:
        """Cancel the run."""
        await self._jobs.cancel(run_id)
        return done(request, f"/runs/{run_id}")

    async def receipt(self, request: Request, run_id: RunId) -> Response:
        """Show the receipt, read now from the destination."""
        job = await self._pools.reads.run(lambda: self._found(run_id))
        found: Mapping[str, object] = {}
        fault = ""
        try:
            found = await self._pools.folders.run(job.destination, lambda: self._receipt(job), TIMEOUT_SECONDS)
        except TimeoutError:
            fault = f"The destination did not answer within {elapsed(TIMEOUT_SECONDS)}. Check the share."
        except (TransferWaitError, OSError, ValueError) as error:
            fault = f"{error}"
        rows = {"job": job, "receipt": found, "fault": fault, "skipped_shown": _SKIPPED_SHOWN}
        return await self._views.show(request, "receipt.html", lambda: rows, status=404 if fault else 200)

    def _receipt(self, job: Job) -> Mapping[str, object]:
        destination = self._backend.settings.current.destinations.get(job.destination)
        if destination is None:
            msg = f"The destination {job.destination!r} is no longer configured."
            raise ValueError(msg)
        probe(destination.folder, destination.marker)
        with Tree(destination.folder.joinpath(*final_parts(job.run_path, job.equipment_id))) as final:
            return read_receipt(final)
