"""What is looked at after a kill: the files it left, at once; and everything, when the launches after it are done.

Each look returns sentences about what is wrong, so that one test can report on many kills.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from typing import Final

from tests.crash.system_calls.scenarios import Scenario
from tests.crash.system_calls.stage import Stage
from tests.support.program import picture

from exlab_wizard.diagnosis.audit import audit
from exlab_wizard.settings import SettingsFile
from exlab_wizard.store.upkeep.invariants import check
from exlab_wizard.testing import Picture
from exlab_wizard.testing.application import RUN

ORDINARY: Final = re.compile(
    r"exlab-wizard\.db(\.replaced-\w+(-wal|-shm)?)?|config\.toml|instance\.lock|logs|page\.json|nas|spare"
    r"|backups|writing\.lock|exlab-wizard-\d{8}T\d{9}Z-[\w.-]+\.db"
)
"""What may lie in a state dir when no program runs on it."""


def at_once(stage: Stage, scenario: Scenario) -> list[str]:
    """Return what is wrong with what a reader of the destination sees at the instant of the kill."""
    wrong: list[str] = []
    for name in scenario.expected if scenario.shown is None else scenario.shown:
        final = stage.nas / name
        if not os.path.lexists(final):
            continue
        source, seen = picture(stage.runs / name), picture(final)
        if scenario.was_published:
            # Files are added one by one, each whole; times of folders and links follow.
            source, seen = content(source), content(seen)
        elif seen.keys() != source.keys():
            wrong.append(f"{name} is visible and not whole")
        wrong += [f"{name}: {path} is visible and differs" for path in seen if seen[path] != source.get(path)]
        if not stage.checksums_pass(name):
            wrong.append(f"{name} is visible and its checksums do not pass")
    return wrong + scenario.at_once(stage)


def content(seen: Picture) -> Picture:
    """Return what stands in files and links, without times and permissions."""
    return {path: (stat.S_IFMT(mode), 0, size, digest) for path, (mode, _, size, digest) in seen.items()}


def finish(stage: Stage) -> list[str]:
    """Launch, let all work come to its end, quit, and return what is wrong with that."""
    process = stage.launch(*RUN)
    if not process.await_line("ready"):
        return [f"the next launch ends with {process.end()}: {process.output.logged()[-300:]}"]
    status = stage.drive(process, stage.is_idle)
    return [] if status == 0 else [f"the next launch ends with {status}: {process.output.logged()[-300:]}"]


def in_the_end(stage: Stage, scenario: Scenario) -> list[str]:
    """Return what is wrong when all is done and the program has quit."""
    return [*_database(stage), *_runs(stage, scenario), *scenario.in_the_end(stage), *leftovers(stage)]


def _database(stage: Stage) -> Iterator[str]:
    with stage.store() as store:
        yield from (f"{finding.name}: {finding.detail}" for finding in check(store.database) if not finding.ok)
        for fault in audit(store, SettingsFile(stage.config).read()):
            yield f"{fault.rule}: {fault.subject}: {fault.detail}"
    if stage.value("SELECT count(*) FROM launches WHERE ended_at IS NULL"):
        yield "a launch has no end"
    for job, attempts in stage.query("SELECT id, attempts FROM sync_jobs WHERE state = 'verified' AND attempts <> 1"):
        yield f"job {job!r} took {attempts!r} attempts"
    for job, times in stage.query(
        "SELECT job_id, count(*) FROM job_events WHERE to_state = 'verified' GROUP BY job_id HAVING count(*) > 1"
    ):
        yield f"job {job!r} was verified {times!r} times"


def _runs(stage: Stage, scenario: Scenario) -> Iterator[str]:
    for name in scenario.expected:
        source = stage.runs / name
        if not stage.value(
            "SELECT count(*) FROM sync_jobs WHERE state = 'verified' AND cast(run_path AS TEXT) = ?", str(source)
        ):
            yield f"{name} is not verified: {stage.query('SELECT state, state_reason, error_detail FROM sync_jobs')}"
        elif picture(stage.nas / name) != picture(source):
            yield f"{name} is verified and differs from its source"
        elif not stage.checksums_pass(name):
            yield f"{name} is verified and its checksums do not pass"


def leftovers(stage: Stage) -> list[str]:
    """Return what no program that runs has any use for."""
    left = [str(path) for path in (stage.nas / ".exlab-incoming").rglob("*")]
    for folder in (stage.state, stage.state / "backups"):
        if folder.exists():
            left += [str(path) for path in folder.iterdir() if not ORDINARY.fullmatch(path.name)]
    return [f"left behind: {path}" for path in left]
