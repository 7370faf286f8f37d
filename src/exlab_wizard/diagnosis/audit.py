"""The promise of the program as code: what must hold of a database and its destinations, at any instant of any crash.

It reads everything and changes nothing; each fault names the rule that it breaks. It may run beside the application: it
distinguishes unfinished work from faults, and repeats a check when jobs moved during it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from exlab_wizard.diagnosis.read_back import UNLISTED, Known, read_back
from exlab_wizard.domain.files import FileRecord
from exlab_wizard.domain.job import UNFINISHED, JobState
from exlab_wizard.errors import TransferWaitError
from exlab_wizard.settings import Settings
from exlab_wizard.store.store import Store
from exlab_wizard.store.upkeep.invariants import PROGRESS_RULES, check_rows
from exlab_wizard.transfer.destination.marker import probe
from exlab_wizard.transfer.destination.publish import INCOMING
from exlab_wizard.transfer.destination.receipt import Owner, read_owner
from exlab_wizard.transfer.files.tree import Tree
from exlab_wizard.workers.attempt import final_parts, job_key

_TRIES: Final = 3
_TIMEOUT_SECONDS: Final = 10.0
_DONE: Final = (JobState.VERIFIED, JobState.CLEANED)


class Rule(StrEnum):
    """What must hold beyond the database's own rules."""

    READABLE = "destinations of verified runs can be read"
    COMPLETE = "verified runs are at their final paths, equal byte for byte"
    VERIFIED = "every file on a destination was verified"
    INCOMING = "incoming folders belong to unfinished jobs"


@dataclass(frozen=True, slots=True)
class Fault:
    """A broken rule: what breaks it, and how."""

    rule: str
    subject: str
    detail: str


def audit(store: Store, settings: Settings) -> list[Fault]:
    """Check everything: the rows, the ways forward, and every published run, read back whole.

    Raises:
        StoreError: the database cannot be read.
    """
    findings = check_rows(store.database, *PROGRESS_RULES)
    rows = [Fault(finding.name, str(store.database.path), finding.detail) for finding in findings if not finding.ok]
    return rows + audit_runs(store, settings, lambda _done, _total: None)


def audit_runs(store: Store, settings: Settings, progress: Callable[[int, int], None]) -> list[Fault]:
    """Check the destinations only; `progress` is called with the bytes read and the total.

    Raises:
        StoreError: the database cannot be read.
    """
    return list(_Audit(store, settings, progress).faults())


def audit_incoming(store: Store, settings: Settings) -> tuple[list[Fault], list[str]]:
    """Find partial copies that belong to no job, at every destination that answers within some seconds.

    Returns the faults, and the names of the destinations that were not checked: offline, or not answering.

    Raises:
        StoreError: the database cannot be read.
    """
    found: dict[str, list[Fault]] = {}
    audits = {name: _Audit(store, settings, lambda _done, _total: None) for name in settings.destinations}

    def check(name: str) -> None:
        try:
            found.update(audits[name].left_behind(name))
        finally:
            store.database.release()

    # A share that hangs keeps its thread inside the operating system, where it is left behind.
    threads = [threading.Thread(target=check, args=(name,), daemon=True) for name in audits]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    checked = dict(found)
    return [fault for faults in checked.values() for fault in faults], sorted(audits.keys() - checked.keys())


