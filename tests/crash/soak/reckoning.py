"""Looks for what was lost, doubled, damaged or done again for nothing: after each launch, now and then, and at the end.

It asks the disks and the database, and compares them with what the book knows. Runs that passed are removed with their
rows, so that a soak of hours fits on a disk.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from tests.crash.soak.book import Book, Run
from tests.crash.soak.endings import KILLED
from tests.crash.soak.scene import EQUIPMENT, WORKERS, Scene
from tests.support.program import MIB, picture

from exlab_wizard.diagnosis.audit import audit
from exlab_wizard.domain.clock import from_text
from exlab_wizard.domain.outcome import CRASH_LIMIT
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.sqlite.values import Value
from exlab_wizard.store.upkeep.invariants import PROGRESS_RULES, check, check_rows
from exlab_wizard.transfer.destination.marker import MARKER
from exlab_wizard.transfer.destination.publish import INCOMING
from exlab_wizard.transfer.source.manifest import OWN_FOLDER

AGAIN_AT_MOST: Final = 64 * MIB * WORKERS
SETTLED_SECONDS: Final = 30.0
"""An edit that ended so long before a run was verified must be in what was published."""
BYTES_FOR_EACH_ROW: Final = 1024
EMPTY_DATABASE_BYTES: Final = 2 * MIB

JOBS: Final = (
    "SELECT id, CAST(run_path AS TEXT), state, launch_id, crashes, progress_mark, bytes_done, bytes_resumed,"
    " error_kind, error_detail, verified_at FROM sync_jobs"
)
RETRY: Final = "UPDATE sync_jobs SET state = 'queued' WHERE id = ? AND state = 'failed'"
LAST_LAUNCH: Final = "SELECT id, end_reason FROM launches ORDER BY id DESC LIMIT 1"
OVERDUE: Final = (
    "SELECT id, label FROM session_leases"
    " WHERE state = 'active' AND expires_at < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-5 seconds')"
)
ROWS: Final = (
    "SELECT (SELECT count(*) FROM sync_jobs) + (SELECT count(*) FROM sync_files) + (SELECT count(*) FROM job_events)"
    " + (SELECT count(*) FROM launches) + (SELECT count(*) FROM session_leases) + (SELECT count(*) FROM quit_requests)"
)


@dataclass(frozen=True, slots=True)
class Job:
    """A row of `sync_jobs`, as far as it matters here."""

    id: int
    run: Path
    state: str
    launch: int
    crashes: int
    mark: int
    done: int
    resumed: int
    error_kind: str | None
    error_detail: str | None
    verified_at: str | None

    @property
    def in_flight(self) -> bool:
        return self.state in {"running", "verifying"}


class Reckoning:
    """Everything that is compared."""

    def __init__(self, scene: Scene, book: Book) -> None:
        self._scene, self._book = scene, book
        self._marks: dict[int, list[int]] = {}
        """For each job its progress at each crash that it was in flight at."""
        self._to_resume: dict[int, Job] = {}
        self.most_sent_again = 0
        self._removed = scene.home / "removed"
        self._removed.mkdir()
        self._removing: threading.Thread | None = None

    def jobs(self) -> list[Job]:
        """Return every job."""
        return [_job(row) for row in self._scene.query(JOBS)]

    def after_launch(self, status: int) -> None:
        """Compare what a launch left with how it ended; nothing runs now."""
        jobs = self.jobs()
        rows = self._scene.query(LAST_LAUNCH)
        if not rows:
            return
        launch, reason = rows[0]
        in_flight = [job for job in jobs if job.in_flight]
        if reason == "drained" and in_flight:
            self._book.violated(f"launch {launch!r} says drained, and left in flight: {in_flight}")
        if status != KILLED and reason is None:
            self._book.count("quits without a receipt")
        self._check_resumed(jobs)
        if reason is None:
            self._book.count("jobs cut off", len(in_flight))
            for job in in_flight:
                self._marks.setdefault(job.id, []).append(job.mark)
            self._count_sent_again(in_flight)

    def _count_sent_again(self, in_flight: list[Job]) -> None:
        lying = self._scene.bytes_in_incoming()
        again = 0
        for job in in_flight:
            run = self._book.run_at(job.run)
            if job.state == "running" and run is not None and run.edited_at is None:
                again += max(0, lying.get(job.id, 0) - job.done)
                self._to_resume[job.id] = job
        self._book.count("bytes sent again", again)
        self.most_sent_again = max(self.most_sent_again, again)
        if again > AGAIN_AT_MOST:
            self._book.violated(f"{again} bytes are to be sent again after one kill: {in_flight}")

    def _check_resumed(self, jobs: list[Job]) -> None:
        """See that a later attempt went on at least where the row stood when the launch died."""
        for job in jobs:
            before = self._to_resume.get(job.id)
            run = self._book.run_at(job.run)
            if before is None or run is None or job.launch == before.launch:
                continue
            began = job.resumed > 0 or (job.state == "running" and job.done not in {before.done, 0})
            if run.edited_at is not None or job.state == "cancelled":
                del self._to_resume[job.id]
            elif began:
                del self._to_resume[job.id]
                if job.resumed < before.done:
                    self._book.violated(f"job {job.id} had {before.done} bytes, and went on at {job.resumed}")

    def retry_failed(self) -> None:
        """Look at what failed: a crash loop that three kills without progress explain is retried, all else is wrong."""
        for job in self.jobs():
            if job.state != "failed":
                continue
            marks = self._marks.get(job.id, [])[-CRASH_LIMIT:]
            if job.error_kind == "crash_loop" and len(marks) == CRASH_LIMIT and len(set(marks)) == 1:
                self._book.count("crash loops, as three kills without progress mean it")
            else:
                self._book.violated(f"job {job.id} failed: {job.error_kind}: {job.error_detail}; marks {marks}")
            self._scene.query(RETRY, job.id)

    def check_database(self) -> None:
        """Run every check of `db check`, and the rule that every job has a way forward."""
        with self._scene.store() as store:
            for finding in [*check(store.database), *check_rows(store.database, *PROGRESS_RULES)]:
                if not finding.ok:
                    self._book.violated(f"{finding.name}: {finding.detail}")

    def _audit(self) -> None:
        """Let the program's own audit read everything back; it must come to the same."""
        with self._scene.store() as store:
            for fault in audit(store, SettingsFile(self._scene.config).read()):
                self._book.violated(f"{fault.rule}: {fault.subject}: {fault.detail}")

    def tally(self, *, last: bool = False) -> None:
        """Compare every run with its jobs and with what was published of it, and remove what passed."""
        # First what was promised, then what is there: clients go on handing in.
        promised = {run: set(run.acknowledged) for run in self._book.all_runs()}
        jobs = self.jobs()
        newest = max((job.id for job in jobs), default=0)
        by_run: dict[Path, list[Job]] = {}
        for job in jobs:
            by_run.setdefault(job.run, []).append(job)
        for path in set(by_run) - {run.path for run in self._book.all_runs()}:
            self._book.violated(f"nobody handed in {path}: {by_run[path]}")
        for run, acknowledged in promised.items():
            if not run.at_work.acquire(blocking=last):
                continue
            try:
                mine = by_run.get(run.path, [])
                lost = acknowledged - {job.id for job in mine}
                if lost:
                    self._book.violated(f"{run.path.name}: acknowledged as {lost}, and not there any more")
                passed = self._compare(run, mine, last=last)
                if passed and not last and len(mine) == 1 and mine[0].id != newest:
                    self._remove(run)
            finally:
                run.at_work.release()
        if self._removing is not None:
            self._removing.join()
        self._removing = threading.Thread(target=self._empty_removed, name="remove")
        self._removing.start()
        if last:
            self._removing.join()
            self._remove_emptied()
            self._audit()
            self._look_at_destinations(by_run)
            self._look_for_leftovers()
            self._weigh_database()

    def _compare(self, run: Run, mine: list[Job], *, last: bool) -> bool:
        verified = [job for job in mine if job.state == "verified"]
        if last:
            states = Counter(job.state for job in mine)
            taken_back = run.cancelled or not run.acknowledged
            if set(states) - {"verified", "cancelled"} or not (verified or taken_back):
                self._book.violated(f"{run.path.name} is neither verified nor cancelled by the soak: {mine}")
        if not verified:
            return False
        if run.compared != verified[-1].id:
            if picture(run.path) != run.versions[-1]:
                self._book.violated(f"the source {run.path.name} is not what its instrument wrote")
            if not self._compare_published(run, verified[-1]):
                return False
            run.compared = verified[-1].id
        return True

    def _compare_published(self, run: Run, job: Job) -> bool:
        final = self._final(run)
        seen = picture(final) if final.is_dir() else {}
        said = subprocess.run(
            ["sha256sum", "--strict", "--quiet", "-c", f"{OWN_FOLDER}/checksums.sha256"],
            cwd=final if final.is_dir() else self._scene.home,
            capture_output=True,
            check=False,
        )
        # With no file at all there is nothing to check, and sha256sum calls that an error.
        hashes = final / OWN_FOLDER / "checksums.sha256"
        wrong = said.returncode and (not hashes.exists() or hashes.stat().st_size)
        settled = run.edited_at is not None and not run.edited_quietly and job.verified_at is not None
        settled = settled and from_text(str(job.verified_at)).timestamp() - (run.edited_at or 0) > SETTLED_SECONDS
        wanted = run.versions[-1:] if settled else run.versions
        if seen not in wanted:
            known = run.versions[-1]
            differing = [name for name in {*seen, *known} if seen.get(name) != known.get(name)]
            self._book.violated(f"{final} is none of the {len(wanted)} versions of its run: {differing[:5]}")
        if wrong:
            self._book.violated(f"{final}: sha256sum -c: {said.stderr!r}")
        return seen in wanted and not wrong

    def _final(self, run: Run) -> Path:
        folder = self._scene.folder_of(run.destination)
        return folder / run.equipment / run.path.name if run.equipment else folder / run.path.name

    def _remove(self, run: Run) -> None:
        """Delete rows and files; those on the disk later, since that takes its time."""
        self._scene.query("DELETE FROM sync_jobs WHERE run_path = ?", str(run.path))
        if run.destination == "small":
            shutil.rmtree(self._final(run))
        else:
            self._final(run).rename(self._removed / f"{run.path.name}-published")
        run.path.rename(self._removed / run.path.name)
        self._book.forget(run)
        self._book.count("runs verified, compared and removed")

    def _remove_emptied(self) -> None:
        """Delete folders of an equipment whose last run was removed: without its rows, nothing says what they are."""
        with self._scene.nas_folders() as folders:
            for folder in (nas / name for nas in folders for name in EQUIPMENT):
                if folder.is_dir() and not any(folder.iterdir()):
                    folder.rmdir()

    def _empty_removed(self) -> None:
        for folder in list(self._removed.iterdir()):
            shutil.rmtree(folder)

    def _look_at_destinations(self, by_run: dict[Path, list[Job]]) -> None:
        """See that nothing is visible that is not verified, and nothing is left over but of cancelled jobs."""
        cancelled = {job.id for jobs in by_run.values() for job in jobs if job.state == "cancelled"}
        handed_in = {self._final(run) for run in self._book.all_runs() if by_run.get(run.path)}
        with self._scene.nas_folders() as folders:
            for folder in folders:
                for entry in folder.iterdir():
                    inside = entry.iterdir() if entry.name in EQUIPMENT else [entry]
                    strange = [path for path in inside if path.name not in {INCOMING, MARKER} and path not in handed_in]
                    if strange:
                        self._book.violated(f"visible, and nobody's: {strange}")
        for job_id in self._scene.bytes_in_incoming():
            if job_id not in cancelled:
                self._book.violated(f"the partial copy of job {job_id} was left on the destination")

    def _look_for_leftovers(self) -> None:
        """See that no session is held, and no process works on this state dir, now that the program has quit."""
        held = self._scene.query(OVERDUE)
        if held:
            self._book.violated(f"sessions have run out and are still active: {held}")
        for process in psutil.process_iter(["cmdline"]):
            if str(self._scene.state) in (process.info["cmdline"] or ()):
                self._book.violated(f"a process was left behind: {process.info['cmdline']}")

    def _weigh_database(self) -> None:
        pages, free, size = (
            self._scene.number(f"PRAGMA {name}") for name in ("page_count", "freelist_count", "page_size")
        )
        used, rows = (pages - free) * size, self._scene.number(ROWS)
        self._book.count("bytes of the database", pages * size)
        self._book.count("rows of the database", rows)
        if used > EMPTY_DATABASE_BYTES + BYTES_FOR_EACH_ROW * rows:
            self._book.violated(f"the database takes {used} bytes for {rows} rows")

    def states(self) -> Counter[str]:
        """Return how many jobs there are in each state."""
        return Counter(job.state for job in self.jobs())


def _job(row: tuple[Value, ...]) -> Job:
    numbers = [value if isinstance(value, int) else 0 for value in row]
    texts = [None if value is None else str(value) for value in row]
    return Job(
        id=numbers[0],
        run=Path(str(row[1])),
        state=str(row[2]),
        launch=numbers[3],
        crashes=numbers[4],
        mark=numbers[5],
        done=numbers[6],
        resumed=numbers[7],
        error_kind=texts[8],
        error_detail=texts[9],
        verified_at=texts[10],
    )
