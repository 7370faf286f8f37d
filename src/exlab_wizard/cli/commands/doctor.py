"""`doctor`: checks everything that could be wrong on this machine. It never hangs, and it repairs nothing."""

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

from exlab_wizard.cli.options import Locations
from exlab_wizard.cli.terminal.output import emit, example, json_option, say
from exlab_wizard.diagnosis.doctor.checkup import DONE, CheckResult, Verdict, bad, worst
from exlab_wizard.domain.codec import decode
from exlab_wizard.domain.text.amounts import elapsed, plural
from exlab_wizard.errors import ExlabError

MOST_SECONDS: Final = 30.0
"""More than the longest check may take, with the start of the process that runs the checks."""
_END_SECONDS: Final = 1.0
_left_behind: Final[list[subprocess.Popen[str]]] = []


@click.command("doctor", epilog=example("exlab-wizard doctor", "exlab-wizard doctor --json"))
@json_option
@click.pass_obj
def command(locations: Locations, *, as_json: bool) -> None:
    """Check this machine for everything that could prevent runs from reaching a destination, and suggest remedies.

    Checks the settings, the state dir, the database and its backups, the last launches, the application and its server,
    each destination, and the desktop. Nothing is changed: destinations are tested with temporary files. A check
    that does not finish within a few seconds is abandoned. The exit status is 1 if there is an error; warnings do
    not count.
    """
    found: list[CheckResult] = []
    for finding in _results(locations):
        found.append(finding)
        if not as_json:
            _print(finding)
    verdict = worst(found)
    if as_json:
        emit({"verdict": verdict.value, "findings": [asdict(finding) for finding in found]})
    else:
        warnings = sum(finding.verdict is Verdict.WARN for finding in found)
        say(f"{plural(len(found), 'result')}, {plural(warnings, 'warning')}")
    if verdict is Verdict.ERROR:
        named = dict.fromkeys(finding.name for finding in found if finding.verdict is Verdict.ERROR)
        msg = f"found problems: {', '.join(named)}; the remedies are above"
        raise ExlabError(msg)


def _print(finding: CheckResult) -> None:
    say(f"{finding.verdict.value:5}  {finding.name}: {finding.detail}")
    if finding.remedy:
        say(f"       → {finding.remedy}")


def _results(locations: Locations) -> Iterator[CheckResult]:
    """Yield what the child process finds; a child that hangs is left behind."""
    lines: SimpleQueue[str | None] = SimpleQueue()
    places = [str(locations.state_dir.root), str(locations.config)]
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "exlab_wizard.diagnosis.doctor.process", *places],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # It removes its files from a share that hung once the share is back, even after this terminal is closed.
        start_new_session=os.name == "posix",
    )
    threading.Thread(target=_read, args=(child, lines), name="doctor", daemon=True).start()
    deadline = time.monotonic() + MOST_SECONDS
    try:
        while (line := lines.get(timeout=max(0.0, deadline - time.monotonic()))) is not None:
            document: object = json.loads(line)
            if document == DONE:
                break
            yield decode(CheckResult, document)
        else:
            yield bad("doctor", "the process that runs the checks ended early", "This is a bug: please report it.")
    except Empty:
        yield bad("doctor", f"not finished within {elapsed(MOST_SECONDS)}", "Check the disk of the state dir.")
        _left_behind.append(child)
        return
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:  # one of its checks hangs inside the kernel
        _left_behind.append(child)


def _read(child: subprocess.Popen[str], lines: SimpleQueue[str | None]) -> None:
    if child.stdout is not None:
        with child.stdout as output:
            for line in output:
                lines.put(line)
    lines.put(None)
