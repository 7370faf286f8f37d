"""`admin`: the database in the browser, to read and to query."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import click

from exlab_wizard.cli.commands.open import open_page
from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.terminal.output import example, json_option
from exlab_wizard.errors import ExlabError

PAGE: Final = "/admin/"


class ExtraMissingError(ExlabError):
    """An optional dependency is not installed."""


@click.command("admin", epilog=example("exlab-wizard admin"))
@json_option
@click.pass_obj
def command(locations: Locations, *, as_json: bool) -> None:
    """Browse the live database in the window: tables and views with their meanings, saved questions, SQL.

    It is read-only. It needs the extra `admin`: pip install 'exlab-wizard[admin]'. Like `open`, this
    starts the application if it is not running, and prints a link where there is no desktop.
    """
    if find_spec("datasette") is None:
        msg = "browsing needs the extra `admin`; install it with: pip install 'exlab-wizard[admin]'"
        raise ExtraMissingError(msg)
    open_page(locations, PAGE, as_json=as_json)
