"""The stage of the demo: a scratch folder, runs to sync, and the real program as a process that can be killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from exlab_wizard.domain.codec import Json
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.errors import ExlabError

LARGE_MIB: Final = 192
SMALL_FILES: Final = 300
SLOW_MIB_S: Final = 24
CRAWL_MIB_S: Final = 2
"""So slow that even a busy machine, which starts processes in seconds, kills or quits in the middle of a copy."""
_SMALL_BYTES: Final = 40_000
_TIMEOUT_SECONDS: Final = 120.0
_POLL_INTERVAL_SECONDS: Final = 0.05
_AN_HOUR: Final = 3600
ODD_NAMES: Final = ("-rf", "two  spaces", "ümlaut.txt", "[red]brackets")
_POSIX_ONLY: Final = ("new\nline", "back\\slash", "*?.dat", os.fsdecode(b"not-utf8-\xff"))


class DemoStage:
    """A scratch folder with a state dir, a destination and runs, and at most one running application."""

    def __init__(self, root: Path) -> None:
        self.root, self.state, self.nas = root, root / "state", root / "nas"
        self.process: subprocess.Popen[str] | None = None
        self.nas.mkdir()

    def program(self, *arguments: str) -> str:
        """Run one command of the real program and return its output.

        Raises:
            ExlabError: the exit status is not 0.
        """
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            msg = f"`exlab-wizard {' '.join(arguments)}` exited with status {done.returncode}: {done.stderr}"
            raise ExlabError(msg)
        return done.stdout

    def sql(self, query: str) -> list[dict[str, Json]]:
        """Return the rows of `exlab-wizard sql`."""
        rows: list[dict[str, Json]] = json.loads(self.program("sql", query, "--json"))
        return rows

    def limit(self, mib_s: int | None) -> None:
        """Change the destination's bandwidth limit in the configuration; a running application reads it again."""
        config = self.state / "config.toml"
        lines = [line for line in config.read_text(encoding="utf-8").splitlines() if "bandwidth_mib_s" not in line]
        if mib_s is not None:
            lines.append(f"bandwidth_mib_s = {mib_s}")
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def launch(self) -> dict[str, Json]:
        """Start the application and return its ready message.

        Raises:
            ExlabError: it did not start.
        """
        log = (self.root / "application.log").open("a", encoding="utf-8")
        with log:
            self.process = subprocess.Popen(
                self._command("run", "--headless", "--json"), stdout=subprocess.PIPE, stderr=log, text=True
            )
        line = self.process.stdout.readline() if self.process.stdout else ""
        if not line:
            msg = f"the application did not start: {(self.root / 'application.log').read_text()}"
            raise ExlabError(msg)
        ready: dict[str, Json] = json.loads(line)
        return ready

    def kill(self) -> int:
        """Kill the application without warning and return its exit status, which proves that it was killed."""
        if self.process is not None:
            self.process.kill()
        return self.wait_for_exit()

    def wait_for_exit(self) -> int:
        """Return the exit status of the application once it has quit."""
        if self.process is None:
            raise ExlabError("the application was not started")
        return self.process.wait(_TIMEOUT_SECONDS)

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Return when `holds()`.

        Raises:
            ExlabError: it does not within the demo's timeout; `what` names the condition.
        """
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                msg = f"waited {elapsed(_TIMEOUT_SECONDS)}, but this did not happen: {what}"
                raise ExlabError(msg)
            if self.process is not None and self.process.poll() is not None:
                msg = f"the application exited with status {self.process.returncode} before this happened: {what}"
                raise ExlabError(msg)
            time.sleep(_POLL_INTERVAL_SECONDS)

    def close(self) -> None:
        """Kill the application if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "exlab_wizard", "--state-dir", str(self.state), *arguments]


def make_run(folder: Path, seed: int, large_mib: int, small_files: int) -> int:
    """Write a run of one large file, small ones and odd names, dated an hour ago; return its bytes."""
    noise = random.Random(seed)  # noqa: S311 - test data, no secret
    folder.mkdir(parents=True)
    with (folder / "detector.raw").open("wb") as large:
        for _ in range(large_mib):
            large.write(noise.randbytes(1 << 20))
    small = folder / "frames"
    small.mkdir()
    for number in range(small_files):
        (small / f"frame-{number:04d}.tif").write_bytes(noise.randbytes(_SMALL_BYTES))
    odd = folder / "odd names"
    odd.mkdir()
    for name in ODD_NAMES + (_POSIX_ONLY if os.name == "posix" else ()):
        (odd / name).write_bytes(name.encode(errors="surrogateescape"))
    (folder / "empty folder").mkdir()
    an_hour_ago = time.time() - _AN_HOUR
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (an_hour_ago, an_hour_ago))
    return sum(path.stat().st_size for path in files)


@contextmanager
def stage(*, keep: bool) -> Iterator[DemoStage]:
    """Lend a stage in a temporary folder, and remove the folder afterwards unless `keep`."""
    root = Path(tempfile.mkdtemp(prefix="exlab-wizard-demo-"))
    here = DemoStage(root)
    try:
        yield here
    finally:
        here.close()
        if not keep:
            shutil.rmtree(root, ignore_errors=True)
