"""What must hold after a power cut: first of what is on the disk, untouched, then of what the next launch makes of it.

Each check returns sentences about what is broken; none is the good answer. Databases are looked at in copies, since
opening one recovers it.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.crash.power_cuts.cuts import Left
from tests.crash.power_cuts.image import Image, image_of
from tests.crash.power_cuts.machine import Machine
from tests.support.program import PATIENCE_SECONDS

from exlab_wizard.diagnosis.audit import audit
from exlab_wizard.errors import SettingsError
from exlab_wizard.settings import SettingsFile, parse
from exlab_wizard.store.sqlite.database import Database, decode_text
from exlab_wizard.store.sqlite.driver import driver
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep.invariants import INVARIANTS
from exlab_wizard.transfer.destination.receipt import parse_checksums

AFTER: Final = "after the power cut"
_BESIDE: Final = ("", "-wal", "-journal")
_REPLACED: Final = re.compile(r".+\.db\.replaced-\w+")
_INCOMING: Final = re.compile(r"/\.exlab-incoming/[^/]+-(\d+)(?:/|$)")


@dataclass(frozen=True, slots=True)
class Job:
    """A job with its checkpoints: path to how many bytes are done, and their hash."""

    installation: str
    number: int
    run: str
    final: str
    state: str
    files: dict[str, tuple[int, str]]

    @property
    def key(self) -> str:
        """The name of its incoming folder."""
        return f"{self.installation}-{self.number}"


@dataclass(frozen=True, slots=True)
class Rows:
    """What a database says; `broken` is why it cannot be believed."""

    broken: str = ""
    jobs: tuple[Job, ...] = ()
    launches: dict[int, str | None] = field(default_factory=dict)
    """How each launch ended."""

    @property
    def runs(self) -> set[str]:
        return {job.run for job in self.jobs}


class Promises:
    """The promises to one machine and its runs."""

    def __init__(self, machine: Machine) -> None:
        """Take the runs as they are now for what must arrive."""
        self._machine = machine
        self._runs = machine.runs
        self._source = image_of([machine.runs])
        self._rows: dict[tuple[str, ...], Rows] = {}
        self._sound: dict[str, str] = {}
        self._prefixes: dict[tuple[str, int], str] = {}

    def at_once(self, left: Left) -> list[str]:
        """Return what is broken on the disk before anything is started on it."""
        rows = self._database(left.image)
        if rows.broken:
            return [rows.broken]
        return [
            *self._enqueued(left, rows),
            *self._verified(left, rows),
            *self._checkpoints(left, rows),
            *self._visible(left.image),
            *self._configured(left),
            *self._backed_up(left),
        ]

    def _database(self, image: Image, path: str = "") -> Rows:
        files = [image.get(f"{path or self._machine.database}{suffix}") for suffix in _BESIDE]
        key = tuple(node.content.sha256 if node and node.content else "" for node in files)
        if key not in self._rows:
            with tempfile.TemporaryDirectory(prefix="exlab-power-", dir=self._machine.home) as folder:
                copy = Path(folder) / "copy.db"
                for node, suffix in zip(files, _BESIDE, strict=True):
                    if node and node.content:
                        copy.with_name(copy.name + suffix).write_bytes(node.content.data)
                self._rows[key] = _read(copy) if copy.exists() else Rows()
        return self._rows[key]

    def _enqueued(self, left: Left, rows: Rows) -> Iterator[str]:
        for run in (left.told.runs | self._machine.promised) - rows.runs:
            yield f"an acknowledged enqueue is lost: {run}"
        copies = [path for path in left.image if _REPLACED.fullmatch(path)]
        kept = set().union(*(self._database(left.image, path).runs for path in copies))
        for run in self._machine.kept - rows.runs - kept:
            yield f"neither the database nor the copy that was kept of it knows {run}"
        if left.told.restored and rows.runs & self._machine.kept:
            yield "an acknowledged restore is undone"

    def _verified(self, left: Left, rows: Rows) -> Iterator[str]:
        for job in rows.jobs:
            if job.state == "verified":
                yield from self._incomplete(left.image, job, job.files)
                if f"{self._machine.lab}/.exlab-incoming/{job.key}" in left.image:
                    yield f"verified, and its incoming folder is still there: {job.run}"

    def _incomplete(self, image: Image, job: Job, names: Iterable[str]) -> Iterator[str]:
        """Say what of a run is not at its final path, or not equal, checksums and receipt included."""
        final = f"{self._machine.lab}/{job.final}"
        sums = _data(image, f"{final}/.exlab-wizard/checksums.sha256")
        hashes = parse_checksums(sums.splitlines(keepends=True))
        for name in names:
            expected = self._source[f"{job.run}/{name}"].content
            there = image.get(f"{final}/{name}")
            if there is None or there.content != expected:
                yield f"verified, and at its final path {'damaged' if there else 'missing'}: {job.final}/{name}"
            if expected is None or hashes.get(name) != expected.sha256:
                yield f"verified, and not in its checksums: {job.final}/{name}"
        if json.loads(_data(image, f"{final}/.exlab-wizard/receipt.json") or "{}").get("run_path") != job.run:
            yield f"verified without its receipt: {job.final}"

    def _checkpoints(self, left: Left, rows: Rows) -> Iterator[str]:
        for job in rows.jobs:
            places = (f"{self._machine.lab}/.exlab-incoming/{job.key}", f"{self._machine.lab}/{job.final}")
            for path, (size, sha256) in job.files.items():
                if size and sha256 not in (self._prefix(left.image, f"{place}/{path}", size) for place in places):
                    yield f"a checkpoint claims {size} bytes that are not there: {path}"

    def _names(self, run: str) -> list[str]:
        inside = f"{run}/"
        return [path[len(inside) :] for path, node in self._source.items() if node.content and path.startswith(inside)]

    def _prefix(self, image: Image, path: str, size: int) -> str:
        """Return the hash of the first bytes of a file; empty when it has not so many."""
        node = image.get(path)
        if node is None or node.content is None or len(node.content.data) < size:
            return ""
        key = (node.content.sha256, size)
        if key not in self._prefixes:
            self._prefixes[key] = hashlib.sha256(node.content.data[:size]).hexdigest()
        return self._prefixes[key]

    def _visible(self, image: Image) -> Iterator[str]:
        """Whatever has the name of a file of a run, outside the incoming folder, is that file."""
        for path, node in image.items():
            if node.content is None or not path.startswith(f"{self._machine.lab}/") or "/.exlab-" in path:
                continue
            source = next(
                (one for name, one in self._source.items() if one.content and _is_copy(path, name, self._runs)), None
            )
            if source is None or source.content is None or source.content.sha256 != node.content.sha256:
                yield f"visible and not whole: {path}"

    def _configured(self, left: Left) -> Iterator[str]:
        node = left.image.get(str(self._machine.config))
        if node is None or node.content is None:
            settings = parse("", "config.toml")
        elif not node.content.data:
            yield "config.toml is empty"
            return
        else:
            try:
                settings = parse(node.content.data.decode(), "config.toml")
            except (SettingsError, UnicodeDecodeError) as error:
                yield f"config.toml is damaged: {error}"
                return
        for name, target in left.told.destinations.items():
            if name not in settings.destinations:
                yield f"an acknowledged destination is lost: {name}"
            marker = left.image.get(f"{target}/.exlab-destination")
            if marker is None or marker.content is None or not marker.content.data:
                yield f"an acknowledged destination has no marker: {target}"

    def _backed_up(self, left: Left) -> Iterator[str]:
        backups = {
            path: node.content
            for path, node in left.image.items()
            if node.content and path.endswith(".db") and path != str(self._machine.database)
        }
        for path, content in backups.items():
            if content.sha256 not in self._sound:
                with tempfile.TemporaryDirectory(prefix="exlab-power-", dir=self._machine.home) as folder:
                    copy = Path(folder) / "copy.db"
                    copy.write_bytes(content.data)
                    self._sound[content.sha256] = _read(copy).broken
            if self._sound[content.sha256]:
                yield f"a backup is damaged: {path}: {self._sound[content.sha256]}"
        for path in left.told.backups - backups.keys():
            yield f"an acknowledged backup is lost: {path}"
        if len(backups) < self._machine.backups:
            yield f"of {self._machine.backups} backups {len(backups)} are left"

    def after_launch(self, left: Left) -> list[str]:
        """Launch on what lies there now, let it finish, and return what is broken then."""
        before = self._database(left.image)
        child, _ = self._machine.start("finish", boot=AFTER)
        status = child.wait(PATIENCE_SECONDS)
        if status != 0:
            return [f"the launch ended with {status}: {self._machine.log_once()[-500:]}"]
        image = image_of(self._machine.disks)
        rows = self._database(image)
        broken = [rows.broken] if rows.broken else []
        broken += [f"{run} is gone" for run in before.runs - rows.runs]
        cut_off = [launch for launch, ended in before.launches.items() if ended is None]
        broken += [f"{launch=} is no restart" for launch in cut_off if rows.launches[launch] != "host_restarted"]
        broken += self._audited(rows)
        for job in rows.jobs:
            if job.state != "verified":
                broken.append(f"{job.run} is {job.state}")
            known = job.run in left.told.runs
            broken += self._incomplete(image, job, self._names(job.run) if known else job.files)
        broken += self._visible(image)
        broken += [
            f"left behind: {path}" for path in image if "/.exlab-incoming/" in path and not _is_unjudged(path, rows)
        ]
        if image_of([self._runs]) != self._source:
            broken.append("a source was changed")
        return broken

    def _audited(self, rows: Rows) -> list[str]:
        """Return what the program's own audit finds."""
        database = Database(self._machine.database, journal_mode=self._machine.journal_mode)
        try:
            found = audit(Store(database), SettingsFile(self._machine.config).read())
            return [str(fault) for fault in found if not _is_unjudged(fault.subject, rows)]
        finally:
            database.close()