class _Audit:
    """One check of all destinations."""

    def __init__(self, store: Store, settings: Settings, progress: Callable[[int, int], None]) -> None:
        self._store, self._progress = store, progress
        self._folders = {name: destination.folder for name, destination in settings.destinations.items()}
        self._installation = store.launches.installation_id()
        self._read = self._total = 0
        self._checked: set[Path] = set()

    def faults(self) -> Iterator[Fault]:
        """Yield the faults: first of the runs that should be there, then of the folders that are."""
        publications = self._store.history.published()
        self._total = sum(publication.size for publication in publications)
        used = {publication.destination for publication in publications}
        unreadable = {name: why for name in used | self._folders.keys() if (why := self._unreadable(name))}
        for publication in publications:
            if publication.destination not in unreadable:
                yield from self._run(publication.job_id, Rule.COMPLETE)
        for name, folder in self._folders.items():
            if name not in unreadable:
                yield from self._incoming(folder)
                yield from self._visible(name, folder)
        for name in sorted(used & unreadable.keys()):
            yield Fault(Rule.READABLE, name, unreadable[name])

    def left_behind(self, name: str) -> dict[str, list[Fault]]:
        """Return the partial copies at destination `name` that belong to no job; nothing if it is offline."""
        return {} if self._unreadable(name) else {name: list(self._incoming(self._folders[name]))}

    def _unreadable(self, name: str) -> str:
        if name not in self._folders:
            return "it is no longer in the settings, so it was not read"
        try:
            probe(self._folders[name])
        except TransferWaitError as error:
            return str(error)
        return ""

    def _run(self, job_id: int, rule: Rule, final: Path | None = None) -> list[Fault]:
        """Read back the run that a job published; again, if there are faults and its jobs moved meanwhile."""
        found: list[Fault] = []
        before = self._read
        for _ in range(_TRIES):
            job = self._store.history.publication(job_id)
            if job is None:
                return [Fault(rule, str(final), f"job {job_id} is not in the database")]
            parts = final_parts(job.run_path, job.equipment_id)
            where = final or self._folders[job.destination].joinpath(*parts)
            self._checked.add(where)
            jobs = self._store.history.states_of_run(job.run_path, job.destination)
            self._read = before
            known = self._known(job_id, jobs)
            if known.rows and not job.files and (owner := _owner(where)) is not None:
                return self._forgotten(job.destination, where, owner)  # `db prune` was interrupted
            found = [
                Fault(Rule.VERIFIED if detail == UNLISTED else rule, str(path), detail)
                for path, detail in read_back(where, known, self._moved)
            ]
            now = self._store.history.states_of_run(job.run_path, job.destination)
            if not found or now == jobs:
                break
            job_id = max((number for number, state in now.items() if state in _DONE), default=job_id)
        return found

    def _known(self, job_id: int, jobs: dict[int, JobState]) -> Known:
        others = [number for number, state in jobs.items() if number > job_id or state not in _DONE]
        return Known(
            rows=self._rows(job_id),
            others=self._rows(*others),
            job_key=job_key(self._installation, job_id),
            job_keys=frozenset(job_key(self._installation, number) for number in jobs),
            in_between=any(
                state in UNFINISHED or (number > job_id and state not in _DONE) for number, state in jobs.items()
            ),
        )

    def _rows(self, *job_ids: int) -> dict[str, FileRecord]:
        return {row.path: row for job_id in job_ids for row in self._store.files.load(job_id)}

    def _moved(self, size: int) -> None:
        self._read += size
        self._progress(min(self._read, self._total), self._total)

    def _incoming(self, destination: Path) -> Iterator[Fault]:
        for folder in _folders_in(destination / INCOMING):
            job_id = self._our_job(folder.name)
            if job_id is None:
                continue  # of another workstation
            state = self._store.jobs.state_of(job_id)
            if state is None and not self._store.jobs.is_unwanted(job_id):
                yield Fault(Rule.INCOMING, str(folder), f"job {job_id} is not in the database")
            elif state in _DONE and folder.exists():
                detail = f"job {job_id} is {state}, but its partial copy was left behind"
                yield Fault(Rule.INCOMING, str(folder), detail)

    def _visible(self, name: str, destination: Path) -> Iterator[Fault]:
        equipment = self._store.history.equipment_at(name)
        for folder in _folders_in(destination):
            runs = [(folder, _owner(folder))]
            if runs[0][1] is None:
                below = [(inner, _owner(inner)) for inner in _folders_in(folder)]
                if folder.name in equipment or any(owner for _, owner in below):
                    runs = below
            for run, owner in runs:
                if owner is None:
                    yield Fault(Rule.VERIFIED, str(run), "it has no receipt, so it was not verified by exlab-wizard")
                else:
                    yield from self._owned(name, run, owner)

    def _owned(self, name: str, folder: Path, owner: Owner) -> list[Fault]:
        """Check a folder with a receipt; it must be complete even if no verified job led to it."""
        job_id = self._our_job(owner.job_key)
        if job_id is None or folder in self._checked:
            return []
        if self._store.history.publication(job_id) is None and self._store.jobs.is_unwanted(job_id):
            return self._forgotten(name, folder, owner)
        return self._run(job_id, Rule.VERIFIED, folder)

    def _forgotten(self, name: str, folder: Path, owner: Owner) -> list[Fault]:
        """Read back a run whose job was deleted from the database, or nearly so, by its own checksum list."""
        jobs = self._store.history.states_of_run(owner.run_path, name)
        keys = frozenset(job_key(self._installation, number) for number in jobs) | {owner.job_key}
        known = Known(rows={}, others=self._rows(*jobs), job_key="", job_keys=keys, in_between=bool(jobs))
        return [Fault(Rule.VERIFIED, str(path), detail) for path, detail in read_back(folder, known, self._moved)]

    def _our_job(self, name: str) -> int | None:
        ours = re.fullmatch(rf"{re.escape(self._installation)}-(\d+)", name)
        return None if ours is None else int(ours[1])


def _owner(folder: Path) -> Owner | None:
    try:
        with Tree(folder) as tree:
            return read_owner(tree)
    except OSError:
        return None


def _folders_in(folder: Path) -> list[Path]:
    """Return the visible folders: names that begin with a dot, and links, are not runs."""
    try:
        found = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [it for it in found if it.is_dir() and not it.is_symlink() and not it.name.startswith(".")]
