"""A laboratory for accidents: queues runs, kills the application at a named point, relaunches it, checks for losses.

Every kill proves that it landed. The lab remembers each queued run with a picture of its content, so that
`assert_nothing_lost` can check the disks and the database instead of trusting the program.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from exlab_wizard.crash_points import Point
from exlab_wizard.diagnosis.audit import audit
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.text.amounts import elapsed
from exlab_wizard.domain.views import Job
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.open_store import opened
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.testing.application import KILLED, PATIENCE_SECONDS, RUN, Application, Process, until
from exlab_wizard.testing.runs import Picture, picture, write_run
from exlab_wizard.testing.victim import Notes
from exlab_wizard.workers.attempt import final_parts

PROGRAM: Final = "exlab_wizard"
SMALL_RUN: Final = {"a.raw": 300_000, "frames/1.tif": 70_000, "frames/2.tif": 5}


@dataclass(frozen=True, slots=True)
class Handed:
    """A run that was queued durably."""

    run: Path
    job_id: int
    content: Picture


class Lab(Application):
    """An `Application` with runs to sync and traps to spring."""

    victim = "exlab_wizard.testing.victim"
    """The module that springs the traps; a test of the lab itself may set a harmless one."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.handed: list[Handed] = []
        self._notes = Notes(home / "no-notes-yet")

    def make_run(self, name: str = "run-1", files: Mapping[str, int] = SMALL_RUN, seed: int = 1) -> Path:
        """Write a run of the given files and sizes, as if an instrument had finished it an hour ago."""
        return write_run(self.home / "instrument" / name, files, seed)

    def sync(self, run: Path, *, equipment: str | None = None, priority: int = 0) -> int:
        """Queue a run as `exlab-wizard sync` does, and return its job; from now on it must not be lost."""
        content = picture(run)
        with opened(StateDir(self.state), create=True) as store:
            job = NewJob(str(run), "nas", equipment_id=equipment, priority=priority)
            job_id = store.jobs.enqueue(job, SystemClock().now()).job_id
        self.handed.append(Handed(run, job_id, content))
        return job_id

    def kill_at(
        self,
        point: Point | str,
        *command: str,
        nth: int = 1,
        module: str = PROGRAM,
        meanwhile: Callable[[], None] | None = None,
        within: float = PATIENCE_SECONDS,
    ) -> None:
        """Start the application so that it dies by SIGKILL when it reaches `point` for the nth time, and see it die.

        Another `command` of the program, or another `module` with its arguments, dies the same way. `meanwhile` is
        called once the application is ready, for example to make it reach the point.

        Raises:
            AssertionError: it did not die there; the message lists the points that it reached.
        """
        process = self._trapped("kill", Point(point), nth, module, command)
        try:
            if meanwhile is not None:
                self.until_ready()
                meanwhile()
            process.wait(within)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE_SECONDS)
            raise AssertionError(self._missed(Point(point), nth, f"still ran after {elapsed(within)}")) from None
        if process.returncode != KILLED:
            raise AssertionError(self._missed(Point(point), nth, f"exited with {process.returncode}"))
        if not self._sprang("kill", Point(point), nth):
            raise AssertionError(self._missed(Point(point), nth, "was killed by another process"))

    @contextlib.contextmanager
    def held_at(
        self, point: Point | str, *command: str, nth: int = 1, module: str = PROGRAM, within: float = PATIENCE_SECONDS
    ) -> Iterator[None]:
        """Start the application and hold the thread that reaches `point` for the nth time, until the block is left.

        Raises:
            AssertionError: the point was not reached; the message lists those that were.
        """
        process = self._trapped("hold", Point(point), nth, module, command)

        def is_held() -> bool:
            if process.poll() is not None:
                raise AssertionError(self._missed(Point(point), nth, f"exited with {process.returncode}"))
            return self._sprang("hold", Point(point), nth)

        until(is_held, within, f"the program to reach {point}")
        try:
            yield
        finally:
            self._notes.release()

    def _trapped(self, act: str, point: Point, nth: int, module: str, command: tuple[str, ...]) -> Process:
        self._require_dead()
        path = self.home / f"launch-{self._starts + 1}.notes"
        self._notes = Notes(path)
        trap = [sys.executable, "-m", self.victim, str(path), act, point.value, str(nth), module]
        place = ["--state-dir", str(self.state)] if module == PROGRAM else []
        return self._spawn([*trap, *place, *(command or RUN)])

    def _sprang(self, act: str, point: Point, nth: int) -> bool:
        """Return whether the victim noted that it acted, right after it reached the point for the nth time."""
        lines = self._notes.lines()
        return (act, point) in lines and lines[: lines.index((act, point))].count(("reached", point)) == nth

    def _missed(self, point: Point, nth: int, what: str) -> str:
        reached = ", ".join(point for word, point in self._notes.lines() if word == "reached") or "none"
        return f"{point} was not reached {nth} time(s): the program {what}. Points reached: {reached}.\n{self.log()}"

    def _require_dead(self) -> None:
        if self._process is not None and self._process.poll() is None:
            raise AssertionError("the application is still running: kill or quit it before launching it again")

    def relaunch(self) -> None:
        """Start the application again after its death, and return when it is ready."""
        self._require_dead()
        self.start()

    def quit(self) -> None:
        """Send SIGTERM to the running application, without waiting for its end."""
        self.process.terminate()

    def until_idle(self, timeout: float = PATIENCE_SECONDS) -> None:
        """Return when nothing is pending.

        Raises:
            AssertionError: the timeout passed; the message lists the pending jobs.
        """
        with self.store() as store:
            try:
                until(lambda: not store.status.pending(), timeout)
            except AssertionError as error:
                jobs = [store.rows.job(handed.job_id) for handed in self.handed]
                msg = f"still pending after {elapsed(timeout)}: {store.status.pending()}\n{jobs}\n{self.log()}"
                raise AssertionError(msg) from error

    def losses(self) -> list[str]:
        """Return one sentence for each thing that is lost, damaged or left over."""
        lost = [f"process {process.pid} is left over: {process.info['cmdline']}" for process in self._leftovers()]
        if not self.database.exists():
            return lost + [f"{handed.run} was queued, but there is no database" for handed in self.handed]
        with self.store() as store:
            faults = audit(store, SettingsFile(self.config).read())
            lost += [f"{fault.subject}: {fault.detail} ({fault.rule})" for fault in faults]
            rows = {handed.job_id: store.rows.job(handed.job_id) for handed in self.handed}
        for handed in self.handed:
            row = rows[handed.job_id]
            if row is None or row.run_path != str(handed.run):
                lost.append(f"{handed.run} was queued as job {handed.job_id}, but that job is {row}")
        for handed in {handed.run: handed for handed in self.handed}.values():  # as it was queued last
            lost += self._differences(handed, rows[handed.job_id])
        return lost

    def _differences(self, handed: Handed, job: Job | None) -> list[str]:
        if picture(handed.run) != handed.content:
            return [f"{handed.run} has changed since it was queued"]
        if job is None or job.state is not JobState.VERIFIED:
            return []
        final = self.nas.joinpath(*final_parts(str(handed.run), job.equipment_id))
        published = picture(final)
        return [
            f"{final / name} is {published.get(name)}, but {handed.run / name} is {wanted}"
            for name, wanted in handed.content.items()
            if published.get(name) != wanted
        ]

    def _leftovers(self) -> list[psutil.Process]:
        """Return the processes that use this state dir or destination and are not the running application."""
        mine = {os.getpid()} | ({self._process.pid} if self._process is not None else set())
        places = (str(self.state), str(self.nas))
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if process.pid not in mine
            if any(place in word for word in process.info["cmdline"] or () for place in places)
        ]

    def assert_nothing_lost(self) -> None:
        """Fail unless every queued run is there, whole and unchanged, and nothing contradicts it.

        Raises:
            AssertionError: the message has one line for each loss.
        """
        if lost := self.losses():
            raise AssertionError("\n".join(["lost, damaged or left over:", *lost]))
