"""`status`: what is running, waiting and failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import click

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.remote import from_application
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.cli.terminal.words import blocker_line, moment
from exlab_wizard.domain.codec import document_of
from exlab_wizard.domain.text.amounts import plural, size
from exlab_wizard.domain.text.jobs import waiting
from exlab_wizard.domain.text.quit import ending
from exlab_wizard.domain.views import Status

_NOTHING = Status(None, {}, [], [], 0, [], None)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The status, whether the application runs, and its address."""

    status: Status
    running: bool
    url: str | None


@click.command("status", epilog=example("exlab-wizard status", "exlab-wizard status --json"))
@json_option
@click.pass_obj
def command(locations: Locations, *, as_json: bool) -> None:
    """Show whether the application is running, the runs in flight, waiting and failed, and open sessions.

    Nothing is changed. The exit status is 0 whether or not the application is running.
    """
    seen = from_application(locations, lambda client: _Seen(client.standing(), running=True, url=client.url()))
    if seen is None:
        seen = _from_database(locations)
    if as_json:
        where = {"state_dir": str(locations.state_dir.root), "database": str(locations.state_dir.database)}
        document = document_of(seen.status) | ({} if seen.running else {"launch": None})
        emit({**where, "running": seen.running, "url": seen.url, **document})
    elif seen.status is _NOTHING:
        say("starting" if seen.running else f"not running; nothing has been queued in {locations.state_dir.root}")
    else:
        for line in (*_launch(seen), *_work(seen.status)):
            say(line)


def _from_database(locations: Locations) -> _Seen:
    # Imported here: the application answers most calls.
    from exlab_wizard.process.instance_lock import is_running  # noqa: PLC0415 - see above
    from exlab_wizard.process.open_store import opened  # noqa: PLC0415 - see above

    running, url = is_running(locations.state_dir), None
    if running:
        from exlab_wizard.process.server_json import read_server_file  # noqa: PLC0415 - see above

        address = read_server_file(locations.state_dir.server)
        url = None if address is None else address.url
    if not locations.state_dir.database.exists():
        return _Seen(_NOTHING, running, url)
    with opened(locations.state_dir) as store:
        return _Seen(store.status.read(), running, url)


def _launch(seen: _Seen) -> Iterator[str]:
    launch, last = seen.status.launch, seen.status.last_launch
    if not seen.running:
        yield "not running; queued runs start with: exlab-wizard run"
    elif launch is None:
        yield "starting"
    else:
        drains = f", quitting since {moment(launch.draining_since)}" if launch.draining_since else ""
        yield f"running (pid {launch.pid}, version {launch.version}, since {moment(launch.started_at)}{drains})"
        if launch.paused_since:
            yield f"paused since {moment(launch.paused_since)}: resume with: exlab-wizard resume"
    if seen.url is not None:
        yield f"answers at {seen.url}"
    if not seen.running and launch is not None:
        yield f"the last launch (pid {launch.pid}) ended unexpectedly; the next one resumes its work"
    elif last is not None:
        yield f"the last launch {ending(last.ended)}, {moment(last.ended_at)}"


def _work(status: Status) -> Iterator[str]:
    if not status.pending:
        yield "nothing is pending"
    for state, pending in status.pending.items():
        left = f", {size(pending.bytes_left)} left" if pending.bytes_left else ""
        yield f"{state}: {plural(pending.jobs, 'job')}{left}"
    for group in status.waiting:
        yield f"  {plural(group.jobs, 'job')} for {group.destination}: {waiting(group.waiting_on)}"
    for blocker in status.in_flight:
        yield f"  {blocker_line(blocker)}"
    if status.sessions:
        yield f"{plural(len(status.sessions), 'session')} active: exlab-wizard sessions"
    if status.failed:
        yield f"{plural(status.failed, 'job')} failed: exlab-wizard jobs --state failed, then exlab-wizard retry ID"
