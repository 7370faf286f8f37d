"""The scenarios: what is prepared, the one act that gets killed, and what somebody does afterwards.

Every act is a command of the program, or one call of the library as a program that embeds it makes it. Whatever was
acknowledged before the kill is asked for afterwards; whatever was not may be missing, but never half there.
"""

from __future__ import annotations

import json
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

from tests.crash.system_calls import clients
from tests.crash.system_calls.crash_points import Aim, Point, of_the_start, of_the_work
from tests.crash.system_calls.stage import Process, Stage
from tests.support.given import next_migration
from tests.support.program import MIB, until, write_run

from exlab_wizard.client import Client
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.errors import RefusedError
from exlab_wizard.paths import StateDir
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.upkeep.backup import KEPT_BACKUPS, Backups, check_backup
from exlab_wizard.store.upkeep.invariants import check
from exlab_wizard.testing.application import RUN

SMALL: Final = {
    "notes.txt": 300,
    "frames/0001.tif": 70_000,
    "frames/0002.tif": 70_001,
    "frames/bare": 0,
    "frames/deep/a name\nof two lines": 20,
    "meta/settings.json": 900,
}
LARGE: Final = 26 * MIB
MIDWAY: Final = 40
"""Writes of a large file after which a checkpoint is durable and more is sent."""
ACKNOWLEDGED: Final = "(queued)"
HAS_FAILED: Final = "job 1: failed"


class Scenario(ABC):
    """One act, and everything around it."""

    name: ClassVar[str]
    expected: ClassVar[Sequence[str]] = ("run",)
    """The runs that must have arrived in the end."""
    shown: ClassVar[Sequence[str] | None] = None
    """Those that a reader of the destination may see at the instant of the kill, if not the same."""
    was_published: ClassVar[bool] = False
    """Whether a reader may see a part: more files for a run that is there already come one by one."""

    @abstractmethod
    def prepare(self, stage: Stage) -> None:
        """Bring a fresh stage to where the act begins."""

    @abstractmethod
    def act(self, stage: Stage) -> Process:
        """Run the aimed command until it has ended, by itself or by the kill."""

    def points(self, points: Sequence[Point], _marks: dict[str, int]) -> list[Point]:
        """Return those of the act's points that this scenario is about."""
        return list(points)

    def at_once(self, _stage: Stage) -> list[str]:
        """Look at the files that the kill left, and return what is wrong."""
        return []

    def afterwards(self, _stage: Stage, _process: Process) -> list[str]:
        """Do what somebody would do before the next launch, and return what is wrong."""
        return []

    def in_the_end(self, _stage: Stage) -> list[str]:
        """Look at what all launches have left, and return what is wrong."""
        return []


def small_run(stage: Stage, name: str = "run", seed: int = 1) -> str:
    """Write a run of small files, a folder without any, and a symlink."""
    run = write_run(stage.runs / name, SMALL, seed)
    (run / "nothing yet").mkdir()
    (run / "latest").symlink_to("frames/0002.tif")
    return str(run)


def is_over(process: Process, *jobs: int) -> bool:
    """Return whether the launch has written that it is done with these jobs."""
    log = process.output.logged()
    return all(f"job {job}: read back and published" in log for job in jobs)


def kill_at(stage: Stage, act: Callable[[Stage], Process], call: str, path: str, nth: int = 1) -> Process:
    """Kill `act` before the `nth` call of that name on a path that ends so, and leave the stage as it is then."""
    stage.aim = Aim(call, f"*{path}", nth)
    process = act(stage)
    assert process.end() == -signal.SIGKILL, f"never killed {stage.aim}"
    (landed,) = stage.points()
    assert landed.call == call
    assert landed.path.endswith(path)
    stage.aim = None
    return process


class Enqueue(Scenario):
    """`sync` of two runs beside one that is queued already; no application runs."""

    name = "enqueue"
    expected = ("first", "second", "third")

    def prepare(self, stage: Stage) -> None:
        for number, name in enumerate(self.expected):
            small_run(stage, name, number)
        stage.do("sync", str(stage.runs / "first"))

    def act(self, stage: Stage) -> Process:
        process = stage.aimed("sync", *self._new(stage))
        process.end()
        return process

    def _new(self, stage: Stage) -> list[str]:
        return [str(stage.runs / name) for name in self.expected[1:]]

    def afterwards(self, stage: Stage, process: Process) -> list[str]:
        queued = stage.number("SELECT count(*) FROM sync_jobs")
        acknowledged = process.output.said().count(ACKNOWLEDGED)
        stage.do("sync", *self._new(stage))
        wrong = [] if queued in (1, 3) else [f"{queued} jobs of a transaction that queues two beside one"]
        if acknowledged and queued != 3:
            wrong.append("an acknowledged enqueue is lost")
        return wrong


