"""Checks the runs that a client names before they are queued, in threads that a hanging share may block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.errors import TransferError
from exlab_wizard.server.backend import Backend
from exlab_wizard.server.errors import ApiError, Code
from exlab_wizard.server.thread_pools import ThreadPool
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.transfer.source.run_path import checked_run, equipment_fault

TIMEOUT_SECONDS: Final = 10.0


async def check_runs(backend: Backend, pool: ThreadPool, jobs: Sequence[NewJob], fields: Sequence[str]) -> list[NewJob]:
    """Return `jobs` with normalized paths, checked in `pool`; `fields` names each path in the request.

    Raises:
        ApiError: one of them cannot be synced.
    """
    try:
        return await pool.run(
            lambda: [_checked(backend, job, field) for job, field in zip(jobs, fields, strict=True)], TIMEOUT_SECONDS
        )
    except TimeoutError:
        message = (
            f"The file system of the run or of a destination did not answer within {elapsed(TIMEOUT_SECONDS)}."
            " Check that both are reachable, then try again."
        )
        raise ApiError(Code.PATH_UNREACHABLE, message) from None


def _checked(backend: Backend, job: NewJob, field: str) -> NewJob:
    destinations, roots = backend.destinations(), backend.settings.current.server.roots
    _check_names(job, field, list(destinations))
    if not Path(job.run_path).is_absolute():
        raise ApiError(Code.INVALID, f"{field}: give the absolute path of the run.", field=field)
    try:
        run = checked_run(job.run_path, destinations, backend.state_dir)
    except TransferError as error:
        raise ApiError(Code.RUN_REFUSED, str(error), field=field, details={"kind": error.kind.value}) from error
    if roots and not any(Path(run).resolve().is_relative_to(Path(root).resolve()) for root in roots):
        message = f"The run {run!r} is outside the folders that `server.roots` allows. Add its folder there."
        raise ApiError(Code.OUTSIDE_ROOTS, message, field=field)
    return replace(job, run_path=run)


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
