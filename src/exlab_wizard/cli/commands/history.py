"""`history`: how the application started and ended."""

from __future__ import annotations

import click

from exlab_wizard.cli.options import Locations, limit_option
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.cli.terminal.table import table
from exlab_wizard.cli.terminal.words import moment
from exlab_wizard.domain.codec import document_of
from exlab_wizard.process.open_store import opened


@click.command("history", epilog=example("exlab-wizard history --limit 10"))
@limit_option
@json_option
@click.pass_obj
def command(locations: Locations, *, limit: int, as_json: bool) -> None:
    """List launches with how each ended, and quits with what they waited for, the newest first."""
    with opened(locations.state_dir) as store:
        launches, quits = store.rows.launches(limit=limit), store.rows.quits(limit=limit)
    if as_json:
        emit({"launches": [document_of(it) for it in launches], "quits": [document_of(it) for it in quits]})
        return
    if not launches:
        say("the application has never been started")
        return
    rows = [
        (it.id, moment(it.started_at), moment(it.ended_at), it.ended, it.jobs_resumed, it.pid, it.version)
        for it in launches
    ]
    table(("launch", "started", "ended", "how", "resumed", "pid", "version"), rows)
    if quits:
        say()
        fields = ("trigger", "outcome", "took_s", "prompts", "waits", "blocking_sessions", "blocking_jobs", "launch_id")
        quitted = [(it.id, moment(it.requested_at), *(getattr(it, name) for name in fields)) for it in quits]
        named = ("by", "outcome", "took (s)", "prompts", "waits", "sessions", "jobs", "launch")
        table(("quit", "requested", *named), quitted)
