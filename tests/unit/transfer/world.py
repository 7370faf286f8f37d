"""A run, a destination and checkpoints in memory, with places where a test can make an accident happen."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from exlab_wizard.domain.files import FileRecord, JobProgress
from exlab_wizard.domain.outcome import Completed
from exlab_wizard.transfer.copy.bandwidth import TokenBucket
from exlab_wizard.transfer.destination.marker import create_marker
from exlab_wizard.transfer.ports import TransferControl, TransferRequest
from exlab_wizard.transfer.walk import MountTransfer


class MemoryCheckpoints:
    """Keeps rows as the database would; `on_checkpoint` is called before each one takes effect."""

    def __init__(self) -> None:
        self.rows: dict[str, FileRecord] = {}
        self.progress: list[JobProgress] = []
        self.put: list[str] = []
        self.sent = False
        self.on_checkpoint: Callable[[Sequence[FileRecord]], None] = lambda _files: None
        self.after_checkpoint: Callable[[Sequence[FileRecord]], None] = lambda _files: None

    def load(self) -> list[FileRecord]:
        return sorted(self.rows.values(), key=lambda row: row.path)

    def write_manifest(self, put: Sequence[FileRecord], drop: Sequence[str], progress: JobProgress) -> None:
        for row in put:
            self.rows[row.path] = row
        for path in drop:
            del self.rows[path]
        self.progress.append(progress)

    def write(self, files: Sequence[FileRecord], progress: JobProgress) -> None:
        self.on_checkpoint(files)
        for row in files:
            self.rows[row.path] = row
        self.put += [row.path for row in files]
        self.progress.append(progress)
        self.after_checkpoint(files)

    def all_sent(self) -> None:
        self.sent = True


@dataclass
class World:
    """One run and one destination below `home`."""

    home: Path
    checkpoints: MemoryCheckpoints = field(default_factory=MemoryCheckpoints)
    control: TransferControl = field(default_factory=TransferControl)
    limiter: TokenBucket = field(default_factory=lambda: TokenBucket(lambda: None))
    settle_s: float = 0.0
    host: str = "lab-1"
    job_key: str = "lab-1-7"

    def __post_init__(self) -> None:
        self.run = self.home / "run"
        self.nas = self.home / "nas"
        self.run.mkdir(exist_ok=True)
        self.nas.mkdir(exist_ok=True)
        create_marker(self.nas, "nas")
        self.final = self.nas / "scope" / "run"
        self.incoming = self.nas / ".exlab-incoming" / self.job_key

    def write(self, name: str, content: bytes = b"data") -> Path:
        path = self.run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def big(self, name: str, mib: int) -> Path:
        return self.write(name, b"".join(os.urandom(1 << 20) for _ in range(mib)))

    def request(self) -> TransferRequest:
        parts = ("scope", "run")
        return TransferRequest(7, self.job_key, self.run, self.nas, parts, self.settle_s, self.host)

    def sync(self) -> Completed:
        return MountTransfer(self.request(), self.checkpoints, self.control, self.limiter).run()

    def again(self) -> None:
        """A new launch: nobody asked to stop, nothing is in the way."""
        self.control = TransferControl()
        self.checkpoints.on_checkpoint = self.checkpoints.after_checkpoint = lambda _files: None
        self.checkpoints.put.clear()
        self.checkpoints.progress.clear()

    def next_job(self) -> None:
        """The run is queued once more."""
        self.again()
        self.checkpoints = MemoryCheckpoints()
        self.job_key += "-next"
        self.incoming = self.nas / ".exlab-incoming" / self.job_key

    def sha256sum_passes(self) -> bool:
        command = ["sha256sum", "--strict", "-c", ".exlab-wizard/checksums.sha256"]
        return subprocess.run(command, cwd=self.final, capture_output=True, check=False).returncode == 0