class FirstLaunch(Scenario):
    """The first start ever: state dir, first destination, configuration, schema."""

    name = "first launch"

    def prepare(self, stage: Stage) -> None:
        small_run(stage)
        stage.config.unlink()
        stage.state.rmdir()
        for left in stage.nas.iterdir():
            left.unlink()
        stage.nas.rmdir()
        stage.nas = StateDir(stage.state).first_destination

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(*RUN)
        stage.drive(process, lambda: "ready" in process.output.said())
        return process

    def afterwards(self, stage: Stage, _process: Process) -> list[str]:
        # Without a destination there is nothing to queue for: the next launch gives one.
        launch = stage.launch(*RUN)
        stage.drive(launch, lambda: "ready" in launch.output.said())
        stage.do("sync", str(stage.runs / "run"))
        return []


class Migration(Scenario):
    """The start of a version with one migration more, on a database with a run that is queued."""

    name = "migration"

    def prepare(self, stage: Stage) -> None:
        next_migration(self._migrations(stage))
        stage.do("sync", small_run(stage))

    def _migrations(self, stage: Stage) -> Path:
        return stage.runs.parent / "migrations"

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(str(self._migrations(stage)), *RUN, entry=clients.NEXT_VERSION)
        stage.drive(process, lambda: is_over(process, 1))
        return process

    def points(self, points: Sequence[Point], _marks: dict[str, int]) -> list[Point]:
        return of_the_start(points)

    def afterwards(self, stage: Stage, _process: Process) -> list[str]:
        process = stage.launch(str(self._migrations(stage)), *RUN, entry=clients.NEXT_VERSION)
        assert process.await_line("ready")
        stage.drive(process, stage.is_idle)
        version = stage.value("SELECT version_num FROM alembic_version")
        wrong = [*unusable_backups(stage), *([] if version == "0003" else [f"the schema is {version!r}"])]
        if not Backups(StateDir(stage.state)).all():
            wrong.append("there is no backup from before the migration")
        # What else is looked at is this version's: take the other's tables away again.
        for sql in ("DROP TABLE more", "DROP TABLE even_more", "UPDATE alembic_version SET version_num = '0002'"):
            stage.query(sql)
        return wrong


class SmallFiles(Scenario):
    """From the claim to the end of the drain, with small files: copy, checkpoint, verify, publish."""

    name = "small files"

    def prepare(self, stage: Stage) -> None:
        stage.do("sync", small_run(stage))

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(*RUN)
        stage.drive(process, lambda: is_over(process, 1))
        return process

    def points(self, points: Sequence[Point], _marks: dict[str, int]) -> list[Point]:
        return of_the_work(points)


class TwoRuns(SmallFiles):
    """The same with two runs at once: both use the incoming folder, and one may find it gone."""

    name = "two runs"
    expected = ("run", "other")

    def prepare(self, stage: Stage) -> None:
        stage.do("sync", small_run(stage), small_run(stage, "other", 2))

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(*RUN)
        stage.drive(process, lambda: is_over(process, 1, 2))
        return process


class Network(SmallFiles):
    """The same on a network file system: a rollback journal instead of a log, and a flush for each file."""

    name = "network"

    def prepare(self, stage: Stage) -> None:
        stage.entry = clients.ON_NETWORK
        super().prepare(stage)

    def points(self, points: Sequence[Point], _marks: dict[str, int]) -> list[Point]:
        return list(points)


class LargeFile(SmallFiles):
    """The same with one file of several checkpoints."""

    name = "large file"

    def prepare(self, stage: Stage) -> None:
        stage.do("sync", str(write_run(stage.runs / "run", {"large.raw": LARGE, "notes.txt": 10})))


class Publish(SmallFiles):
    """A launch that finds all verified and nothing published."""

    name = "publish"

    def prepare(self, stage: Stage) -> None:
        super().prepare(stage)
        kill_at(stage, self.act, "rename", "nas/run")

    def at_once(self, stage: Stage) -> list[str]:
        return [] if (stage.nas / "run").exists() or (stage.nas / ".exlab-incoming").exists() else ["all is gone"]


