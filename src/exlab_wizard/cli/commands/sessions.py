"""`sessions`: the session leases, the active ones first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from exlab_wizard.cli.options import LONGEST_ANSWER, Locations, limit_option
from exlab_wizard.cli.remote import from_either, is_exact
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.cli.terminal.table import table
from exlab_wizard.cli.terminal.words import moment
from exlab_wizard.domain.codec import document_of
from exlab_wizard.domain.views import LeaseState, SessionRow

if TYPE_CHECKING:
    from exlab_wizard.client import Client


@click.command("sessions", epilog=example("exlab-wizard sessions"))
@limit_option
@json_option
@click.pass_obj
def command(locations: Locations, *, limit: int, as_json: bool) -> None:
    """List sessions, the active ones first. A session is foreground work that a quit waits for; heartbeats renew it."""
    found = _sessions(locations, limit)
    if as_json:
        emit([document_of(session) for session in found])
    elif not found:
        say("no sessions")
    else:
        rows = [
            (it.id, it.kind, it.label, it.operator, it.state, moment(it.opened_at), moment(it.expires_at))
            for it in found
        ]
        table(("id", "kind", "label", "operator", "state", "opened", "expires"), rows)


def _sessions(locations: Locations, limit: int) -> list[SessionRow]:
    def request(client: Client) -> list[SessionRow] | None:
        found = client.sessions(limit=LONGEST_ANSWER)
        if len(found) == LONGEST_ANSWER or not is_exact(found):
            return None
        return sorted(found, key=lambda session: session.state is not LeaseState.ACTIVE)[:limit]

    return from_either(locations, request, lambda store: store.rows.sessions(limit=limit))
