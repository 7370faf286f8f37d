"""The running application, asked over HTTP, where that is quicker than the database: it is awake and has all loaded.

Nothing here fails. An application that is older, hung, just starting or not there is `None`, and whatever it refuses
too: then the command goes to the database, which knows the same and says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Final, TypeVar

from exlab_wizard.cli.locations import Locations

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

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
    from exlab_wizard.process.server_json import read_server_file  # noqa: PLC0415 - as above

    address = read_server_file(locations.state_dir.server)
    return None if address is None else address.url


def is_exact(views: Iterable[DataclassInstance]) -> bool:
    r"""Return whether each name in the views is as it is on the disk.

    The application shows bytes that are not text as `\xNN`; only the database has them.
    """
    values = (getattr(view, field.name) for view in views for field in fields(view))
    return not any(isinstance(value, str) and "\\x" in value for value in values)
