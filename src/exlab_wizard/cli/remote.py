"""Calls the running application over HTTP, which is quicker than the database: it is awake and has everything loaded.

Nothing here fails. If the application is older, hung, still starting or not running, or refuses, the result is `None`:
then the command uses the database, which has the same data and gives the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Final, TypeVar

from exlab_wizard.cli.options import Locations

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from exlab_wizard.client import Client
    from exlab_wizard.store.store import Store

_Answer = TypeVar("_Answer")

PROOF_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 3.0
"""Longer than a healthy application ever takes; a person waits this long before the command uses the database."""


def from_application(locations: Locations, call: Callable[[Client], _Answer | None]) -> _Answer | None:
    """Return what `call` gets from the running application; None if the command has to use the database instead."""
    if not locations.state_dir.server.exists():
        return None
    # Imported only if there is an application to talk to; the database needs none of it.
    from exlab_wizard.client import AnswerError, Client, UnreachableError  # noqa: PLC0415 - see above
    from exlab_wizard.client.http import Transport  # noqa: PLC0415 - see above

    client = Client(locations.state_dir, Transport(locations.state_dir, proof_s=PROOF_SECONDS, answer_s=ANSWER_SECONDS))
    try:
        return call(client)
    except (AnswerError, UnreachableError):
        return None
    finally:
        client.close()


def from_either(
    locations: Locations, call: Callable[[Client], _Answer | None], read: Callable[[Store], _Answer]
) -> _Answer:
    """Return what `call` gets from the running application, else what `read` gets from the database."""
    found = from_application(locations, call)
    if found is not None:
        return found
    from exlab_wizard.process.open_store import opened  # noqa: PLC0415 - the application answers most calls

    with opened(locations.state_dir) as store:
        return read(store)


def is_exact(views: Iterable[DataclassInstance]) -> bool:
    r"""Return whether every name in the views is exactly as on the disk.

    The application escapes bytes that are not UTF-8 as `\xNN`; only the database has them.
    """
    values = (getattr(view, field.name) for view in views for field in fields(view))
    return not any(isinstance(value, str) and "\\x" in value for value in values)
