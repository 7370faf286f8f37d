"""`logs`: the application's log, as lines for people or as the JSON of the file."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import click

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import example, note, say
from exlab_wizard.cli.terminal.words import moment
from exlab_wizard.process.logs import IDS, NAME, files

POLL_INTERVAL_SECONDS: Final = 0.2
_MOST_LINES: Final = 1_000_000


@click.command("logs", epilog=example("exlab-wizard logs -f", "exlab-wizard logs --job 7", "exlab-wizard logs --json"))
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, _MOST_LINES),
    default=50,
    show_default=True,
    help="Number of lines, counted from the end.",
)
@click.option("--job", metavar="ID", type=int, help="Only lines about this job.")
@click.option("--session", metavar="ID", help="Only lines about this session.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on each line, as in the file.")
@click.pass_obj
def command(  # noqa: PLR0913 - one parameter for each option
    locations: Locations, *, follow: bool, lines: int, job: int | None, session: str | None, as_json: bool
) -> None:
    """Show the log: starts and exits, runs and their results, sessions, errors.

    The log contains no secrets and is limited to 16 MiB; the oldest lines are dropped first. The database keeps the
    history of each job for good: exlab-wizard jobs ID.
    """
    printable, folder = partial(_printable, job=job, session=session, as_json=as_json), locations.state_dir.logs
    # Opened before the rest is read: a line that is written meanwhile is in both, or comes next.
    tail = _Tail(folder / NAME)
    last: deque[str] = deque(maxlen=lines)
    for path in files(folder):
        last.extend(printable(_lines(path, tail)))
    if not last and not follow:
        note(f"no matching lines in {folder}")
    for line in last:
        say(line)
    while follow:
        for line in printable(tail.new_lines()):
            say(line)
        time.sleep(POLL_INTERVAL_SECONDS)


class _Tail:
    """The end of the newest file, from its present size on; continues in the next file when that one is full."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rest = b""
        self.stamp, self.begin = _stamp(path)
        self._at = self.begin

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that were written since the last call."""
        stamp, size = _stamp(self._path)
        if stamp != self.stamp:
            old = next((path for path in files(self._path.parent) if _stamp(path)[0] == self.stamp), None)
            if old is not None:
                yield from self._read(old)
            self.stamp, self._at, self._rest = stamp, 0, b""
        if size > self._at:
            yield from self._read(self._path)

    def _read(self, path: Path) -> Iterator[str]:
        with path.open("rb") as file:
            file.seek(self._at)
            content = file.read()
        self._at += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        yield from (line.decode("ascii", "replace") for line in lines)


def _stamp(path: Path) -> tuple[tuple[int, int] | None, int]:
    """Return the identity of the file, and its size."""
    try:
        status = path.stat()
    except OSError:
        return None, 0
    return (status.st_dev, status.st_ino), status.st_size


def _lines(path: Path, tail: _Tail) -> list[str]:
    try:
        with path.open("rb") as file:
            content = file.read(tail.begin if _stamp(path)[0] == tail.stamp else -1)
    except FileNotFoundError:
        return []
    return content.decode("ascii", "replace").split("\n")


def _printable(lines: Iterable[str], *, job: int | None, session: str | None, as_json: bool) -> Iterator[str]:
    """Yield what to print for the lines of a file."""
    for line in lines:
        document = _parsed(line)
        # None: the rest of a line that a power cut or a full disk cut off.
        if document is None or job not in (None, document.get("job")) or session not in (None, document.get("session")):
            continue
        yield line if as_json else _for_people(document)


def _parsed(line: str) -> dict[str, object] | None:
    try:
        document: object = json.loads(line)
    except ValueError:
        return None
    return {str(name): value for name, value in document.items()} if isinstance(document, dict) else None


def _for_people(document: dict[str, object]) -> str:
    ids = " ".join(f"{name} {document[name]}" for name in IDS if name in document)
    at, trace = document.get("at"), document.get("trace")
    when = moment(at) if isinstance(at, str) else ""
    more = f" | {trace}" if trace else ""
    return f"{when} {document.get('level', ''):7} [{ids}] {document.get('message', '')}{more}".rstrip()
