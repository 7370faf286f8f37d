"""Logs a lasting failure once, in one sentence, and not again at every poll.

Only an unexpected error is logged with its trace; a full disk, a lock, or a lack of memory is one sentence.
"""

from __future__ import annotations

import logging

from exlab_wizard.errors import ExlabError
from exlab_wizard.transfer.failures import exhausted, is_exhaustion


class LogOnce:
    """The last failure that one loop has logged."""

    def __init__(self, log: logging.Logger) -> None:
        """Log to `log`."""
        self._log = log
        self._said = ""

    def report(self, what: str, error: Exception) -> None:
        """Log `what` and the error, unless that was logged last."""
        tired = is_exhaustion(error)
        sentence = f"{what}: {exhausted(error) if tired else error}"
        if sentence != self._said:
            self._said = sentence
            self._log.warning(sentence, exc_info=not (tired or isinstance(error, ExlabError | OSError)))

    def reset(self) -> None:
        """Log the next failure in any case: all is well again."""
        self._said = ""
