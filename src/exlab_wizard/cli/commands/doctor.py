"""`doctor`: everything that could be wrong on this machine, each with its remedy. Never hangs, and repairs nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from queue import Empty, SimpleQueue
from typing import Final

import click

from exlab_wizard.cli.locations import Locations
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.cli.terminal.words import plural
from exlab_wizard.diagnosis.doctor.checkup import DONE, CheckResult, Verdict, bad, worst
from exlab_wizard.errors import ExlabError

MOST_SECONDS: Final = 30.0
"""More than the longest look may take, and the start of the process that looks."""
_END_SECONDS: Final = 1.0
_left_behind: Final[list[subprocess.Popen[str]]] = []


class DoctorFoundError(ExlabError):
    """Something keeps runs from arriving."""


@click.command("doctor", epilog=example("exlab-wizard doctor", "exlab-wizard doctor --json"))
@json_option
@click.pass_obj
def command(locations: Locations, *, as_json: bool) -> None:
    """Look at everything that could keep runs from arriving on this machine, and say what to do about it.

    Settings, state dir, database and backups, how the last launches ended, the application and its server, each
    destination, the desktop. Nothing is changed: a destination is tried with files that are removed again. What does
    not answer is given up after some seconds. Exit status 1 when there is an error; a warning is none.
    """
    found: list[CheckResult] = []
    for finding in _examined(locations):
        found.append(finding)
        if not as_json:
            _tell(finding)
    verdict = worst(found)
    if as_json:
        emit({"verdict": verdict.value, "findings": [asdict(finding) for finding in found]})
    else:
        warnings = sum(finding.verdict is Verdict.WARN for finding in found)
        say(f"{plural(len(found), 'thing')} looked at, {plural(warnings, 'warning')}")
    if verdict is Verdict.ERROR:
        named = dict.fromkeys(finding.name for finding in found if finding.verdict is Verdict.ERROR)
        msg = f"there is something to repair: {', '.join(named)}"
        raise DoctorFoundError(msg)


def _tell(finding: CheckResult) -> None:
    say(f"{finding.verdict.value:5}  {finding.name}: {finding.detail}")
    if finding.remedy:
        say(f"       → {finding.remedy}")


def _examined(locations: Locations) -> Iterator[CheckResult]:
    """Yield what the child finds; a child that hangs is left behind."""
    lines: SimpleQueue[str | None] = SimpleQueue()
    command = [
        sys.executable,
        "-P",
        "-m",
        "exlab_wizard.diagnosis.doctor.process",
        str(locations.state_dir.root),
        str(locations.config),
    ]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # What it made on a share that hangs it removes when the share is back, whatever became of this terminal.
        start_new_session=os.name == "posix",
    )
    threading.Thread(target=_read, args=(child, lines), name="examination", daemon=True).start()
    deadline = time.monotonic() + MOST_SECONDS
    try:
        while (line := lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            document: object = json.loads(line)
            if document == DONE:
                break
            yield _finding(document)
        else:
            yield bad("doctor", "the process that looks has ended before it was done", "Please report it.")
    except Empty:
        yield bad("doctor", f"not done within {MOST_SECONDS:g} s", "Look after the disk of the state dir.")
        _left_behind.append(child)
        return
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:  # a look of it hangs inside the kernel
        _left_behind.append(child)


def _read(child: subprocess.Popen[str], lines: SimpleQueue[str | None]) -> None:
    if child.stdout is not None:
        with child.stdout as written:
            for line in written:
                lines.put(line)
    lines.put(None)


def _finding(document: object) -> CheckResult:
    match document:
        case {"name": str(name), "verdict": str(verdict), "detail": str(detail), "remedy": str(remedy)}:
            return CheckResult(name, Verdict(verdict), detail, remedy)
    raise TypeError(document)
