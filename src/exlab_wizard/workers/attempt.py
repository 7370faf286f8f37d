"""One attempt at one job: runs the transfer and returns its outcome as a value."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from exlab_wizard.domain.bandwidth import limit_at
from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.domain.outcome import Deferred, Failed, Interrupted, Outcome, Superseded
from exlab_wizard.errors import ClaimLostError, StoppedError, StoreError, TransferError, TransferWaitError
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.claims import ClaimedJob
from exlab_wizard.store.store import Store
from exlab_wizard.transfer.copy.bandwidth import TokenBucket
from exlab_wizard.transfer.failures import exhausted, is_exhaustion
from exlab_wizard.transfer.ports import TransferControl, TransferRequest
from exlab_wizard.transfer.walk import MountTransfer
from exlab_wizard.workers.checkpoints import DatabaseCheckpoints

log = logging.getLogger(__name__)


class Attempts:
    """Everything that an attempt needs besides its job; `progressed` is called after each durable checkpoint."""

    def __init__(
        self, store: Store, settings: SettingsFile, installation: str, host: str, progressed: Callable[[], None]
    ) -> None:
        self._store, self.settings, self._progressed = store, settings, progressed
        self._installation, self._host = installation, host
        self._buckets: dict[str, TokenBucket] = {}
        self._lock = threading.Lock()

    def run(self, job: ClaimedJob, control: TransferControl) -> Outcome:
        """Sync the job's run and return the outcome; never raises."""
        try:
            return self._transfer(job, control).run()
        except ClaimLostError:
            return Superseded()
        except StoppedError as stopped:
            return Interrupted(str(stopped))
        except TransferWaitError as wait:
            return Deferred(wait.reason, wait.detail)
        except TransferError as error:
            return Failed(error.kind, str(error))
        except BaseException as error:  # boundary: whatever happens to one run, the others continue
            return Failed(ErrorKind.UNKNOWN, _explained(job, error))

    def _transfer(self, job: ClaimedJob, control: TransferControl) -> MountTransfer:
        settings = self.settings.current
        destination = settings.destinations.get(job.destination)
        if destination is None:
            hint = f"Add it with: exlab-wizard destination add {job.destination} FOLDER; then retry the job."
            raise TransferError("No such destination", job.destination, hint, ErrorKind.CONFIG)
        run = Path(job.run_path)
        request = TransferRequest(
            job_id=job.job_id,
            job_key=job_key(self._installation, job.job_id),
            run_path=run,
            destination=destination.folder,
            final_parts=final_parts(job.run_path, job.equipment_id),
            settle_s=settings.sync.settle_s,
            host=self._host,
            marker_id=destination.marker,
        )
        checkpoints = DatabaseCheckpoints(self._store, job, control, self._progressed)
        return MountTransfer(request, checkpoints, control, self._bucket(job.destination))

    def _bucket(self, destination: str) -> TokenBucket:
        """Return the one bandwidth limit of `destination`, which all workers share."""

        def limit() -> float | None:
            settings = self.settings.current.destinations.get(destination)
            if settings is None:
                return None
            # The schedule is in the operator's own hours, so it is local time that counts here.
            return limit_at(settings.limit_bytes_s, settings.windows, datetime.now().astimezone())

        with self._lock:
            if destination not in self._buckets:
                self._buckets[destination] = TokenBucket(limit)
            return self._buckets[destination]


def _explained(job: ClaimedJob, error: BaseException) -> str:
    if isinstance(error, StoreError):
        return str(error)
    if is_exhaustion(error):
        return exhausted(error)
    log.error("job %d: unexpected error", job.job_id, exc_info=error)
    # A name that is not Unicode could not be written into the row, and the job would stay in flight.
    return f"{type(error).__name__}: {error}".encode(errors="backslashreplace").decode()


def job_key(installation: str, job_id: int) -> str:
    """Return the name of a job's incoming folder: workstations share destinations, and each counts its jobs from 1."""
    return f"{installation}-{job_id}"


def final_parts(run_path: str, equipment_id: str | None) -> tuple[str, ...]:
    """Return the folder names from a destination down to a run's final path."""
    name = Path(run_path).name
    return (equipment_id, name) if equipment_id else (name,)
