"""Checks the runs that a client names before they are queued, in threads that a hanging share may block."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from exlab_wizard.errors import TransferError
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.thread_pools import ThreadPool
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.transfer.source.run_path import checked_run, equipment_fault

TIMEOUT_SECONDS: Final = 10.0


class RunCheck:
    """Refuses runs that cannot be synced."""

    def __init__(self, backend: Backend, pool: ThreadPool) -> None:
        """Read paths in `pool`."""
        self._backend = backend
        self._pool = pool

    async def check(self, jobs: Sequence[NewJob], fields: Sequence[str]) -> list[NewJob]:
        """Return `jobs` with normalized paths; `fields` names each path in the request.

        Raises:
            ApiError: one of them cannot be synced.
        """
        try:
            return await self._pool.run(lambda: self._checked(jobs, fields), TIMEOUT_SECONDS)
        except TimeoutError:
            message = (
                f"The file system of the run or of a destination did not answer within {TIMEOUT_SECONDS:g} s."
                " Check that both are reachable, then try again."
            )
            raise ApiError(Code.PATH_UNREACHABLE, message) from None

    def _checked(self, jobs: Sequence[NewJob], fields: Sequence[str]) -> list[NewJob]:
        destinations = self._backend.destinations()
        roots = [Path(root) for root in self._backend.settings.current.server.roots]
        checked: list[NewJob] = []
        for job, field in zip(jobs, fields, strict=True):
            _check_names(job, field, list(destinations))
            run = self._run(job.run_path, field)
            if roots and not any(Path(run).resolve().is_relative_to(root.resolve()) for root in roots):
                message = f"The run {run!r} is outside the folders that `server.roots` allows. Add its folder there."
                raise ApiError(Code.OUTSIDE_ROOTS, message, field=field)
            checked.append(NewJob(run, job.destination, job.equipment_id, job.session_id, job.priority))
        return checked

    def _run(self, path: str, field: str) -> str:
        if not Path(path).is_absolute():
            message = f"{field}: give the absolute path of the run."
            raise ApiError(Code.INVALID, message, field=field)
        try:
            return checked_run(path, self._backend.destinations(), self._backend.state_dir)
        except TransferError as error:
            raise ApiError(Code.RUN_REFUSED, str(error), field=field, details={"kind": error.kind.value}) from error


def check_equipment(equipment: str | None) -> None:
    """Check that the instrument is a plain name, or not given.

    Raises:
        ApiError: it is another name.
    """
    fault = None if equipment is None else equipment_fault(equipment)
    if fault:
        raise ApiError(Code.INVALID, f"{fault[0].upper()}{fault[1:]}.", field="equipment_id")


def _check_names(job: NewJob, field: str, known: list[str]) -> None:
    check_equipment(job.equipment_id)
    if job.destination not in known:
        beside = f"{field.rpartition('.')[0]}.destination".lstrip(".")
        message = f"There is no destination {job.destination!r}. Known: {', '.join(known) or 'none'}."
        raise ApiError(Code.UNKNOWN_DESTINATION, message, field=beside, details={"known": known})
