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
    """Return the run at `path` as an absolute path, links in it kept as they are.

    Raises:
        TransferError: it cannot be synced; source_missing when there is nothing, config for everything else.
    """
    run = plain_path(path)
    try:
        check_run_path(Path(run), destinations)
        inside = state_dir.resolve().is_relative_to(Path(run).resolve())
    except OSError as error:
        raise _refused(Path(run), "Give a path that this account can read.", error) from error
    if inside:
        # Reading its own live database as a file, the application would drop SQLite's locks on it.
        raise _refused(Path(run), f"It contains the state dir {str(state_dir)!r}: give one run folder below it.")
    return run


def check_run_path(run_path: Path, destinations: Mapping[str, Path]) -> None:
    """Return when `run_path` is a folder that can be read and has nothing to do with any of the named `destinations`.

    Symlinks are resolved for the comparison.

    Raises:
        TransferError: source_missing when there is nothing, config for everything else.
    """
    try:
        run_path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _refused(run_path, "Give the path of an existing run folder.", error, ErrorKind.SOURCE_MISSING) from error
    except (OSError, ValueError) as error:
        raise _refused(run_path, "Give a path that this account can read.", error) from error
    if not run_path.is_dir():
        raise _refused(run_path, "It is a file: give the run folder that contains it.")
    if not os.access(run_path, os.R_OK | os.X_OK):
        raise _refused(run_path, "Make it readable for the account that runs exlab-wizard.")
    here = run_path.resolve()
    for name, destination in destinations.items():
        there = destination.resolve()
        if here.is_relative_to(there):
            hint = f"It is inside the destination {name!r} ({there}): give the local folder of the run."
            raise _refused(run_path, hint)
        if there.is_relative_to(here):
            raise _refused(run_path, f"It contains the destination {name!r} ({there}): give one run folder below it.")


def _refused(
    run_path: Path, hint: str, error: BaseException | None = None, kind: ErrorKind = ErrorKind.CONFIG
) -> TransferError:
    cause = (getattr(error, "strerror", None) or str(error)) if error else ""
    return TransferError("Cannot sync", str(run_path), hint, kind, cause)
