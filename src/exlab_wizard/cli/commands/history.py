"""`sessions` and `history`: who is at work, and how the application started and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exlab_wizard.cli.commands.jobs import LONGEST_ANSWER, LONGEST_PAGE, PAGE
from exlab_wizard.cli.context import Place
from exlab_wizard.cli.remote import from_application, rows_of
from exlab_wizard.cli.terminal.output import emit, example, json_option, say, table
from exlab_wizard.cli.terminal.words import moment
from exlab_wizard.domain.status import Row

if TYPE_CHECKING:
    from exlab_wizard.client import Client

limit_option = click.option(
    "--limit", type=click.IntRange(1, LONGEST_PAGE), default=PAGE, show_default=True, help="At most so many."
)


@click.command("sessions", epilog=example("exlab-wizard sessions"))
@limit_option
@json_option
@click.pass_obj
def sessions(place: Place, *, limit: int, as_json: bool) -> None:
    """List sessions, the active ones first: foreground work that a quit waits for, kept alive by heartbeats."""
    found = _sessions(place, limit)
    if as_json:
        emit(found)
    elif not found:
        say("no sessions")
    else:
        names = ("id", "kind", "label", "operator", "state")
        rows = [(*(row[name] for name in names), moment(row["opened_at"]), moment(row["expires_at"])) for row in found]
        table((*names, "opened", "expires"), rows)


def _sessions(place: Place, limit: int) -> list[Row]:
    def ask(client: Client) -> list[Row] | None:
        answer = client.call("GET", f"/sessions?limit={LONGEST_ANSWER}")
        found = rows_of(answer, "sessions")
        if found is None or answer.get("next") is not None:
            return None
        return sorted(found, key=lambda row: row["state"] != "active")[:limit]

    found = from_application(place, ask)
    if found is not None:
        return found
    from exlab_wizard.process.open_store import opened  # noqa: PLC0415 - most calls are answered by the application

    with opened(place.state_dir) as store:
        return store.lists.sessions(limit=limit)


@click.command("history", epilog=example("exlab-wizard history --limit 10"))
@limit_option
@json_option
@click.pass_obj
def history(place: Place, *, limit: int, as_json: bool) -> None:
    """List launches with how each ended, and quits with what they waited for; the newest first."""
    from exlab_wizard.process.open_store import opened  # noqa: PLC0415 - only what the database alone knows loads it

    with opened(place.state_dir) as store:
        launches, quits = store.lists.launches(limit=limit), store.lists.quits(limit=limit)
    if as_json:
        emit({"launches": launches, "quits": quits})
        return
    if not launches:
        say("the application was never started")
        return
    table(
        ("launch", "started", "ended", "how", "resumed", "pid", "version"),
        [
            (
                r["id"],
                moment(r["started_at"]),
                moment(r["ended_at"]),
                r["ended"],
                r["jobs_resumed"],
                r["pid"],
                r["version"],
            )
            for r in launches
        ],
    )
    if quits:
        say()
        names = ("trigger", "outcome", "took_s", "prompts", "waits", "blocking_sessions", "blocking_jobs", "launch_id")
        rows = [(q["id"], moment(q["requested_at"]), *(q[name] for name in names)) for q in quits]
        table(("quit", "asked", "by", "outcome", "took s", "prompts", "waits", "sessions", "jobs", "launch"), rows)
