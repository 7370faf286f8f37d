"""The marker file by which a destination is told from the empty folder that an unmounted share leaves behind."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exlab_wizard.domain.job import ErrorKind, WaitReason
from exlab_wizard.errors import TransferError, TransferWaitError

MARKER: Final = ".exlab-destination"


def probe(destination: Path) -> None:
    """Return when `destination` is there and carries its marker.

    Raises:
        TransferWaitError: it is offline, for whatever reason.
    """
    try:
        (destination / MARKER).stat()
    except OSError as error:
        detail = (
            f"{str(destination)!r} is offline: its marker file {MARKER} cannot be seen ({error.strerror or error})."
            " Mount the share, or run `exlab-wizard destination add` for a new one."
        )
        raise TransferWaitError(WaitReason.DESTINATION_OFFLINE, detail) from error


def create_marker(destination: Path, name: str) -> None:
    """Mark an existing folder as the destination called `name`; a marker that is there already is kept.

    Raises:
        TransferError: config when the folder is missing, auth when it cannot be written to.
    """
    content = {"name": name, "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"), "id": uuid.uuid4().hex}
    try:
        with (destination / MARKER).open("x", encoding="utf-8") as marker:
            marker.write(json.dumps(content) + "\n")
    except FileExistsError:
        return
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "Create or mount the folder first."
        raise TransferError("Cannot mark", str(destination), hint, ErrorKind.CONFIG, error.strerror or "") from error
    except OSError as error:
        hint = "Make it writable for the account that runs exlab-wizard."
        raise TransferError("Cannot mark", str(destination), hint, ErrorKind.AUTH, error.strerror or "") from error
