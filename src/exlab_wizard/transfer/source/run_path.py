"""Refuses invalid run paths and equipment ids, in one line that says what to do instead.

The command line and the HTTP API both check here, so that they accept the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from exlab_wizard.domain.job import ErrorKind
from exlab_wizard.errors import TransferError

_EQUIPMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}")


def equipment_fault(equipment: str) -> str | None:
    """Return what is wrong with an equipment id, which becomes a folder on the destination; None if it is valid."""
    if _EQUIPMENT.fullmatch(equipment) and ".." not in equipment and equipment[-1] not in ". ":
        return None
    return (
        f"the equipment id {equipment!r} must be a plain folder name: up to 63 letters, digits, spaces, dots, _ or -,"
        " beginning with a letter or digit, not ending in a space or dot, without '..'"
    )


def plain_path(path: str) -> str:
    """Return `path` as the absolute path under which a run is known, without touching the disk."""
    # Not resolve(): a run that is reached through a link keeps the name it was given.
    return os.path.abspath(path)  # noqa: PTH100 - it also takes out "..", which Path.absolute() leaves


def checked_run(path: str, destinations: Mapping[str, Path], state_dir: Path) -> str:
    """Return the run at `path`, a folder that can be read, as an absolute path, links in it kept as they are.

    It has nothing to do with the state dir or any of the named `destinations`: for this, symlinks are resolved.

    Raises:
        TransferError: it cannot be synced; source_missing when there is nothing, config for everything else.
    """
    run = Path(plain_path(path))
    try:
        run.stat()
        here, state = run.resolve(), state_dir.resolve()
        targets = {name: destination.resolve() for name, destination in destinations.items()}
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _refused(run, "Give the path of an existing run folder.", error, ErrorKind.SOURCE_MISSING) from error
    except (OSError, ValueError) as error:
        raise _refused(run, "Give a path that this account can read.", error) from error
    if not run.is_dir():
        raise _refused(run, "It is a file: give the run folder that contains it.")
    if not os.access(run, os.R_OK | os.X_OK):
        raise _refused(run, "Make it readable for the account that runs exlab-wizard.")
    for name, target in targets.items():
        if here.is_relative_to(target):
            raise _refused(run, f"It is inside the destination {name!r} ({target}): give the local folder of the run.")
        if target.is_relative_to(here):
            raise _refused(run, f"It contains the destination {name!r} ({target}): give one run folder below it.")
    if state.is_relative_to(here):
        # Reading its own live database as a file, the application would drop SQLite's locks on it.
        raise _refused(run, f"It contains the state dir {str(state_dir)!r}: give one run folder below it.")
    return str(run)


def _refused(
    run_path: Path, hint: str, error: BaseException | None = None, kind: ErrorKind = ErrorKind.CONFIG
) -> TransferError:
    cause = (getattr(error, "strerror", None) or str(error)) if error else ""
    return TransferError("Cannot sync", str(run_path), hint, kind, cause)
