"""Four clients at once: each hands runs in, opens sessions, takes jobs back, edits its runs, and reads.

What a client was answered must hold from then on. A database that somebody else holds may refuse; then nothing was
promised, and the client tries something else.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
from tests.crash.soak import runs
from tests.crash.soak.book import Book, Run
from tests.crash.soak.scene import EQUIPMENT, Scene
from tests.integration.api.api import Api
from tests.support.program import PATIENCE_SECONDS, picture

from exlab_wizard.domain.job import OperatorMove
from exlab_wizard.domain.views import SessionKind
from exlab_wizard.errors import ExlabError, RefusedError
from exlab_wizard.process.identity import SystemClock
from exlab_wizard.process.server_json import read_server_file
from exlab_wizard.store.queue.jobs import NewJob
from exlab_wizard.store.queue.sessions import NewSession
from exlab_wizard.store.readonly import query as readonly
from exlab_wizard.store.sqlite.database import Database
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.store import Store

CLIENTS: Final = 4
BACKLOG: Final = 25
LEASE_SECONDS: Final = 20.0
LEFT_ALONE_SECONDS: Final = 3.0
VIEWS: Final = ("pending_work", "failed_work", "drain_status", "launch_history", "quit_history", "cleanup_candidates")
UNFINISHED: Final = "SELECT run_path FROM sync_jobs WHERE finished_at IS NULL ORDER BY id"


class Client:
    """One client, with a thread, a seed and a connection of its own."""

    def __init__(self, number: int, scene: Scene, book: Book, chance: random.Random, stop: threading.Event) -> None:
        self._name = f"client-{number}"
        self._scene, self._book, self._chance, self._stop = scene, book, chance, stop
        self._store = Store(Database(scene.database))
        self._made = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self._acts: dict[Callable[[], None], int] = {
            self.hand_in: 30,
            self.hand_in_by_command: 3,
            self.hand_in_twice: 4,
            self.hold_session: 9,
            self.hold_session_over_http: 6,
            self.cancel: 5,
            self.edit: 8,
            self.read: 10,
            self.read_for_long: 3,
        }
        self.thread = threading.Thread(target=self._work, name=self._name)

    def _work(self) -> None:
        acts, weights = list(self._acts), list(self._acts.values())
        while not self._stop.wait(self._chance.uniform(0.1, 1.2)):
            self.may_go_on.wait(1.0)  # time: or sees that it is over
            if not self.may_go_on.is_set():
                continue
            act = self._chance.choices(acts, weights)[0]
            try:
                act()
            except ExlabError as error:
                self._book.count("refused to a client")
                self._book.note(f"{self._name} {act.__name__}: {error}")
            except Exception as error:  # boundary: a client that dies would make the soak easier than it says
                self._book.violated(f"{self._name} {act.__name__} met {type(error).__name__}: {error}")
        self._store.close()

    def _new_run(self) -> Run:
        self._made += 1
        chance = self._chance
        kind = chance.choices(list(runs.KINDS), list(runs.KINDS.values()))[0]
        small = self._scene.has_small and kind in ("many", "odd") and chance.random() < 0.4
        folder = self._scene.instrument / f"{self._name}-{self._made:05}-{kind}"
        path = runs.make(folder, kind, chance)
        equipment = chance.choice([None, *EQUIPMENT])
        run = Run(path, "small" if small else "nas", equipment, [picture(path)])
        self._book.add(run)
        return run

    def _job(self, run: Run, session: str | None = None) -> NewJob:
        priority = self._chance.choice([0, 0, 0, 5])
        return NewJob(str(run.path), run.destination, run.equipment, session, priority)

    def _acknowledged(self, run: Run, job_id: int) -> None:
        run.acknowledged.append(job_id)
        self._book.count("runs handed in")
        self._book.count("bytes handed in", sum(size for _, _, size, _ in run.versions[0].values()))

    def _crowded(self) -> bool:
        return len(self._store.database.connection().execute(UNFINISHED).fetchall()) >= BACKLOG

    def hand_in(self) -> None:
        if not self._crowded():
            run = self._new_run()
            self._acknowledged(run, self._store.jobs.enqueue(self._job(run), datetime.now(UTC)).job_id)

    def hand_in_by_command(self) -> None:
        if self._crowded():
            return
        run = self._new_run()
        equipment = ["--equipment", run.equipment] if run.equipment else []
        done = self._scene.call("sync", str(run.path), "--to", run.destination, *equipment, "--json")
        if done.returncode:
            # A destination that is away cannot be checked; then nothing was queued.
            self._book.note(f"{self._name} sync: {done.stderr.strip()}")
            self._book.count("refused to a client")
        else:
            self._acknowledged(run, json.loads(done.stdout)["jobs"][0]["id"])

    def hand_in_twice(self) -> None:
        """The same run again while it is pending is the same job."""
        run = self._new_run()
        first = self._store.jobs.enqueue(self._job(run), datetime.now(UTC))
        self._acknowledged(run, first.job_id)
        again = self._store.jobs.enqueue(self._job(run), datetime.now(UTC))
        if again.job_id != first.job_id:
            run.acknowledged.append(again.job_id)
            if again.created and self._store.jobs.state_of(first.job_id) != "verified":
                self._book.violated(f"{run.path.name} is pending twice: {first.job_id} and {again.job_id}")

    def hold_session(self) -> None:
        """Open a session, keep it alive for a while, then complete it with runs, or abort it, or leave it alone."""
        launch = self._store.launches.open_launch()
        if launch is None or self._crowded():
            return
        left_alone = self._chance.random() < 0.05
        session = NewSession(SessionKind.RUN, self._name, LEFT_ALONE_SECONDS if left_alone else LEASE_SECONDS)
        try:
            lease = self._store.sessions.open(session, launch.id, datetime.now(UTC))
        except RefusedError:
            self._book.count("sessions refused while shutting down")
            return
        self._book.count("sessions left alone" if left_alone else "sessions opened")
        if left_alone:
            return
        made = [self._new_run() for _ in range(self._chance.randrange(1, 3))]
        renewed = time.monotonic()
        for _ in range(self._chance.randrange(0, 5)):
            self._stop.wait(0.3)  # time: heartbeats have a distance
            if self._store.sessions.renew(lease.id, datetime.now(UTC)) is not None:
                renewed = time.monotonic()
        if self._chance.random() < 0.1:
            self._store.sessions.abort(lease.id, datetime.now(UTC))
            return
        jobs = [self._job(run, lease.id) for run in made]
        queued = self._store.sessions.complete(lease.id, jobs, datetime.now(UTC))
        if queued is not None:
            for run, job in zip(made, queued, strict=True):
                self._acknowledged(run, job.job_id)
        elif time.monotonic() - renewed < LEASE_SECONDS - 1:
            self._book.violated(f"session {lease.id} ended although it was renewed in time")

    def hold_session_over_http(self) -> None:
        """Do the same over HTTP; an error promises nothing, and neither does an answer that is lost."""
        address = read_server_file(self._scene.state / "server.json")
        if address is None or self._crowded():
            return
        try:
            with Api(address, PATIENCE_SECONDS) as api:
                self._hold(api)
        except httpx.HTTPError as error:
            self._book.count("answers over HTTP that were lost")
            self._book.note(f"{self._name} over HTTP: {type(error).__name__}: {error}")

    def _hold(self, api: Api) -> None:
        opened = api.post("/sessions", {"kind": "run", "label": self._name, "ttl_s": LEASE_SECONDS})
        if opened.status_code != httpx.codes.CREATED:
            self._book.count("sessions refused over HTTP")
            self._book.note(f"{self._name} over HTTP: {opened.text}")
            return
        session = opened.json()["id"]
        self._book.count("sessions opened over HTTP")
        made = [self._new_run() for _ in range(self._chance.randrange(1, 3))]
        for _ in range(self._chance.randrange(0, 5)):
            self._stop.wait(0.3)  # time: heartbeats have a distance
            api.post(f"/sessions/{session}/heartbeat")
        for run in made:
            run.equipment = None  # it is the session's, and this one has none
        runs_of = [{"path": str(run.path), "destination": run.destination} for run in made]
        completed = api.post(f"/sessions/{session}/complete", {"runs": runs_of})
        if completed.status_code == httpx.codes.OK:
            for run, job_id in zip(made, completed.json()["jobs"], strict=True):
                self._acknowledged(run, job_id)
        else:
            self._book.count("completions refused over HTTP")
            self._book.note(f"{self._name} over HTTP: {completed.text}")

    def cancel(self) -> None:
        """Take a job back, and mostly hand its run in again."""
        run = self._pending()
        if run is None or run.edited_at is not None or not run.acknowledged:
            return
        with run.at_work:
            run.cancelled = True
            try:
                self._store.jobs.decide([run.acknowledged[-1]], OperatorMove.CANCEL)
            except ExlabError:  # it was verified meanwhile, or the database is held
                run.cancelled = False
                raise
            self._book.count("cancelled by the soak")
            if self._chance.random() < 0.7:
                again = self._store.jobs.enqueue(self._job(run), SystemClock().now())
                run.acknowledged.append(again.job_id)
                run.cancelled = False

    def edit(self) -> None:
        """Change a run that is pending, once."""
        run = self._pending()
        if run is None or run.edited_at is not None or run.cancelled or len(run.acknowledged) != 1:
            return
        with run.at_work:
            run.edited_at = time.time()
            how = self._chance.choice(["edited", "edited, its time kept", "grown"])
            run.edited_quietly = how == "edited, its time kept"
            if how == "grown":
                runs.grow(run, self._chance, self._stop)
            else:
                runs.edit(run, self._chance, quietly=run.edited_quietly)
            run.edited_at = time.time()
            self._book.count(f"source {how}")

    def _pending(self) -> Run | None:
        rows = self._store.database.connection().execute(UNFINISHED).fetchall()
        return self._book.run_at(Path(str(self._chance.choice(rows)[0]))) if rows else None

    def read(self) -> None:
        """Ask a view, as `exlab-wizard sql` does."""
        readonly.query(self._scene.database, f"SELECT * FROM {self._chance.choice(VIEWS)}")
        self._book.count("views read")

    def read_for_long(self) -> None:
        """Hold a snapshot for seconds, as a program does that forgets to close its cursor."""
        connection = driver.connect(self._scene.database, timeout=10.0, isolation_level=None)
        try:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM job_events").fetchone()
            self._stop.wait(self._chance.uniform(0.5, 3.0))
            connection.execute("COMMIT")
        except driver.OperationalError as error:
            self._book.note(f"{self._name} read_for_long: {error}")
        finally:
            connection.close()
