"""The marker file: it distinguishes a destination from the empty folder that an unmounted share leaves behind.

Its id distinguishes the destination from another one that is mounted in its place.
"""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exlab_wizard.domain.job import ErrorKind, WaitReason
from exlab_wizard.durable import replace_file, sync_folder
from exlab_wizard.errors import TransferError, TransferWaitError

MARKER: Final = ".exlab-destination"


def probe(destination: Path, marker_id: str = "") -> None:
    """Return when `destination` is there and has its marker, with the id `marker_id` unless that is empty.

    Raises:
        TransferWaitError: it is offline, for whatever reason.
    """
    try:
        (destination / MARKER).stat()
        found = read_id(destination) if marker_id else ""
    except OSError as error:
        detail = (
            f"{str(destination)!r} is offline: its marker file {MARKER} cannot be read ({error.strerror or error})."
            " Mount the share, or run `exlab-wizard destination add` to set up a new one."
        )
        raise TransferWaitError(WaitReason.DESTINATION_OFFLINE, detail) from error
    if found != marker_id:
        detail = (
            f"{str(destination)!r} is a different destination: its marker file {MARKER} has the id {found!r}, not"
            f" {marker_id!r}. Mount the right share, or correct the destination's `marker` in the configuration."
        )
        raise TransferWaitError(WaitReason.DESTINATION_OFFLINE, detail)


def read_id(destination: Path) -> str:
    """Return the id in the marker of `destination`; empty for a marker without one.

    Raises:
        OSError: it cannot be read.
    """
    try:
        content = json.loads((destination / MARKER).read_text(encoding="utf-8", errors="replace"))
    except ValueError:
        return ""
    found = content.get("id") if isinstance(content, dict) else None
    return found if isinstance(found, str) else ""


def create_marker(destination: Path, name: str) -> str:
    """Mark an existing folder, durably, as the destination called `name`, and return the marker's id.

    A marker that is there already is kept; without an id in it, what is returned is empty.

    Raises:
        TransferError: config when the folder is missing, auth when it cannot be written to.
    """
    content = {"name": name, "created_at": datetime.now(UTC).isoformat(timespec="milliseconds"), "id": uuid.uuid4().hex}
    try:
        if (destination / MARKER).exists():
            sync_folder(destination)  # its creator may have been cut off before this
        else:
            replace_file(destination / MARKER, (json.dumps(content) + "\n").encode())
        return read_id(destination)
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = "Create or mount the folder first."
        raise TransferError("Cannot mark", str(destination), hint, ErrorKind.CONFIG, error.strerror or "") from error
    except OSError as error:
        hint = "Make it writable for the account that runs exlab-wizard."
        raise TransferError("Cannot mark", str(destination), hint, ErrorKind.AUTH, error.strerror or "") from error