class Merge(SmallFiles):
    """More files for a run that is published already."""

    name = "merge"
    was_published = True

    def prepare(self, stage: Stage) -> None:
        super().prepare(stage)
        process = stage.launch(*RUN)
        stage.drive(process, lambda: is_over(process, 1))
        run = write_run(stage.runs / "run", {"later/1.dat": 1000, "later/2.dat": 70_000, "frames/0003.tif": 3})
        (run / "first").symlink_to("notes.txt")
        stage.do("sync", str(run))

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(*RUN)
        stage.drive(process, lambda: is_over(process, 2))
        return process


class NetworkMerge(Merge):
    """The same on a network file system without hard links: what is new is renamed into its place."""

    name = "merge on a network"

    def prepare(self, stage: Stage) -> None:
        stage.entry = clients.ON_NETWORK
        super().prepare(stage)


class CompleteSession(Scenario):
    """A client completes its lease, which queues two runs in the same transaction; the application is dead."""

    name = "complete session"
    expected = ("first", "second")
    lease: ClassVar[str] = "acquisition-7"

    def prepare(self, stage: Stage) -> None:
        for number, name in enumerate(self.expected):
            small_run(stage, name, number)
        process = stage.launch(*RUN)
        assert process.await_line("ready")
        with stage.store() as store:
            launch = store.launches.open_launch()
            assert launch is not None
            store.sessions.open(
                NewSession(SessionKind.RUN, "a test", 60.0, id=self.lease), launch.id, SystemClock().now()
            )
        process.child.kill()
        process.end()

    def act(self, stage: Stage) -> Process:
        runs = [str(stage.runs / name) for name in self.expected]
        process = stage.aimed(self.lease, *runs, entry=clients.COMPLETE)
        process.end()
        return process

    def afterwards(self, stage: Stage, process: Process) -> list[str]:
        state = stage.value("SELECT state FROM session_leases")
        queued = stage.number("SELECT count(*) FROM sync_jobs")
        wrong = [] if (state, queued) in {("active", 0), ("completed", 2)} else [f"session {state!r}, {queued} jobs"]
        if process.output.said() and state != "completed":
            wrong.append("an acknowledged completion is lost")
        if state == "active":
            stage.do(self.lease, *(str(stage.runs / name) for name in self.expected), entry=clients.COMPLETE)
        return wrong


class ClientSession(Scenario):
    """A client holds a session of the living application and hands in two runs at its end, which may meet the kill.

    Whatever became of the application: what the client was told is queued, once.
    """

    name = "client session"
    expected = ("first", "second")

    def prepare(self, stage: Stage) -> None:
        for number, name in enumerate(self.expected):
            small_run(stage, name, number)
        process = stage.launch(*RUN)
        assert process.await_line("ready")
        process.interrupt()
        process.end()

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(*RUN)
        server = StateDir(stage.state).server
        until(lambda: process.has_ended or server.exists(), what="the server")
        if not process.has_ended:
            with (
                Client.at(stage.state) as client,
                client.session(kind="run", label="a test", must_open=False) as session,
            ):
                for name in self.expected:
                    session.add_run(stage.runs / name, "nas")
            stage.acknowledged = len(session.jobs)
        stage.drive(process, lambda: is_over(process, 1, 2))
        return process

    def points(self, points: Sequence[Point], _marks: dict[str, int]) -> list[Point]:
        return of_the_work(points)

    def afterwards(self, stage: Stage, _process: Process) -> list[str]:
        queued = stage.number("SELECT count(*) FROM sync_jobs")
        if queued == 0:
            stage.do("sync", *(str(stage.runs / name) for name in self.expected))
        known = queued in {0, 2} and queued >= stage.acknowledged
        return [] if known else [f"{queued} jobs, and the client was told of {stage.acknowledged}"]


class Drain(Scenario):
    """Ctrl-C while one run is copied and another waits: the first is brought to its end, the second stays queued."""

    name = "quit that drains"
    expected = ("run", "other")
    mib: ClassVar[int] = 8

    def prepare(self, stage: Stage) -> None:
        stage.configure(workers=1, bandwidth_mib_s=24)
        run = write_run(stage.runs / "run", {"large.raw": self.mib * MIB + 5, "notes.txt": 10})
        stage.do("sync", str(run), small_run(stage, "other", 2))

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(*RUN)
        if process.await_line("job 1: syncing"):
            self.quit(stage, process)
        process.end()
        return process

    def quit(self, stage: Stage, process: Process) -> None:
        """Ask once."""
        stage.mark("quit")
        process.interrupt()

    def points(self, points: Sequence[Point], marks: dict[str, int]) -> list[Point]:
        return [point for point in points if point.number > marks["quit"]]


