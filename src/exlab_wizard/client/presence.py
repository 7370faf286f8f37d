"""Tells an application that does not run from one that does not answer."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from exlab_wizard.client.errors import NotRunningError, UnreachableError
from exlab_wizard.paths import StateDir


@contextlib.contextmanager
def detect_not_running(state_dir: StateDir) -> Iterator[None]:
    """Raise `NotRunningError` instead of `UnreachableError` if no process is the application.

    Not for retries in a loop: the check takes the instance lock for a moment, which a launch may need.
    """
    try:
        yield
    except UnreachableError as error:
        from exlab_wizard.process.instance_lock import is_running  # noqa: PLC0415 - needed only without an answer

        if error.sent or is_running(state_dir):
            raise
        msg = f"not running for the state dir {str(state_dir.root)!r}; `exlab-wizard run` starts it"
        raise NotRunningError(msg) from error
