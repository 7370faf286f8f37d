"""The running application, asked over HTTP, where that is quicker than the database: it is awake and has all loaded.

Nothing here fails. An application that is older, hung, just starting or not there is `None`, and whatever it refuses
too: then the command goes to the database, which knows the same and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeVar

from exlab_wizard.cli.locations import Locations
from exlab_wizard.domain.codec import Row

if TYPE_CHECKING:
    from exlab_wizard.client import Client

_Answer = TypeVar("_Answer")

PROOF_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 3.0
"""Longer than the application ever takes when it is well; a person waits for it before the database is asked."""


def from_application(locations: Locations, ask: Callable[[Client], _Answer | None]) -> _Answer | None:
    """Return what `ask` gets from the running application; None where the database is to be asked instead."""
    if not locations.state_dir.server.exists():
        return None
    # Imported where there is somebody to talk to; the database needs none of it.
    from exlab_wizard.client import AnswerError, Client, UnreachableError  # noqa: PLC0415 - see above
    from exlab_wizard.client.http import Wire  # noqa: PLC0415 - see above

    client = Client(locations.state_dir, Wire(locations.state_dir, proof_s=PROOF_SECONDS, answer_s=ANSWER_SECONDS))
    try:
        return ask(client)
    except (AnswerError, UnreachableError):
        return None
    finally:
        client.close()


def url_of(locations: Locations) -> str | None:
    """Return where the running application's pages are, as it wrote down; None where it has no server."""
    from exlab_wizard.client import UnreachableError  # noqa: PLC0415 - as above
    from exlab_wizard.client.location import read_location  # noqa: PLC0415 - as above

    try:
        return read_location(locations.state_dir.server).url
    except UnreachableError:
        return None


def rows_of(document: Mapping[str, object], name: str) -> list[Row] | None:
    """Return the rows of an answer; None where it holds anything else."""
    found = document.get(name)
    if not isinstance(found, list):
        return None
    rows = [row_of(one) for one in found]
    return None if None in rows else [row for row in rows if row is not None]


def row_of(document: object) -> Row | None:
    r"""Return one row of an answer; None where it is anything else, or a name in it is not shown as it is.

    The application shows bytes that are no text as `\xNN`; only the database has them.
    """
    if not isinstance(document, dict):
        return None
    row: Row = {}
    for name, value in document.items():
        if not (value is None or isinstance(value, str | int | float)) or (isinstance(value, str) and "\\x" in value):
            return None
        row[str(name)] = value
    return row