class ForcedQuit(Drain):
    """The same, and Ctrl-C again: the copy is checkpointed and its row marked."""

    name = "forced quit"

    def quit(self, stage: Stage, process: Process) -> None:
        """Ask twice."""
        until(lambda: process.has_ended or (stage.nas / ".exlab-incoming").exists(), what="the copy to begin")
        stage.mark("quit")
        process.interrupt()
        if process.await_line("SIGINT received"):
            process.interrupt()


class Recovery(Scenario):
    """The start of a launch whose predecessor was killed in the middle of a large file."""

    name = "recovery"

    def prepare(self, stage: Stage) -> None:
        files = {"large.raw": 12 * MIB, **SMALL}
        stage.do("sync", str(write_run(stage.runs / "run", files)))
        kill_at(stage, self.act, "write", "large.raw", MIDWAY)

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(*RUN)
        stage.drive(process, lambda: is_over(process, 1))
        return process

    def points(self, points: Sequence[Point], _marks: dict[str, int]) -> list[Point]:
        return of_the_start(points)


class Resume(Recovery):
    """And what the same launch does from there to its end."""

    name = "resume"

    def points(self, points: Sequence[Point], _marks: dict[str, int]) -> list[Point]:
        return of_the_work(points)


class DailyBackup(Scenario):
    """The backup of a quiet day, and the removal of the sixth."""

    name = "daily backup"

    def prepare(self, stage: Stage) -> None:
        stage.do("sync", small_run(stage))
        now = SystemClock().now()
        with stage.store() as store:
            for days in range(KEPT_BACKUPS, 0, -1):
                Backups(StateDir(stage.state)).create(store.database, now - timedelta(days=days), label="daily")

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(entry=clients.KEEP_HOUSE)
        process.end()
        return process

    def afterwards(self, stage: Stage, _process: Process) -> list[str]:
        wrong = unusable_backups(stage)
        if len(Backups(StateDir(stage.state)).all()) < KEPT_BACKUPS:
            wrong.append("backups are gone, and nothing took their place")
        return wrong

    def in_the_end(self, stage: Stage) -> list[str]:
        stage.do("db", "backup")  # killed before it removed the sixth, the next one does
        left = Backups(StateDir(stage.state)).all()
        return [] if len(left) == KEPT_BACKUPS else [f"{len(left)} backups are kept"]


class Backup(Scenario):
    """`db backup`, the first one."""

    name = "db backup"

    def prepare(self, stage: Stage) -> None:
        stage.do("sync", small_run(stage))

    def act(self, stage: Stage) -> Process:
        process = stage.aimed("db", "backup", "--json")
        process.end()
        return process

    def afterwards(self, stage: Stage, process: Process) -> list[str]:
        wrong = unusable_backups(stage)
        if process.output.said() and json.loads(process.output.said())["file"] not in self._made(stage):
            wrong.append("an acknowledged backup is not there")
        return wrong

    def in_the_end(self, stage: Stage) -> list[str]:
        stage.do("db", "backup")
        return unusable_backups(stage)

    def _made(self, stage: Stage) -> list[str]:
        return [str(path) for path in Backups(StateDir(stage.state)).all()]


class Restore(Scenario):
    """`db restore` of a backup that knows one run less than the database, which a killed launch has left."""

    name = "db restore"
    expected = ("first", "second")

    def prepare(self, stage: Stage) -> None:
        stage.do("sync", small_run(stage, "first", 1))
        stage.do("db", "backup", str(stage.home / "backup.db"))
        stage.do("sync", small_run(stage, "second", 2))
        process = stage.launch(*RUN)
        assert process.await_line("ready")
        process.child.kill()
        process.end()

    def act(self, stage: Stage) -> Process:
        process = stage.aimed("db", "restore", str(stage.runs.parent / "backup.db"))
        process.end()
        return process

    def afterwards(self, stage: Stage, process: Process) -> list[str]:
        # By its rows only: what the killed launch had begun to copy is nobody's until the next launch clears it away.
        with closing(Database(stage.state / "exlab-wizard.db")) as database:
            faults = [finding.name for finding in check(database) if not finding.ok]
        names = [Path(str(path)).name for (path,) in stage.query("SELECT run_path FROM sync_jobs ORDER BY id")]
        wrong = [f"the database has a fault: {fault}" for fault in faults]
        if names not in (["first"], ["first", "second"]):
            wrong.append(f"the database is neither the old one nor the backup: {names}")
        if process.output.said() and names != ["first"]:
            wrong.append("an acknowledged restore did not happen")
        stage.do("sync", *(str(stage.runs / name) for name in self.expected))
        return wrong


