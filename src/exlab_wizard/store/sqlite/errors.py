"""SQLite's errors as sentences: what failed, where, and what to do."""

from __future__ import annotations

from exlab_wizard.errors import DamagedError, RuleError, StoreError
from exlab_wizard.store.sqlite.driver import driver


def is_busy(error: driver.Error) -> bool:
    """Return whether a lock was not available in time."""
    text = str(error)
    return "locked" in text or "busy" in text


def store_error(path: str, op: str, error: driver.Error) -> StoreError:
    """Return the error for `op` on the database at `path`; its class says whether a retry may help."""
    text = str(error)
    if isinstance(error, driver.IntegrityError):
        return RuleError(f"the database {path!r} refuses the change: {text}")
    if type(error) is driver.DatabaseError:  # its subclasses mean other things than damage
        remedy = "Quit exlab-wizard, then run: exlab-wizard db backup --list, exlab-wizard db restore FILE"
        return DamagedError(f"the database {path!r} is damaged: {text}. {remedy}")
    hint = "Run `exlab-wizard db check`."
    if is_busy(error):
        hint = "Another program has a transaction open; close that program."
    elif "unable to open" in text or "readonly" in text:
        hint = "Check that the state dir exists and that your account can write to it."
    elif "I/O" in text:
        hint = "Check the disk of the state dir: it may be failing, or full."
    elif "full" in text:
        hint = "Free space on the disk of the state dir."
    return StoreError(f"cannot {op} the database {path!r}: {text}. {hint}".rstrip())
