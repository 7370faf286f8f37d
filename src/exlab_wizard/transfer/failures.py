"""Turns the operating system's errors into sentences for the operator and a kind that decides what happens next.

Which side an error came from matters more than its number: an unreadable source file needs a person, an unreachable
destination only needs time.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final

from exlab_wizard.domain.job import ErrorKind, WaitReason
from exlab_wizard.errors import ExlabError, TransferError, TransferWaitError


def _numbers(*names: str) -> frozenset[int]:
    return frozenset(number for name in names if isinstance(number := getattr(errno, name, None), int))


_FULL: Final = _numbers("ENOSPC", "EDQUOT")
_DENIED: Final = _numbers("EACCES", "EPERM", "EROFS")
_NAME: Final = _numbers("ENAMETOOLONG", "EINVAL", "EILSEQ")
_EXHAUSTED: Final = _numbers("EMFILE", "ENFILE", "ENOMEM", "ENOBUFS", "EAGAIN")
_NETWORK: Final = _numbers(
    "EIO", "ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ENOTCONN",
    "ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "EPIPE", "EREMOTEIO", "ENODEV", "ENXIO", "ENOLINK", "EPROTO",
)  # fmt: skip

EXHAUSTED_HINT: Final = (
    "This computer has run out of memory, threads or open files. Close programs, or raise the limits of the account"
    " that runs exlab-wizard. exlab-wizard retries automatically."
)


class FailureClassifier:
    """Names the file and the remedy for what went wrong between one run and one destination.

    `check_online` raises TransferWaitError when the destination is offline.
    """

    def __init__(self, run_path: Path, destination: Path, *, check_online: Callable[[], None]) -> None:
        self._run_path, self.destination, self.check_online = run_path, destination, check_online

    def source(self, op: str, name: str) -> _Classified:
        """Raise an OSError from inside the `with` block as what it means for reading `name` of the run.

        The block then raises TransferError, or TransferWaitError when the run is being changed.
        """
        return _Classified(self.of_source, op, name)

    def target(self, op: str, path: Path | str) -> _Classified:
        """Raise an OSError from inside the `with` block as what it means for `path` of the destination.

        The block then raises TransferError, or TransferWaitError when the destination is offline or full.
        """
        return _Classified(self.of_target, op, path)

    def of_source(self, op: str, name: Path | str, error: OSError) -> ExlabError:
        """Return what an error while reading `name` (relative to the run) means."""
        path, cause = str(self._run_path / name), error.strerror or str(error)
        if _is_gone(self._run_path):
            hint = "The run folder no longer exists: restore it, or cancel the job."
            return TransferError(op, str(self._run_path), hint, ErrorKind.SOURCE_MISSING, cause)
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return changing(path)
        kind = ErrorKind.CONFIG
        if error.errno in _DENIED:
            hint = "Make it readable for the account that runs exlab-wizard, then retry the job."
        elif error.errno in _NAME:
            hint = "Give it a shorter or simpler name, then retry the job."
        else:
            hint = EXHAUSTED_HINT if error.errno in _EXHAUSTED else "Check the disk that holds the run."
            kind = ErrorKind.UNKNOWN
        return TransferError(op, path, hint, kind, cause)

    def of_target(self, op: str, path: Path | str, error: OSError) -> ExlabError:
        """Return what an error at `path` (absolute, or relative to the destination) means."""
        try:
            self.check_online()
        except TransferWaitError as offline:
            return offline
        cause = error.strerror or str(error)
        if error.errno in _FULL:
            full = f"{str(self.destination)!r} is full ({cause}). Free up space there; the job resumes automatically."
            return TransferWaitError(WaitReason.DESTINATION_FULL, full)
        return _target_failure(op, str(self.destination / path), error, cause)


class _Classified:
    """The `with` block of an operation; cheaper than a generator, since every buffer passes through one."""

    __slots__ = ("_classify", "_op", "_path")

    def __init__(self, classify: Callable[[str, Path | str, OSError], ExlabError], op: str, path: Path | str) -> None:
        self._classify, self._op, self._path = classify, op, path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, OSError):
            raise self._classify(self._op, self._path, error) from error


def _target_failure(op: str, full: str, error: OSError, cause: str) -> TransferError:
    if error.errno in _DENIED:
        folder = os.path.dirname(full)  # noqa: PTH120 - a string for a sentence
        hint = f"Make the folder {folder!r} writable for the account that runs exlab-wizard, then retry the job."
        kind = ErrorKind.AUTH
    elif error.errno in _NAME:
        hint = "The destination does not support this name: rename the file in the run, then retry the job."
        kind = ErrorKind.CONFIG
    elif error.errno == errno.EFBIG:
        hint = "The destination's file system cannot store a file this large: use another destination."
        kind = ErrorKind.CONFIG
    elif error.errno in _NETWORK:
        hint, kind = "Check the network and the NAS.", ErrorKind.NETWORK
    else:
        hint = EXHAUSTED_HINT if error.errno in _EXHAUSTED else "See the log; exlab-wizard retries automatically."
        kind = ErrorKind.UNKNOWN
    return TransferError(op, full, hint, kind, cause)


def _is_gone(folder: Path) -> bool:
    """Return whether there is no such folder; one that cannot be read is not gone."""
    try:
        return not stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def is_exhaustion(error: BaseException) -> bool:
    """Return whether this computer had no memory, thread or descriptor left."""
    if isinstance(error, OSError):
        return error.errno in _EXHAUSTED
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "new thread" in str(error))


def exhausted(error: BaseException) -> str:
    """Return the sentence for an error that `is_exhaustion`."""
    return f"{type(error).__name__}: {error}. {EXHAUSTED_HINT}".replace(": .", ".")


def changing(path: str) -> TransferWaitError:
    """Return the error for a source file that is still being written."""
    detail = f"{path!r} is still being changed. exlab-wizard copies the run when the instrument has finished."
    return TransferWaitError(WaitReason.SOURCE_CHANGING, detail)