def _is_unjudged(path: str, rows: Rows) -> bool:
    """Whether it is a partial copy whose job is newer than all that the database, restored from a backup, knows.

    It stays, and the audit says so: the job that gets its number next clears the folder.
    """
    named = _INCOMING.search(path)
    return named is not None and int(named[1]) > max((job.number for job in rows.jobs), default=0)


def _is_copy(path: str, source: str, runs: Path) -> bool:
    return path.endswith(source[len(str(runs)) :])


def _read(database: Path) -> Rows:
    """Read a copy that may be opened, and so changed."""
    connection = driver.connect(database, isolation_level=None)
    connection.text_factory = decode_text
    connection.execute("PRAGMA synchronous = OFF")
    try:
        found = [str(one) for (one,) in connection.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            return Rows(f"the database is damaged: {found[:3]}")
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sync_files'").fetchone() is None:
            return Rows()
        for name, sql in INVARIANTS:
            if connection.execute(sql).fetchone():
                return Rows(f"it does not hold that {name}")
        (installation,) = connection.execute("SELECT id FROM installation").fetchone()
        jobs = connection.execute("SELECT id, run_path, equipment_id, state FROM sync_jobs").fetchall()
        launches = dict(connection.execute("SELECT id, end_reason FROM launches").fetchall())
        return Rows(jobs=tuple(_job(connection, installation, job) for job in jobs), launches=launches)
    except driver.Error as error:
        return Rows(f"the database cannot be read: {error}")
    finally:
        connection.close()


def _job(connection: driver.Connection, installation: str, row: tuple[int, str, str | None, str]) -> Job:
    number, run, equipment, state = row
    sql = "SELECT path, bytes_done, coalesce(prefix_sha256, sha256) FROM sync_files WHERE job_id = ?"
    files = {path: (done, sha256) for path, done, sha256 in connection.execute(sql, (number,)).fetchall()}
    final = f"{equipment}/{Path(run).name}" if equipment else Path(run).name
    return Job(installation, number, run, final, state, files)


def _data(image: Image, path: str) -> bytes:
    node = image.get(path)
    return node.content.data if node and node.content else b""
