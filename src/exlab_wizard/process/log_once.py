"""What is wrong for a while is said once, in a sentence, and not again at every look.

A trace is logged only for what nobody foresaw; a full disk, a lock, or a computer out of memory has its sentence.
"""

from __future__ import annotations

import logging

from exlab_wizard.errors import ExlabError
from exlab_wizard.transfer.failures import exhausted, is_exhaustion


class LogOnce:
    """The last thing that one loop complained of."""

    def __init__(self, log: logging.Logger) -> None:
        """Complain to `log`."""
        self._log = log
        self._said = ""

    def report(self, what: str, error: Exception) -> None:
        """Log `what` and the error, unless that was said last."""
        tired = is_exhaustion(error)
        sentence = f"{what}: {exhausted(error) if tired else error}"
        if sentence != self._said:
            self._said = sentence
            self._log.warning(sentence, exc_info=not (tired or isinstance(error, ExlabError | OSError)))

    def reset(self) -> None:
        """Say the next thing in any case: all is well again."""
        self._said = ""
