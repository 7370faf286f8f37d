"""The real program under a shim that makes its system calls fail, with runs to sync and words to look for."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.crash.faults.shim import Faults
from tests.support.program import MIB, Program, until, write_run

BIG: Final = "big.raw"
SMALL: Final = "folder/small.txt"
RUN: Final = {BIG: 9 * MIB, SMALL: 70_000, "folder/tiny.txt": 5}


@dataclass(frozen=True)
class Ending:
    """How an attempt ended, such as `tried again: network` or `waits: destination_full`, and the sentence about it."""

    reason: str
    detail: str


class FaultyProgram(Program):
    """The program, whose system calls fail as `faults` says."""

    def __init__(self, home: Path, library: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        super().__init__(home)
        self.faults = Faults(library, home / "faults")
        self.environment |= self.faults.environment
        # No system bus, on whatever machine: what is asked of it costs descriptors and memory at its own times.
        self.environment["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={home / 'no-bus'}"
        self.configure()
        self._number = 0

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, value, trace)
        if kind is None and self._starts:
            assert "Traceback" not in self.log()

    def new_run(self, files: dict[str, int] | None = None) -> Path:
        """Write a run of a name of its own."""
        self._number += 1
        return write_run(self.home / f"run-{self._number}", RUN if files is None else files, seed=self._number)

    def endings(self, job: int) -> list[Ending]:
        """Return how the attempts at the job ended that did not bring it to its end, the oldest first."""
        found = self.query(
            "SELECT reason, detail FROM job_events WHERE job_id = ? AND to_state IN ('queued', 'failed')"
            " AND from_state IN ('running', 'verifying') ORDER BY id",
            job,
        )
        return [Ending(str(reason), str(detail or "")) for reason, detail in found]

    def ending(self, job: int, number: int = 1) -> Ending:
        """Return how that attempt at the job ended; fail when it went well."""

        def ended() -> list[Ending]:
            verified = self.job_state(job) == "verified"
            found = self.endings(job)[number - 1 :]
            assert found or not verified, f"nothing kept job {job} from its end"
            return found

        return until(ended, what=f"attempt {number} at job {job} to end")[0]

    def make_due(self, job: int) -> None:
        """Let the job be tried now, as an administrator would: retries are due, failed jobs are queued again."""
        self.query("UPDATE sync_jobs SET state = 'queued' WHERE id = ? AND state = 'failed'", job)
        self.query("UPDATE sync_jobs SET not_before = NULL WHERE id = ? AND state = 'queued'", job)

    def verified(self, job: int) -> None:
        """Return when the job is verified; fail when it ends otherwise."""

        def arrived() -> bool:
            state = self.job_state(job)
            assert state != "failed", self.endings(job)
            return state == "verified"

        until(arrived, what=f"job {job} to be verified")

    def arrived_whole(self, run: Path) -> bool:
        """Return whether the run stands at its final path, equal byte by byte."""
        return self.checksums_pass(run.name) and hashes(self.nas / run.name) == hashes(run)


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below the folder but our own notes."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and ".exlab-wizard" not in path.parts)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def number_of(name: str) -> int:
    """Return the number of an error: `number_of("EIO")`."""
    return {word: number for number, word in errno.errorcode.items()}[name]