class Conflict(SmallFiles):
    """A job that fails, since somebody's folder stands at the final path. It is moved away, and the job retried."""

    name = "conflict"
    shown = ()

    def prepare(self, stage: Stage) -> None:
        super().prepare(stage)
        taken(stage).parent.mkdir()
        taken(stage).write_bytes(b"data")

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(*RUN)
        stage.drive(process, lambda: HAS_FAILED in process.output.logged())
        return process

    def at_once(self, stage: Stage) -> list[str]:
        return [] if taken(stage).read_bytes() == b"data" else ["somebody's file has changed"]

    def afterwards(self, stage: Stage, _process: Process) -> list[str]:
        process = stage.launch(*RUN)
        assert process.await_line("ready")
        stage.drive(process, stage.is_idle)
        found = stage.query("SELECT state, error_kind, attempts FROM sync_jobs")
        wrong = [] if found == [("failed", "conflict", 1)] else [f"the job is {found}"]
        wrong += self.at_once(stage)
        give_way(stage)
        stage.do("retry", "1")
        return wrong


class Retry(Scenario):
    """`retry` of a failed job."""

    name = "retry"
    command: ClassVar[str] = "retry"
    states: ClassVar[tuple[str, str]] = ("failed", "queued")

    def prepare(self, stage: Stage) -> None:
        Conflict().prepare(stage)
        process = stage.launch(*RUN)
        stage.drive(process, lambda: HAS_FAILED in process.output.logged())
        give_way(stage)

    def act(self, stage: Stage) -> Process:
        process = stage.aimed(self.command, "1")
        process.end()
        return process

    def afterwards(self, stage: Stage, process: Process) -> list[str]:
        state = stage.job_state()
        wrong = [] if state in self.states else [f"the job is {state!r}"]
        if process.output.said() and state != self.states[1]:
            wrong.append(f"an acknowledged {self.command} is lost")
        if state == "failed":
            stage.do("retry", "1")
        return wrong


class Cancel(Retry):
    """`cancel` of a queued job; the run is queued once more afterwards."""

    name = "cancel"
    command = "cancel"
    states = ("queued", "cancelled")

    def prepare(self, stage: Stage) -> None:
        stage.do("sync", small_run(stage))

    def afterwards(self, stage: Stage, process: Process) -> list[str]:
        wrong = super().afterwards(stage, process)
        stage.do("sync", str(stage.runs / "run"))
        return wrong


class AddDestination(Scenario):
    """`destination add`: the marker on the NAS and one edit of the configuration."""

    name = "destination add"

    def prepare(self, stage: Stage) -> None:
        small_run(stage)
        (stage.state / "spare").mkdir()

    def act(self, stage: Stage) -> Process:
        process = stage.aimed("destination", "add", "spare", str(stage.state / "spare"))
        process.end()
        return process

    def afterwards(self, stage: Stage, process: Process) -> list[str]:
        known = '"spare"' in stage.do("destination", "list", "--json")
        wrong = ["an acknowledged destination is lost"] if process.output.said() and not known else []
        if not known:
            stage.do("destination", "add", "spare", str(stage.state / "spare"))
        stage.do("sync", str(stage.runs / "run"), "--to", "nas")
        return wrong

    def in_the_end(self, stage: Stage) -> list[str]:
        # The next edit removes what a killed one has left.
        stage.do("destination", "add", "another", str(stage.state / "spare"))
        return []


def taken(stage: Stage) -> Path:
    """Return the file of somebody else's at the final path of the run."""
    return stage.nas / "run" / "somebody's"


def give_way(stage: Stage) -> None:
    """Remove what is somebody else's."""
    taken(stage).unlink()
    taken(stage).parent.rmdir()


def unusable_backups(stage: Stage) -> list[str]:
    """Return what is wrong with files that look like backups."""
    wrong: list[str] = []
    for path in Backups(StateDir(stage.state)).all():
        try:
            check_backup(path)
        except RefusedError as error:
            wrong.append(str(error))
    return wrong


ALL: Final[tuple[type[Scenario], ...]] = (
    Enqueue,
    FirstLaunch,
    Migration,
    SmallFiles,
    TwoRuns,
    Network,
    LargeFile,
    Publish,
    Merge,
    NetworkMerge,
    CompleteSession,
    ClientSession,
    Drain,
    ForcedQuit,
    Recovery,
    Resume,
    DailyBackup,
    Backup,
    Restore,
    Conflict,
    Retry,
    Cancel,
    AddDestination,
)
