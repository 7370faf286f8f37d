"""The log: one line for each event, with the ids of its launch, job and session, as JSON in a file and as text.

The file is in the state dir and never grows beyond its limit. Each line reaches the kernel before the program goes
on: a forced exit or a SIGKILL loses none. A log that cannot be written, as on a full disk, harms no work.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from exlab_wizard import __version__
from exlab_wizard.domain.clock import to_text
from exlab_wizard.errors import ExlabError
from exlab_wizard.transfer.failures import exhausted, is_exhaustion

NAME: Final = "exlab-wizard.log"
FILE_BYTES: Final = 4 << 20
KEPT_FILES: Final = 4
"""Including the current one."""
MINUTE_SECONDS: Final = 60.0
IDS: Final = ("launch", "job", "session")
_TEXT: Final = "%(asctime)s %(levelname)s %(message)s"
_LONGEST_CHARS: Final = 16_000
_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

ids_of_this_process: Final[dict[str, int | str]] = {}
_about: Final[ContextVar[dict[str, int | str]]] = ContextVar("about")
_log = logging.getLogger(__name__)


@contextlib.contextmanager
def log_ids(**ids: int | str) -> Iterator[None]:
    """Add these ids to what this thread logs in the block: `job=7`, `session=…`."""
    token = _about.set({**_about.get({}), **ids})
    try:
        yield
    finally:
        _about.reset(token)


class LogOnce:
    """Logs a lasting failure of one loop once, in one sentence, and not again at every poll.

    Only an unexpected error is logged with its trace; a full disk, a lock, or a lack of memory is one sentence.
    """

    def __init__(self, log: logging.Logger) -> None:
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


class LogEachMinute:
    """Logs each kind of event at most once a minute, and a minute later how many more there were.

    For events that others can cause as often as they like. For the event loop's thread.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._more: dict[str, int] = {}

    def report(self, kind: str, level: int, detail: str, error: BaseException | None = None) -> None:
        """Log `kind` and `detail`, with the trace of `error`, unless the last minute has one of that kind."""
        if kind in self._more:
            self._more[kind] += 1
            return
        self._more[kind] = 0
        self._log.log(level, "%s: %s", kind, detail, exc_info=error)
        asyncio.get_running_loop().call_later(MINUTE_SECONDS, self._count, kind, level)

    def _count(self, kind: str, level: int) -> None:
        if more := self._more.pop(kind):
            self._log.log(level, "%s: %d more in the last minute", kind, more)


def _add_ids(record: logging.LogRecord) -> bool:
    """Give the record its ids: its own (`extra`), its thread's, and those of this process; a filter that all pass."""
    for name, value in {**ids_of_this_process, **_about.get({})}.items():
        record.__dict__.setdefault(name, value)
    return True


class JsonFormatter(logging.Formatter):
    """One JSON object for each event, on one line of ASCII, whatever a name contains."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        document: dict[str, object] = {
            "at": to_text(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "message": record.getMessage()[:_LONGEST_CHARS],
            **{name: record.__dict__[name] for name in IDS if name in record.__dict__},
            "by": record.name.removeprefix("exlab_wizard."),
            "thread": record.threadName,
        }
        if record.exc_info:
            document["trace"] = self.formatException(record.exc_info)[-_LONGEST_CHARS:]
        return json.dumps(document)


class LogFile(logging.Handler):
    """The current file and a few older ones. Only the holder of the instance lock writes here."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter())
        self._path = folder / NAME
        self._fd: int | None = None
        self._torn = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; one that cannot be written is dropped."""
        try:
            line = self.format(record).encode() + b"\n"
            self._write(line)
        except (OSError, ValueError, TypeError, KeyError):  # a full disk, or a format that does not match its arguments
            self._torn = True

    def _write(self, line: bytes) -> None:
        fd = self._open_file()
        if os.fstat(fd).st_size + len(line) > FILE_BYTES:
            self._rotate()
            fd = self._open_file()
        # A full disk may have cut off the last line; this one starts on a new line.
        whole = b"\n" + line if self._torn else line
        self._torn = os.write(fd, whole) < len(whole)

    def _open_file(self) -> int:
        """Return the open file, which is opened again after it was moved away."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(self._fd), self._path.stat()):
                    return self._fd
            self._release()
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _FLAGS, 0o600)
        size = os.fstat(self._fd).st_size
        # A power cut may have cut off the last line.
        self._torn = bool(size) and _last_byte(self._path) != b"\n"
        return self._fd

    def _rotate(self) -> None:
        self._release()
        # Windows renames no file that is open elsewhere; it grows until then.
        with contextlib.suppress(OSError):
            for older in range(KEPT_FILES - 1, 0, -1):
                newer = numbered(self._path, older - 1)
                if newer.exists():
                    newer.replace(numbered(self._path, older))

    def _release(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):
            self._release()
        super().close()


@contextlib.contextmanager
def logbook(folder: Path) -> Iterator[None]:
    """Log into the file in `folder`; an error that ends the block is its last line, since stderr may not be read."""
    file, root = LogFile(folder), logging.getLogger()
    file.addFilter(_add_ids)
    if not root.handlers:
        log_to_stderr(logging.WARNING)
    root.addHandler(file)
    try:
        yield
    except BaseException as error:  # boundary: whatever it is, it is raised again
        trace = None if isinstance(error, ExlabError) else (type(error), error, error.__traceback__)
        file.handle(_log.makeRecord(_log.name, logging.ERROR, "", 0, "stopped: %s", (error,), trace))
        raise
    finally:
        root.removeHandler(file)
        file.close()


def log_launch(launch_id: int) -> None:
    """Give every line from now on the id of this launch, and write its first one."""
    ids_of_this_process["launch"] = launch_id
    _log.info("launch %d: exlab-wizard %s, pid %d", launch_id, __version__, os.getpid())


def log_to_stderr(level: int, *, as_json: bool = False) -> None:
    """Also log lines of at least `level` to stderr, as text or as JSON."""
    # A failure to log must not be logged.
    logging.raiseExceptions = False
    handler = logging.StreamHandler()
    handler.setLevel(level)
    handler.setFormatter(JsonFormatter() if as_json else logging.Formatter(_TEXT))
    handler.addFilter(_add_ids)
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    # Libraries log too much of each event.
    for library in ("alembic", "asyncio", "desktop_notifier", "PIL"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _last_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1)


def numbered(path: Path, number: int) -> Path:
    """Return the name of the `number`-th log file, 0 being the newest."""
    return path if number == 0 else path.with_name(f"{path.name}.{number}")


def files(folder: Path) -> list[Path]:
    """Return the log files that exist, the oldest first."""
    found = (numbered(folder / NAME, number) for number in range(KEPT_FILES - 1, -1, -1))
    return [path for path in found if path.exists()]
