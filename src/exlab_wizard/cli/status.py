"""`status`: what runs, waits and failed, at a glance."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Final

import click

from exlab_wizard.cli.context import Place
from exlab_wizard.cli.output import Json, emit, example, json_option, say
from exlab_wizard.cli.words import blocking, moment, number, plural, size, waiting
from exlab_wizard.domain.job import JobState
from exlab_wizard.domain.shutdown import Blocker
from exlab_wizard.runtime.access import opened
from exlab_wizard.runtime.instance import is_running
from exlab_wizard.store.launches import OpenLaunch
from exlab_wizard.store.lists import Record
from exlab_wizard.store.store import Store

_LOOKED_AT: Final = 1_000
_SESSIONS: Final = 100


class _Standing:
    """Everything that `status` tells, read once."""

    def __init__(self, store: Store, *, running: bool) -> None:
        lists = store.lists
        self.running = running
        self.launch: OpenLaunch | None = store.launches.open_launch()
        self.pending: list[Record] = lists.pending()
        self.in_flight: list[Blocker] = store.drain.blockers()
        queued = lists.jobs(limit=_LOOKED_AT, in_state=JobState.QUEUED)
        self.waiting = Counter(
            (str(j["destination"]), str(j["waiting_on"])) for j in queued if j["waiting_on"] is not None
        )
        self.failed = lists.failed()
        self.sessions = [lease for lease in lists.sessions(limit=_SESSIONS) if lease["state"] == "active"]
        ended = [launch for launch in lists.launches(limit=2) if launch["ended_at"] is not None]
        self.last = ended[0] if ended else None


@click.command("status", epilog=example("exlab-wizard status", "exlab-wizard status --json"))
@json_option
@click.pass_obj
def status(place: Place, *, as_json: bool) -> None:
    """Show whether the application runs, what is in flight and what waits for what, what failed, who is at work.

    Nothing is changed, and the exit status is 0 whether it runs or not.
    """
    running = is_running(place.state_dir)
    if not place.state_dir.database.exists():
        _tell_nothing(place, running=running, as_json=as_json)
        return
    with opened(place.state_dir) as store:
        standing = _Standing(store, running=running)
    if as_json:
        emit({**_where(place), **_document(standing)})
        return
    _tell_launch(standing)
    _tell_work(standing)


def _where(place: Place) -> dict[str, str]:
    return {"state_dir": str(place.state_dir.root), "database": str(place.state_dir.database)}


def _tell_nothing(place: Place, *, running: bool, as_json: bool) -> None:
    if as_json:
        nothing: dict[str, Json] = {"running": running, "launch": None, "pending": {}, "in_flight": [], "waiting": []}
        emit({**_where(place), **nothing, "failed": 0, "sessions": [], "last_launch": None})
        return
    say("starting" if running else f"not running; nothing was ever queued in {place.state_dir.root}")


def _document(standing: _Standing) -> dict[str, Json]:
    pending = {str(row["state"]): {"jobs": row["jobs"], "bytes_left": row["bytes_left"]} for row in standing.pending}
    return {
        "running": standing.running,
        "launch": asdict(standing.launch) if standing.running and standing.launch else None,
        "pending": pending,
        "in_flight": [asdict(blocker) for blocker in standing.in_flight],
        "waiting": [
            {"destination": name, "waiting_on": reason, "jobs": count}
            for (name, reason), count in standing.waiting.items()
        ],
        "failed": standing.failed,
        "sessions": standing.sessions,
        "last_launch": standing.last,
    }


def _tell_launch(standing: _Standing) -> None:
    launch = standing.launch
    if not standing.running:
        say("not running; what is queued starts with: exlab-wizard run")
    elif launch is None:
        say("starting")
    else:
        drains = f", quitting since {moment(launch.draining_since)}" if launch.draining_since else ""
        say(f"running (pid {launch.pid}, version {launch.version}, since {moment(launch.started_at)}{drains})")
    if not standing.running and launch is not None:
        say(f"the last launch (pid {launch.pid}) ended without a receipt; the next one resumes what it left")
    elif standing.last is not None:
        say(f"the last launch ended {moment(standing.last['ended_at'])}: {standing.last['ended']}")


def _tell_work(standing: _Standing) -> None:
    if not standing.pending:
        say("nothing is pending")
    for row in standing.pending:
        left = number(row["bytes_left"])
        say(f"{row['state']}: {plural(number(row['jobs']), 'job')}{f', {size(left)} left' if left else ''}")
    for (name, reason), count in standing.waiting.items():
        say(f"  {plural(count, 'job')} for {name}: {waiting(reason)}")
    for blocker in standing.in_flight:
        say(f"  {blocking(blocker)}")
    if standing.sessions:
        say(f"{plural(len(standing.sessions), 'session')} active: exlab-wizard sessions")
    if standing.failed:
        say(f"{plural(standing.failed, 'job')} failed: exlab-wizard jobs --state failed, then exlab-wizard retry ID")
