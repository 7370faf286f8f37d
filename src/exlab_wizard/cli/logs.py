"""Where log lines go while this process is the application: one line for each event, on stderr."""

from __future__ import annotations

import logging

_FORM = "%(asctime)s %(levelname)s %(message)s"


def log_to_stderr(level: int) -> None:
    """Show log lines of at least `level`; those of migrations only when they warn."""
    # A log that cannot be written is no reason to write about that.
    logging.raiseExceptions = False
    logging.basicConfig(level=level, format=_FORM)
    logging.getLogger("alembic").setLevel(max(level, logging.WARNING))
